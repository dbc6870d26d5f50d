"""Which minutes are evaluated, and when: decided by the local Datadog's clock alone.

Every full minute is a round. Where the clock was advanced, every minute between is evaluated in
order. Where it was set, only the newest is; so too after the machine slept. Where it was set back,
rounds go on from there. Knows no monitors and no threads but its lock.
"""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from pettwin_pipeline.emulator.clock import Clock

ROUND_S: Final = 60
LONGEST_ADVANCE_S: Final = 31 * 86_400
"""A clock that is advanced by more was set: only the newest minute is evaluated."""
MOST_MISSED: Final = 5
"""So many minutes are made up for where a round took long; what is missed beyond is skipped."""


@dataclass(frozen=True, slots=True)
class Move:
    """Somebody moved the clock.

    Args:
        to_s: what it showed then.
        every: whether every minute between is evaluated.
        done: told the last minute evaluated, once it is.
    """

    to_s: float
    every: bool
    done: "Future[float]" = field(default_factory=Future)

    def tell(self, evaluated_to_s: float) -> None:
        """It is done; nobody may be waiting any more."""
        if self.done.set_running_or_notify_cancel():
            self.done.set_result(evaluated_to_s)


@dataclass(frozen=True, slots=True)
class Rounds:
    """Minutes to evaluate, in order; `rewound_to_s` where the clock went back before them."""

    minutes: range
    rewound_to_s: float | None = None
    move: Move | None = None


class Schedule:
    """What was evaluated, and what is due."""

    def __init__(self, clock: Clock) -> None:
        """Nothing is due until `start`."""
        self._clock = clock
        self._changed = threading.Condition()
        self._moves: deque[Move] = deque()
        self._running = False
        self.evaluated_to_s = 0

    def start(self) -> None:
        """From the coming minute on there are rounds."""
        with self._changed:
            self._running = True
            self.evaluated_to_s = _minute(self._clock.now_s())

    def stop(self) -> None:
        """No more; who waits is told."""
        with self._changed:
            self._running = False
            while self._moves:
                self._moves.popleft().tell(self.evaluated_to_s)
            self._changed.notify_all()

    @contextmanager
    def moving(self, *, every: bool) -> Iterator["Future[float]"]:
        """Move the clock in the block; the future tells when all that follows is evaluated."""
        with self._changed:
            before_s = self._clock.now_s()
            done: Future[float] = Future()
            yield done
            now_s = self._clock.now_s()
            if not self._running:
                done.set_result(self.evaluated_to_s)
                return
            every = every and before_s <= now_s <= before_s + LONGEST_ADVANCE_S
            self._moves.append(Move(now_s, every, done))
            self._changed.notify_all()

    def next(self, timeout_s: float) -> Rounds | None:
        """What is due; waits so long at most, None where nothing is."""
        with self._changed:
            if not self._moves and self._running:
                self._changed.wait(timeout_s)
            if not self._running:
                return None
            if self._moves:
                move = self._moves.popleft()
                return self._of_move(move)
            return self._of_time(self._clock.now_s())

    def _of_move(self, move: Move) -> Rounds:
        to_s = _minute(move.to_s)
        if move.to_s < self.evaluated_to_s:
            return Rounds(range(0), move.to_s, move)
        first = self.evaluated_to_s + ROUND_S if move.every else max(to_s, self.evaluated_to_s + 1)
        return Rounds(range(first, to_s + 1, ROUND_S), move=move)

    def _of_time(self, now_s: float) -> Rounds | None:
        if now_s < self.evaluated_to_s - ROUND_S:
            return Rounds(range(0), now_s)
        to_s = _minute(now_s)
        missed = (to_s - self.evaluated_to_s) // ROUND_S
        if missed <= 0:
            return None
        first = self.evaluated_to_s + ROUND_S if missed <= MOST_MISSED else to_s
        return Rounds(range(first, to_s + 1, ROUND_S))

    @property
    def overtaken(self) -> bool:
        """Whether the clock was set anew meanwhile: what is left of an advance is not wanted."""
        with self._changed:
            return any(not move.every for move in self._moves)

    def evaluated(self, minute_s: int) -> None:
        """A round is over."""
        self.evaluated_to_s = minute_s

    def finish(self, rounds: Rounds) -> None:
        """All of it was done: who moved the clock is told."""
        if rounds.rewound_to_s is not None:
            self.evaluated_to_s = _minute(rounds.rewound_to_s)
        if rounds.move is not None:
            rounds.move.tell(self.evaluated_to_s)


def _minute(now_s: float) -> int:
    return int(now_s // ROUND_S) * ROUND_S
