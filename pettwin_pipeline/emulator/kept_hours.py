"""Hours of metrics, packed or not: one view of both, with the latest unpacked ones in memory."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, TypeAlias

import numpy as np

from pettwin_pipeline.datadog_protocol.rolling import Grid
from pettwin_pipeline.emulator.hours import (
    HOUR_S,
    Numbers,
    Sketches,
    Slots,
    overlaid,
    pack_numbers,
    pack_sketches,
    pack_slots,
    sketch_slots,
    slots_of,
    unpack_numbers,
    unpack_sketches,
    unpack_slots,
)
from pettwin_pipeline.emulator.point_file import PackedHour, PointFile
from pettwin_pipeline.emulator.recent_points import RecentPoints, both

MOST_BYTES: Final = 192_000_000
"""Of unpacked hours in memory."""
_Place: TypeAlias = tuple[str, int, str]
_Found: TypeAlias = Numbers | Slots | Sketches


class KeptHours:
    """To be used under the lock of the store."""

    def __init__(self, file: PointFile, recent: RecentPoints) -> None:
        """A view of both."""
        self._file = file
        self._recent = recent
        self._known: OrderedDict[_Place, tuple[_Found, int]] = OrderedDict()
        self._bytes = 0

    def clear(self) -> None:
        """Forget what is in memory."""
        self._known.clear()
        self._bytes = 0

    def changed(self, hour: int, metrics: Iterable[str]) -> None:
        """Points came into an hour of these metrics."""
        for metric in metrics:
            for kind in ("numbers", "slots", "sketches", "sketch slots"):
                self._forget((metric, hour, kind))

    def of(self, metric: str, over: Grid, *, sketched: bool) -> list[int]:
        """The hours of a metric that have points in the window, in the order of time."""
        if not over.buckets:
            return []
        first, last = over.start_s // HOUR_S, (over.end_s - 1) // HOUR_S
        packed = self._file.hours(metric, first, last, sketched=sketched)
        recent = {one for one in self._recent.hours_of(metric) if first <= one <= last}
        return sorted({*packed, *recent})

    def numbers(self, metric: str, hour: int) -> Numbers:
        """The points of an hour."""
        found = self._remembered((metric, hour, "numbers"))
        if not isinstance(found, Numbers):
            found = self._numbers(metric, hour)
            self._remember((metric, hour, "numbers"), found, found.bytes)
        return found

    def _numbers(self, metric: str, hour: int) -> Numbers:
        packed = self._file.points(metric, hour, sketched=False)
        recent = self._recent.numbers(metric, hour) if self._recent.has(metric, hour) else None
        if packed is None:
            return recent or Numbers(
                np.empty(0, np.uint32), np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0)
            )
        older = unpack_numbers(packed)
        return older if recent is None else overlaid(older, recent)

    def slots(self, metric: str, hour: int) -> Slots:
        """An hour rolled up to 300 s."""
        found = self._remembered((metric, hour, "slots"))
        if not isinstance(found, Slots):
            packed = None
            if not self._recent.has(metric, hour):
                packed = self._file.slots(metric, hour, sketched=False)
            found = slots_of(self.numbers(metric, hour)) if packed is None else unpack_slots(packed)
            self._remember((metric, hour, "slots"), found, found.bytes)
        return found

    def sketches(self, metric: str, hour: int, *, coarse: bool) -> Sketches:
        """The sketches of an hour, those of 300 s where they are asked for."""
        kind = "sketch slots" if coarse else "sketches"
        found = self._remembered((metric, hour, kind))
        if isinstance(found, dict):
            return found
        packed = None
        if coarse and not self._recent.has(metric, hour):
            packed = self._file.slots(metric, hour, sketched=True)
        if packed is not None:
            made = unpack_sketches(packed)
        else:
            made = self._sketches(metric, hour)
            made = sketch_slots(made) if coarse else made
        self._remember((metric, hour, kind), made, _size(made))
        return made

    def _sketches(self, metric: str, hour: int) -> Sketches:
        packed = self._file.points(metric, hour, sketched=True)
        older = {} if packed is None else unpack_sketches(packed)
        if not self._recent.has(metric, hour):
            return older
        for key, kept in self._recent.sketches(metric, hour).items():
            by_time = dict(older.get(key, ()))
            for offset, encoded in kept:
                before = by_time.get(offset)
                by_time[offset] = encoded if before is None else both(before, encoded)
            older[key] = sorted(by_time.items())
        return older

    def pack(self, hour: int, metric: str) -> None:
        """Pack what is known of a metric's hour, and let go of what came into it."""
        numbers, sketches = self._numbers(metric, hour), self._sketches(metric, hour)
        begins, journal_to = hour * HOUR_S, self._recent.last_entry
        if len(numbers.values):
            last = np.flatnonzero(np.diff(numbers.rows, append=-1))
            seen = (numbers.offsets[last] + begins).tolist()
            slots = pack_slots(slots_of(numbers))
            self._file.keep_hour(
                PackedHour(metric, hour, False, journal_to, slots, pack_numbers(numbers)),
                zip(numbers.keys[numbers.rows[last]].tolist(), seen, strict=True),
            )
        if sketches:
            slots = pack_sketches(sketch_slots(sketches))
            self._file.keep_hour(
                PackedHour(metric, hour, True, journal_to, slots, pack_sketches(sketches)),
                [(key, kept[-1][0] + begins) for key, kept in sketches.items()],
            )
        if self._recent.drop(metric, hour):
            self._file.forget_journal(hour)
        self.changed(hour, [metric])

    def _remembered(self, place: _Place) -> _Found | None:
        found = self._known.get(place)
        if found is None:
            return None
        self._known.move_to_end(place)
        return found[0]

    def _remember(self, place: _Place, found: _Found, size: int) -> None:
        self._forget(place)
        self._known[place] = found, size
        self._bytes += size
        while self._bytes > MOST_BYTES and len(self._known) > 1:
            self._forget(next(iter(self._known)))

    def _forget(self, place: _Place) -> None:
        gone = self._known.pop(place, None)
        if gone is not None:
            self._bytes -= gone[1]


def _size(sketches: Sketches) -> int:
    return sum(len(encoded) + 100 for kept in sketches.values() for _, encoded in kept)
