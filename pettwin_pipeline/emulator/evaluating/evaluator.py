"""Rounds: every monitor that is due, in order, on a thread of its own.

Monitors are small steps: between two of them other threads run. One that fails is shown with its
reason and stops no other. Composites come last, after what they name.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from pettwin_pipeline.datadog_protocol.monitor_syntax import Composite
from pettwin_pipeline.emulator.buckets import settle
from pettwin_pipeline.emulator.evaluating.findings import Moment, find
from pettwin_pipeline.emulator.evaluating.latest_runs import LatestRuns
from pettwin_pipeline.emulator.evaluating.monitor_states import StatusChange
from pettwin_pipeline.emulator.evaluating.notifying import tell
from pettwin_pipeline.emulator.evaluating.records import MonitorRecord
from pettwin_pipeline.emulator.evaluating.round_store import RoundStore
from pettwin_pipeline.emulator.evaluating.schedule import Rounds
from pettwin_pipeline.emulator.evaluating.silences import Silences
from pettwin_pipeline.emulator.evaluating.stepping import Happening, stepped
from pettwin_pipeline.emulator.evaluating.watched import NotWatched, Watched, watched_of
from pettwin_pipeline.emulator.resources.monitors import KIND
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

log = logging.getLogger(__name__)
LOOKS_EVERY_S: Final = 0.5
"""So often the clock is looked at."""
_STEP_S: Final = 0.005
_BREATH_S: Final = 0.0005
"""So long a pause after so long a step: a thread that drains a socket does not wait for a round."""
Post = Callable[[int], None]


class Evaluator:
    """Evaluates the monitors of one local Datadog. For one thread but for what it tells."""

    def __init__(self, state: State, address: str = "", post: Post | None = None) -> None:
        """Nothing is evaluated yet.

        Args:
            state: of the local Datadog.
            address: of the server, for links.
            post: told the number of an entry of the outbox that waits.
        """
        self._state, self._address = state, address
        self._post: Post = post or (lambda _: None)
        self._read: dict[int, tuple[Document, Watched | NotWatched]] = {}
        self._runs = LatestRuns(state.timeline)
        self._generation = state.monitor_states.generation
        self._edited: set[int] = set()

    def round(self, at_s: int) -> None:
        """Evaluate every monitor that is due at a full minute, unix time."""
        began = time.perf_counter()
        state = self._state
        generation = state.monitor_states.generation
        if generation != self._generation:
            self._generation = generation
            self._runs.clear()
        settle(state)
        every = self._watched()
        known = {one.monitor_id for one in every}
        state.monitor_states.forget_all_but(known | self._read.keys())
        due = [one for one in every if self._is_due(one, at_s)]
        problems: dict[int, str] = {
            monitor_id: str(read)
            for monitor_id, (_, read) in self._read.items()
            if isinstance(read, NotWatched)
        }
        records: dict[int, MonitorRecord] = {}
        if due:
            happened = self._evaluate(due, at_s, records, problems)
            self._keep(records, happened, generation)
        self._edited.difference_update(records)
        took_s = time.perf_counter() - began
        state.rounds.round_over(len(due), took_s, problems)

    def _watched(self) -> list[Watched]:
        """The monitors, read anew only where they changed; composites last."""
        documents = self._state.storage.all(KIND)
        read: dict[int, tuple[Document, Watched | NotWatched]] = {}
        for one in documents:
            monitor_id = one["id"]
            before = self._read.get(monitor_id)
            if before is None or before[0] != one:
                read[monitor_id] = one, _read(one)
                if before is not None and before[0]["query"] != one["query"]:
                    self._edited.add(monitor_id)
            else:
                read[monitor_id] = before
        self._read = read
        found = [one for _, one in read.values() if isinstance(one, Watched)]
        return sorted(found, key=lambda one: isinstance(one.query, Composite))

    def _is_due(self, watched: Watched, at_s: int) -> bool:
        """On its clock; at once where it is new, or asks something new."""
        record = self._state.monitor_states.get(watched.monitor_id)
        if record is None or watched.monitor_id in self._edited:
            return True
        every_s = watched.every_s
        return at_s // every_s > record.evaluated_s // every_s

    def _evaluate(
        self,
        due: list[Watched],
        at_s: int,
        records: dict[int, MonitorRecord],
        problems: dict[int, str],
    ) -> list[Happening]:
        state = self._state
        silences = Silences(state, at_s)
        moment = Moment(
            state,
            at_s,
            RoundStore(state.points),
            self._runs,
            lambda one: records.get(one) or state.monitor_states.get(one),
            self._keys_of,
        )
        happened: list[Happening] = []
        breathed_s = time.perf_counter()
        for one in due:
            try:
                found = find(one, moment)
                made = stepped(
                    one,
                    state.monitor_states.get(one.monitor_id),
                    found,
                    at_s,
                    silences=silences.of(one.document),
                    tells_of_end=silences.tell_of_end,
                )
            except Exception as error:
                log.exception("monitor %s could not be evaluated", one.monitor_id)
                problems[one.monitor_id] = f"{type(error).__name__}: {error}"
                continue
            records[one.monitor_id] = made.record
            happened += made.happened
            breathed_s = _breathe(breathed_s)
        return happened

    def _keys_of(self, monitor_id: int) -> tuple[str, ...]:
        _, read = self._read.get(monitor_id, ({}, None))
        return read.keys if isinstance(read, Watched) else ()

    def _keep(
        self, records: dict[int, MonitorRecord], happened: list[Happening], generation: int
    ) -> None:
        """Told first, then kept: where the process dies between, it is told twice, never not."""
        state = self._state
        states = state.monitor_states
        changes = []
        for monitor_id, record in records.items():
            before = states.get(monitor_id)
            for group, kept in record.groups.items():
                old = before.groups.get(group) if before else None
                if old is None or old.state.status is not kept.state.status:
                    changes.append(
                        (
                            monitor_id,
                            StatusChange(group, record.evaluated_s, kept.state.status),
                        )
                    )
        with states.unless_forgotten(generation) as there:
            if there:
                for number in tell(state, self._still_there(happened), self._address):
                    self._post(number)
                states.keep(records, changes)

    def _still_there(self, happened: list[Happening]) -> list[Happening]:
        """Less what happened to monitors that were deleted meanwhile."""
        ids = {one.watched.monitor_id for one in happened}
        there = {one for one in ids if self._state.storage.has(KIND, one)}
        return [one for one in happened if one.watched.monitor_id in there]

    def rewind(self, now_s: float) -> None:
        """The clock was set back."""
        self._runs.clear()
        self._state.monitor_states.rewind(now_s)

    def do(self, rounds: Rounds, ended: threading.Event) -> None:
        """What is due, unless it ends or the clock is set anew meanwhile."""
        if rounds.rewound_to_s is not None:
            self.rewind(rounds.rewound_to_s)
        for minute_s in rounds.minutes:
            if ended.is_set() or self._state.schedule.overtaken:
                break
            self.round(minute_s)
            self._state.schedule.evaluated(minute_s)


def _breathe(since_s: float) -> float:
    """Let other threads run, unless they just did; when they did last."""
    if time.perf_counter() - since_s < _STEP_S:
        return since_s
    time.sleep(_BREATH_S)
    return time.perf_counter()


def _read(document: Document) -> Watched | NotWatched:
    try:
        return watched_of(document)
    except NotWatched as why:
        return why
    except Exception as error:
        log.exception("monitor %s could not be read", document.get("id"))
        return NotWatched(f"{type(error).__name__}: {error}")


@contextlib.contextmanager
def evaluating(state: State, address: str, post: Post | None = None) -> Iterator[Evaluator]:
    """Evaluate the monitors for as long as the block runs."""
    evaluator = Evaluator(state, address, post)
    ended = threading.Event()
    evaluator.rewind(state.clock.now_s())
    state.schedule.start()
    thread = threading.Thread(target=_run, args=(evaluator, state, ended), name="monitors")
    thread.start()
    try:
        yield evaluator
    finally:
        ended.set()
        state.schedule.stop()
        thread.join()


def _run(evaluator: Evaluator, state: State, ended: threading.Event) -> None:
    while not ended.is_set():
        rounds = state.schedule.next(LOOKS_EVERY_S)
        if rounds is None:
            continue
        try:
            evaluator.do(rounds, ended)
        except Exception:
            log.exception("a round of monitors failed")
        finally:
            state.schedule.finish(rounds)
