"""Offset ranges, lanes, run keys and the retries of a range: what to read next. Pure.

A lane is a set of partitions that one run works on at a time. A range is decided once and stays as
it is until it is done: a failed one is tried again unchanged. Knows no broker, clock or ledger:
they hand their numbers in.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pettwin_pipeline.errors import TopicReplacedError

BACKOFF_FIRST_S: Final = 5.0
BACKOFF_MOST_S: Final = 300.0
HALVE_AFTER: Final = 3
"""Failures after which a range is tried in halves; each further one halves again."""
PARK_AFTER: Final = 6
"""Failures after which its lane waits for a person."""
_DOUBLED_MOST: Final = 16
"""More doublings change nothing, and hundreds of them do not fit into a float."""


@dataclass(frozen=True, slots=True, order=True)
class PartitionRange:
    """Offsets `[start, end)` of one partition."""

    partition: int
    start: int
    end: int

    def __post_init__(self) -> None:
        if self.partition < 0 or self.start < 0 or self.end <= self.start:
            raise ValueError(f"not a range: {self}")


def join_parts(parts: Iterable[PartitionRange]) -> list[PartitionRange]:
    """The same offsets in as few parts as can be, in order."""
    joined: list[PartitionRange] = []
    for part in sorted(parts):
        last = joined[-1] if joined else None
        if last is not None and last.partition == part.partition and part.start <= last.end:
            joined[-1] = PartitionRange(part.partition, last.start, max(last.end, part.end))
        else:
            joined.append(part)
    return joined


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """What one run works on: the partitions of a lane, each with its offsets."""

    topic: str
    epoch: str
    lane: int
    parts: tuple[PartitionRange, ...]

    def __post_init__(self) -> None:
        partitions = [part.partition for part in self.parts]
        if not partitions or partitions != sorted(set(partitions)):
            raise ValueError(f"a range needs its partitions once, in order: {self.parts}")

    @property
    def offsets(self) -> int:
        """How many offsets it spans: at least as many as there are messages."""
        return sum(part.end - part.start for part in self.parts)

    @property
    def text(self) -> str:
        """`{partition}:{start}-{end},...`, the same for the same range."""
        return ",".join(f"{part.partition}:{part.start}-{part.end}" for part in self.parts)

    @property
    def name(self) -> str:
        """A file name made of the range."""
        digest = hashlib.blake2b(self.text.encode(), digest_size=6).hexdigest()
        return f"lane{self.lane:02d}-{sum(part.end for part in self.parts):012d}-{digest}"

    def run_key(self, attempt: int) -> str:
        """Names topic, epoch, lane, every partition's offsets and the attempt: never reused."""
        return f"{self.topic}/{self.epoch}/{self.lane}/{self.text}/{attempt}"


def encode_parts(parts: Iterable[PartitionRange]) -> str:
    """The parts of a range as they are kept in the ledger."""
    return json.dumps([[p.partition, p.start, p.end] for p in parts], separators=(",", ":"))


def parse_parts(text: str) -> tuple[PartitionRange, ...]:
    """The way back from `encode_parts`."""
    return tuple(PartitionRange(*one) for one in json.loads(text))


def merge_ranges(parts: Iterable[PartitionRange]) -> list[PartitionRange]:
    """The same offsets in as few ranges as possible, in the order (partition, offset)."""
    merged: list[PartitionRange] = []
    for one in sorted(parts):
        last = merged[-1] if merged else None
        if last is None or last.partition != one.partition or last.end < one.start:
            merged.append(one)
        elif one.end > last.end:
            merged[-1] = PartitionRange(one.partition, last.start, one.end)
    return merged


@dataclass(frozen=True, slots=True)
class Watermarks:
    """Offsets of one partition: the first that is kept and the last stable one (exclusive)."""

    low: int
    stable: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets that the broker dropped before they were read."""

    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a lane does next: a range or nothing, and the gaps that were found."""

    range: OffsetRange | None
    gaps: tuple[Gap, ...]


def first_left(partition: int, low: int, dealt: Iterable[PartitionRange]) -> int:
    """The first offset from `low` on that is in none of the ranges; they are merged, in order."""
    for one in dealt:
        if one.partition == partition and one.start <= low < one.end:
            low = one.end
    return low


def offsets_in(window: PartitionRange, dealt: Iterable[PartitionRange]) -> set[int]:
    """Offsets of a window that are in one of the ranges."""
    return {
        offset
        for one in dealt
        if one.partition == window.partition
        for offset in range(max(one.start, window.start), min(one.end, window.end))
    }


def without(window: PartitionRange, left: Sequence[int]) -> list[PartitionRange]:
    """A window without some of its offsets, which are in order."""
    starts = [window.start, *(offset + 1 for offset in left)]
    ends = [*left, window.end]
    return [
        PartitionRange(window.partition, start, end)
        for start, end in zip(starts, ends, strict=True)
        if start < end
    ]


