"""Keeps the parts of a stack running: starts them in order, mends them, stops them in reverse.

A part that dies is started again, with growing pauses, until it dies too often: then the whole
stops and says which part, how it ended and what its log said last. Knows commands and logs; what
the parts are is said by `dagster_parts.py`, `apache_kafka.py` and the command line.
"""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final, Self

from pettwin_pipeline.errors import StackError
from pettwin_pipeline.stack.child import Child, describe_exit
from pettwin_pipeline.stack.part_log import last_lines, trim_log

LOOK_S: Final = 0.2
"""Pause between two looks at the parts."""
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Part:
    """One long-lived process of the stack."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    """Added to the environment of the supervisor."""
    log: Path
    """Takes stdout and stderr."""
    ready: Callable[[], bool] | None = None
    """Whether it answers; None: it is taken as ready once it is started."""
    restart: bool = True
    """Whether it is started again after it died; else its death stops the whole."""
    ready_within_s: float = 60.0
    stop_within_s: float = 10.0
    """Between SIGTERM and SIGKILL."""


@dataclass(frozen=True, slots=True)
class RestartRule:
    """How often a part may die, and how long it is left alone before it is started again."""

    deaths: int = 5
    """More than these within `within_s` and the whole gives up."""
    within_s: float = 60.0
    first_pause_s: float = 0.5
    longest_pause_s: float = 8.0

    def pause_s(self, deaths: int) -> float:
        """Pause after that many deaths: doubled each time."""
        return min(self.first_pause_s * 2.0 ** (deaths - 1), self.longest_pause_s)


@dataclass(slots=True)
class _Post:
    """One part and what became of it so far. Times are of the supervisor's clock."""

    part: Part
    child: Child | None = None
    is_ready: bool = False
    was_ready: bool = False
    ready_by_s: float = 0.0
    start_at_s: float = 0.0
    deaths_s: list[float] = field(default_factory=list)
    orphaned: list[Child] = field(default_factory=list)
    """Earlier processes of the part that died and left something running in their group."""


class Supervisor:
    """Starts, watches and stops parts.

    Use from the main thread: the kernel ends the parts with the thread that started them. As a
    context manager it stops everything at the end of the block, whatever happened.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        say: Callable[[str], None] = lambda _: None,
        on_change: Callable[[Mapping[str, int]], None] = lambda _: None,
        rule: RestartRule | None = None,
        sleep: Callable[[float], None] = time.sleep,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is started yet.

        Args:
            parts: in the order in which they start.
            say: takes a line for people.
            on_change: takes the process ids by part whenever one changed.
            rule: how often a part may die.
            sleep: waits between two looks.
            now_s: a clock that only goes forward.
        """
        self._posts = [_Post(part) for part in parts]
        self._say = say
        self._on_change = on_change
        self._rule = rule or RestartRule()
        self._sleep = sleep
        self._now_s = now_s
        self._stop_requests = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def stopping(self) -> bool:
        """Whether somebody asked for an end."""
        return self._stop_requests > 0

    def pids(self) -> dict[str, int]:
        """Process ids of the parts that run."""
        return {post.part.name: post.child.pid for post in self._posts if post.child is not None}

    def request_stop(self) -> None:
        """Ask for an end; asked twice, nobody is given time any more. Safe in a signal handler."""
        self._stop_requests += 1

    @contextlib.contextmanager
    def stopping_on_signals(self) -> Iterator[None]:
        """While the block runs, Ctrl-C, SIGTERM and SIGHUP ask for an end. Main thread only."""

        def request(_number: int, _frame: FrameType | None) -> None:
            self.request_stop()

        before = {number: signal.signal(number, request) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Start everything, keep it running until somebody asks for an end, stop everything.

        Args:
            on_ready: called once, when every part is ready.

        Raises:
            StackError: a part could not be kept running; everything is stopped.
        """
        with self.stopping_on_signals():
            try:
                self.start()
                if not self.stopping:
                    on_ready()
                self.watch()
            finally:
                self.close()

    def start(self) -> None:
        """Start the parts one after the other, each when the one before is ready.

        Returns early where an end is asked for.

        Raises:
            StackError: a part died before it was ready once, or was not ready in time.
        """
        for post in self._posts:
            if self.stopping:
                return
            self._launch(post)
            self._tend(post)
            while not post.is_ready and not self.stopping:
                self._sleep(LOOK_S)
                self.check()

    def watch(self) -> None:
        """Keep the parts running until an end is asked for.

        Raises:
            StackError: a part died too often.
        """
        while not self.stopping:
            self.check()
            self._sleep(LOOK_S)

    def check(self) -> None:
        """Look at every started part once: start again what died. Does not wait.

        Raises:
            StackError: a part died too often.
        """
        for post in self._posts:
            if post.child is not None or post.deaths_s:
                self._tend(post)

    def close(self) -> None:
        """Stop all parts in reverse order, with everything that they started."""
        for post in reversed(self._posts):
            if post.child is not None:
                post.child.stop(post.part.stop_within_s, self._sleep, self._is_hurried)
            for child in post.orphaned:
                child.stop(0.0, self._sleep, self._is_hurried)
            post.child = None
            post.orphaned.clear()
            post.deaths_s.clear()

    def _is_hurried(self) -> bool:
        return self._stop_requests > 1

    def _launch(self, post: _Post) -> None:
        part = post.part
        post.child = Child(part.name, part.command, part.env, part.log)
        post.is_ready = False
        post.ready_by_s = self._now_s() + part.ready_within_s
        self._on_change(self.pids())

    def _tend(self, post: _Post) -> None:
        post.orphaned = [child for child in post.orphaned if child.group_lives()]
        if post.child is None:
            if self._now_s() >= post.start_at_s:
                self._launch(post)
            return
        code = post.child.exit_code()
        if code is not None:
            self._bury(post, post.child, describe_exit(code))
        elif not post.is_ready:
            self._await_ready(post, post.child)
        else:
            trim_log(post.part.log)

    def _await_ready(self, post: _Post, child: Child) -> None:
        if post.part.ready is None or post.part.ready():
            if post.was_ready:
                self._say(f"{post.part.name} is up again")
            post.is_ready = post.was_ready = True
        elif self._now_s() > post.ready_by_s:
            child.stop(post.part.stop_within_s, self._sleep, self._is_hurried)
            self._bury(post, child, f"did not answer within {post.part.ready_within_s:.0f} s")

    def _bury(self, post: _Post, child: Child, how: str) -> None:
        """A process of the part is gone: plan the next one, or give up."""
        now_s = self._now_s()
        post.child, post.is_ready = None, False
        if child.group_lives():
            post.orphaned.append(child)
        self._on_change(self.pids())
        post.deaths_s = [s for s in post.deaths_s if now_s - s <= self._rule.within_s] + [now_s]
        deaths = len(post.deaths_s)
        if not post.was_ready:
            raise StackError(_obituary(post.part, f"could not be started: {how}"))
        if not post.part.restart:
            raise StackError(_obituary(post.part, f"died: {how}"))
        if deaths > self._rule.deaths:
            times = f"{deaths} times within {self._rule.within_s:.0f} s"
            raise StackError(_obituary(post.part, f"died {times}, at last: {how}"))
        pause_s = self._rule.pause_s(deaths)
        post.start_at_s = now_s + pause_s
        self._say(f"{post.part.name} died ({how}); it is started again in {pause_s:g} s")


def _obituary(part: Part, what: str) -> str:
    lines = last_lines(part.log)
    told = "\n".join(f"  {line}" for line in lines) or "  (nothing)"
    return f"{part.name} {what}; the last lines of {part.log}:\n{told}"
