"""`pettwin replay`: recorded sessions, or a user's own files, published as readings.

Without files it is the packaged recording of dogs asleep. Event times are moved so that the last
reading is now, unless told to keep them: a reading's age is judged against its Kafka timestamp.
Slower than the clock the first reading is now: event time is never ahead of it.
"""

import csv
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.commands.progress import Progress
from pettwin_pipeline.commands.sending import Sender
from pettwin_pipeline.commands.simulate import label_messages, refuse_too_long
from pettwin_pipeline.commands.user_files import first_line, kind_of, one_line
from pettwin_pipeline.detection.blocks import BLOCK_MS
from pettwin_pipeline.errors import InputFileError
from pettwin_pipeline.readings.encode import encode_readings
from pettwin_pipeline.readings.heartbeats import parse_sessions, recorded_readings
from pettwin_pipeline.readings.injections import inject_every
from pettwin_pipeline.readings.simulator import Label
from pettwin_pipeline.readings.tables import RowProblem, TableRow, parse_csv, parse_ndjson
from pettwin_pipeline.settings import Settings

Format = Literal["auto", "heartbeats", "csv", "ndjson"]
PARSERS: Final = {"csv": parse_csv, "ndjson": parse_ndjson}
CHUNK: Final = 500
"""Rows that are sent together at most."""
PACE_S: Final = 0.5
"""Seconds of the clock whose rows are sent together where there is a pace."""
SHOWN_PROBLEMS: Final = 5
EPISODE_EVERY_S: Final = 1800


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be replayed.

    Attributes:
        files: paths; none: the packaged recording.
        file_format: of all of them.
        mapping: from fields of ours to columns of theirs.
        pet_id: the pet of every row, for files that do not name it.
        episodes: inject the documented episodes, one every 30 minutes of a pet.
        speed: event time against the clock; 0: as fast as possible.
        keep_times: leave event times as they are.
    """

    files: tuple[str, ...] = ()
    file_format: Format = "auto"
    mapping: tuple[tuple[str, str], ...] = ()
    pet_id: str | None = None
    episodes: bool = False
    speed: float = 0.0
    keep_times: bool = False


@dataclass(frozen=True, slots=True)
class Recording:
    """What is sent: rows that can be gone through more than once, and labels where there are some.

    Attributes:
        rows: gives an iterator over rows and problems in the order of the file.
        readings: how many rows are readings.
        first_ms, last_ms: their earliest and latest event time.
        problems: the first rows that are no readings.
        bad_rows: how many there are.
        labels: of injected episodes.
    """

    rows: Callable[[], Iterator[TableRow | RowProblem]]
    readings: int
    first_ms: int
    last_ms: int
    problems: tuple[RowProblem, ...] = ()
    bad_rows: int = 0
    labels: tuple[Label, ...] = ()


def run(plan: Plan, say: Callable[[str], None]) -> None:
    """Send the recordings to Kafka, one after the other."""
    settings = Settings.load()
    topics = (settings.kafka_topic, settings.kafka_labels_topic)
    with Kafka(settings) as kafka:
        for topic in topics:
            kafka.partitions(topic)
        recordings = [_open(plan, path) for path in plan.files] or [_packaged(plan)]
        pace = _plan_pace(plan, recordings, settings)
        total = sum(one.readings for one in recordings)
        with (
            Progress("replaying", total, say) as progress,
            Sender(settings, kafka, topics, say=progress.say) as sender,
        ):
            before = 0
            for one in recordings:
                _tell_problems(one, progress.say)
                for sent in _send(sender, topics, pace, one):
                    progress.advance_to(before + sent, f"{sender.acked:,} acknowledged")
                before += one.readings
        took_s = max(time.monotonic() - pace.began_s, 0.001)
        readings, labels = (sender.acked_of(topic) for topic in topics)
        bad = sum(one.bad_rows for one in recordings)
        say(
            f"{readings:,} readings and {labels} labels sent to {kafka.broker.bootstrap}, all "
            f"acknowledged, {bad} bad rows left out, {readings / took_s:,.0f} readings/s"
        )


@dataclass(frozen=True, slots=True)
class Pace:
    """How event times and the clock go together, the same for all recordings.

    Attributes:
        first_ms: the earliest event time of all.
        shift_ms: what is added to event times; None: they are kept.
        speed: event time against the clock; 0: as fast as possible.
        began_s: of the clock that waits are counted on.
    """

    first_ms: int
    shift_ms: int | None
    speed: float
    began_s: float

    def wait_s(self, time_ms: int) -> float:
        """Seconds until a reading of this time is due; negative: it is late."""
        due_s = (time_ms - self.first_ms) / 1000 / self.speed if self.speed else 0.0
        return self.began_s + due_s - time.monotonic()


def _plan_pace(plan: Plan, recordings: Sequence[Recording], settings: Settings) -> Pace:
    """The latest reading of all recordings is now, or when it is sent.

    Raises:
        SettingsError: the earliest ones would be too old to be taken.
    """
    first_ms = min(one.first_ms for one in recordings)
    last_ms = max(one.last_ms for one in recordings)
    if plan.keep_times:
        return Pace(first_ms, None, plan.speed, time.monotonic())
    span_ms = last_ms - first_ms
    refuse_too_long(span_ms / 3_600_000, settings, "--keep-times keeps the times of the file")
    takes_ms = span_ms / plan.speed if plan.speed else 0.0
    shift = round(time.time() * 1000 + min(takes_ms, span_ms) - last_ms)
    shift -= shift % BLOCK_MS  # whole blocks: a recording gives the same, whenever it is replayed
    return Pace(first_ms, shift, plan.speed, time.monotonic())


def _send(sender: Sender, topics: Sequence[str], pace: Pace, recording: Recording) -> Iterator[int]:
    """Send one recording; yields how many of its rows were sent so far."""
    shift, keep_times = pace.shift_ms or 0, pace.shift_ms is None
    sent = 0
    for burst in bursts(recording.rows(), pace.speed):
        sender.wait(pace.wait_s(burst[0].time_ms))
        moved = [row.moved(shift) for row in burst]
        sender.send(topics[0], [_outgoing(row, keep_times=keep_times) for row in moved])
        sent += len(burst)
        yield sent
    sender.send(topics[1], label_messages(one.moved(shift) for one in recording.labels))


def bursts(rows: Iterable[TableRow | RowProblem], speed: float) -> Iterator[list[TableRow]]:
    """The rows that are readings, in their order, cut into what is sent together.

    At a pace nothing is sent more than PACE_S before its time.
    """
    most_ms = PACE_S * 1000 * speed if speed else math.inf
    burst: list[TableRow] = []
    for row in rows:
        if not isinstance(row, TableRow):
            continue
        if burst and (len(burst) == CHUNK or row.time_ms - burst[0].time_ms >= most_ms):
            yield burst
            burst = []
        burst.append(row)
    if burst:
        yield burst


def _outgoing(row: TableRow, *, keep_times: bool) -> Outgoing:
    return Outgoing(row.pet_id.encode(), row.message, row.time_ms if keep_times else 0)


def _tell_problems(recording: Recording, say: Callable[[str], None]) -> None:
    for problem in recording.problems:
        say(f"line {problem.line}: {problem.text}")
    if recording.bad_rows > len(recording.problems):
        say(f"and {recording.bad_rows - len(recording.problems)} more bad rows")


def _open(plan: Plan, path: str) -> Recording:
    """Look through a file once: what it holds, how many rows, from when to when.

    Raises:
        InputFileError: it cannot be read, or holds no reading.
    """
    try:
        first = first_line(path)
        kind = kind_of(path, first) if plan.file_format == "auto" else plan.file_format
        _refuse_unused(plan, kind)
        if kind != "heartbeats":
            return _of_table(plan, path, kind)
        with Path(path).open(encoding="utf-8", errors="replace", newline="") as file:
            return _of_heartbeats(plan, file)
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror or error}") from None
    except (InputFileError, csv.Error) as error:
        raise InputFileError(f"{path}: {one_line(str(error))}") from None


def _refuse_unused(plan: Plan, kind: str) -> None:
    if kind == "heartbeats" and (plan.mapping or plan.pet_id is not None):
        raise InputFileError("recorded heart beats name their pets: no --map, no --pet-id")
    if kind != "heartbeats" and plan.episodes:
        raise InputFileError(f"--episodes is for recorded heart beats, and this is {kind}")


def _of_table(plan: Plan, path: str, kind: str) -> Recording:
    def rows() -> Iterator[TableRow | RowProblem]:
        with Path(path).open(encoding="utf-8", errors="replace", newline="") as file:
            yield from PARSERS[kind](file, dict(plan.mapping), pet_id=plan.pet_id)

    readings = bad = 0
    first_ms, last_ms = 2**62, -(2**62)
    problems: list[RowProblem] = []
    for row in rows():
        if isinstance(row, TableRow):
            readings += 1
            first_ms, last_ms = min(first_ms, row.time_ms), max(last_ms, row.time_ms)
            continue
        bad += 1
        if bad <= SHOWN_PROBLEMS:
            problems.append(row)
    if not readings:
        why = f": line {problems[0].line}: {problems[0].text}" if problems else ""
        raise InputFileError(f"no row is a reading{why}")
    return Recording(rows, readings, first_ms, last_ms, tuple(problems), bad)


def _packaged(plan: Plan) -> Recording:
    from pettwin_pipeline.stack.recordings import dog_heartbeats

    _refuse_unused(plan, "heartbeats")
    return _of_heartbeats(plan, dog_heartbeats())


def _of_heartbeats(plan: Plan, lines: Iterable[str]) -> Recording:
    readings = recorded_readings(parse_sessions(lines))
    labels: list[Label] = []
    if plan.episodes:
        readings, labels = inject_every(readings, every_s=EPISODE_EVERY_S)
    if readings.is_empty():
        raise InputFileError("no session has a heart rate")

    def rows() -> Iterator[TableRow]:
        messages = encode_readings(readings)
        whose, when = readings["pet_id"].to_list(), readings["time_ms"].to_list()
        for line, (pet_id, time_ms, message) in enumerate(
            zip(whose, when, messages, strict=True), start=1
        ):
            yield TableRow(line, pet_id, time_ms, message)

    times = readings["time_ms"]
    return Recording(rows, len(readings), int(times[0]), int(times[-1]), labels=tuple(labels))