def windows_left(
    marks: Mapping[int, Watermarks], dealt: Sequence[PartitionRange], most: int
) -> list[PartitionRange]:
    """What is kept and stable in windows of `most` offsets, but those that lie in the ranges."""
    windows = []
    for partition, mark in sorted(marks.items()):
        begin = first_left(partition, mark.low, dealt)
        for start in range(begin, mark.stable, most):
            window = PartitionRange(partition, start, min(start + most, mark.stable))
            if len(offsets_in(window, dealt)) < window.end - window.start:
                windows.append(window)
    return windows


def lane_of(partition: int, lanes: int) -> int:
    """Lanes are a grouping and may change at any time."""
    return partition % lanes


def first_offset(marks: Watermarks, start: Literal["earliest", "latest"]) -> int:
    """Where a partition is begun that was never read."""
    return marks.low if start == "earliest" else marks.stable


def plan_range(
    topic: str,
    epoch: str,
    lane: int,
    *,
    marks: Mapping[int, Watermarks],
    positions: Mapping[int, int],
    most: int,
) -> Plan:
    """The next range of a lane: everything that is stable, up to `most` offsets.

    Args:
        topic: of readings.
        epoch: identity of the topic.
        lane: its number.
        marks: the watermarks of the lane's partitions.
        positions: next offset to read of each of these partitions.
        most: cap; the largest backlogs share what the small ones leave.

    Raises:
        TopicReplacedError: a position lies behind the end of its partition.
    """
    gaps, wanted = [], {}
    for partition in sorted(marks):
        mark, position = marks[partition], positions[partition]
        if position > mark.stable:
            raise TopicReplacedError(
                f"partition {partition} of {topic} ends at {mark.stable}, but was read up to "
                f"{position}: this is not the topic that the ledger knows; name the right one, or "
                "another PETTWIN_LEDGER_URL"
            )
        if position < mark.low:
            gaps.append(Gap(partition, position, mark.low))
            position = mark.low
        if mark.stable > position:
            wanted[partition] = (position, mark.stable)
    shares = _share(most, {p: end - start for p, (start, end) in wanted.items()})
    parts = tuple(
        PartitionRange(p, start, start + shares[p])
        for p, (start, _end) in wanted.items()
        if shares[p]
    )
    return Plan(OffsetRange(topic, epoch, lane, parts) if parts else None, tuple(gaps))


def cut_range(
    one: OffsetRange, marks: Mapping[int, Watermarks]
) -> tuple[OffsetRange | None, tuple[Gap, ...]]:
    """What is left of a range after the broker dropped its beginning, and the gaps."""
    gaps, left = [], []
    for part in one.parts:
        low = min(max(part.start, marks[part.partition].low), part.end)
        if low > part.start:
            gaps.append(Gap(part.partition, part.start, low))
        if low < part.end:
            left.append(PartitionRange(part.partition, low, part.end))
    rest = OffsetRange(one.topic, one.epoch, one.lane, tuple(left)) if left else None
    return rest, tuple(gaps)


def halve(one: OffsetRange) -> tuple[OffsetRange, OffsetRange] | None:
    """The first and the second half of a range; None where it is a single offset.

    Each partition is halved; those with a single offset belong to the first half.
    """
    first, second = [], []
    for part in one.parts:
        middle = part.start + (part.end - part.start + 1) // 2
        first.append(PartitionRange(part.partition, part.start, middle))
        if middle < part.end:
            second.append(PartitionRange(part.partition, middle, part.end))
    if not second:
        cut = (len(first) + 1) // 2
        first, second = first[:cut], first[cut:]
    if not second:
        return None
    same = one.topic, one.epoch, one.lane
    return OffsetRange(*same, tuple(first)), OffsetRange(*same, tuple(second))


def holds(whole: OffsetRange, one: OffsetRange) -> bool:
    """Whether every offset of a range is in another one."""
    parts = {part.partition: part for part in whole.parts}
    return all(
        part.partition in parts
        and parts[part.partition].start <= part.start
        and part.end <= parts[part.partition].end
        for part in one.parts
    )


def _share(most: int, backlog: Mapping[int, int]) -> dict[int, int]:
    """Share `most` out: small backlogs whole, the rest of it evenly among the large ones."""
    shares: dict[int, int] = {}
    left = most
    for waiting, (partition, size) in enumerate(
        sorted(backlog.items(), key=lambda item: (item[1], item[0]))
    ):
        shares[partition] = min(size, left // (len(backlog) - waiting))
        left -= shares[partition]
    return shares


def backoff_s(failures: int) -> float:
    """Seconds to wait before a range is tried again after so many failures: 5 s to 5 min."""
    doubled = min(max(0, failures - 1), _DOUBLED_MOST)
    return min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0**doubled)
