"""Points that are not packed yet: by series, in the order of time, one a second at most.

A second point of the same series and second takes the place of the first; a sketch is added to it.
Knows which metrics have such points in which hours, and when an hour is due to be packed.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from pettwin_pipeline.datadog_protocol.rolling import Floats
from pettwin_pipeline.datadog_protocol.sketches import decode_sketch, encode_sketch, merged
from pettwin_pipeline.emulator.hours import HOUR_S, Numbers, Places, Sketches, gathered
from pettwin_pipeline.emulator.point_file import Entry

IDLE_S: Final = 120.0
"""An hour that is over is packed when nothing came into it for so long,"""
OVERDUE_S: Final = 7200.0
"""or so long after its end."""
MOST_POINTS: Final = 12_000_000
"""With more than these every hour is packed, the open one too."""

Hours = dict[int, set[str]]


class SeriesNumbers:
    """Numbers of one series."""

    __slots__ = ("times", "values")

    def __init__(self) -> None:
        self.times = array("q")
        self.values = array("d")

    def put(self, at_s: int, value: float) -> None:
        """Keep one."""
        times = self.times
        if not times or at_s > times[-1]:
            times.append(at_s)
            self.values.append(value)
            return
        place = bisect_left(times, at_s)
        if times[place] == at_s:
            self.values[place] = value
        else:
            times.insert(place, at_s)
            self.values.insert(place, value)

    def inside(self, hour: int) -> tuple[Places, Floats]:
        """Those of an hour: seconds since it began, and values; arrays of their own."""
        begins = hour * HOUR_S
        first, last = bisect_left(self.times, begins), bisect_left(self.times, begins + HOUR_S)
        times = np.array(self.times[first:last], dtype=np.int64)
        return (times - begins).astype(np.int32), np.array(self.values[first:last])

    def drop(self, hour: int) -> int:
        """Let go of those of an hour; how many they were."""
        begins = hour * HOUR_S
        first, last = bisect_left(self.times, begins), bisect_left(self.times, begins + HOUR_S)
        del self.times[first:last]
        del self.values[first:last]
        return last - first


class RecentPoints:
    """What is in the journal."""

    def __init__(self) -> None:
        """Nothing."""
        self.last_entry = 0
        """The number of the last entry of the journal that is here."""
        self._numbers: dict[int, SeriesNumbers] = {}
        self._sketches: dict[int, dict[int, bytes]] = {}
        self._by_metric: dict[str, set[int]] = {}
        self._dirty: Hours = {}
        self._touched_s: dict[int, float] = {}
        self._count = 0

    def clear(self) -> None:
        """Forget everything."""
        self.__init__()  # type: ignore[misc]

    def keys(self) -> set[int]:
        """Of series that have points here."""
        return {*self._numbers, *self._sketches}

    def put(
        self,
        hour: int,
        keys: Sequence[int],
        times: Sequence[int],
        values: Sequence[float],
        sketches: Sequence[tuple[int, int, bytes]],
        *,
        metric_of: Mapping[int, str],
        now_s: float,
    ) -> set[str]:
        """Keep points of one hour; the metrics that they belong to."""
        touched: set[str] = set()
        numbers = self._numbers
        for key, at_s, value in zip(keys, times, values, strict=True):
            kept = numbers.get(key)
            if kept is None:
                kept = numbers[key] = SeriesNumbers()
                self._by_metric.setdefault(metric_of[key], set()).add(key)
            kept.put(at_s, value)
            touched.add(metric_of[key])
        for key, at_s, encoded in sketches:
            self._put_sketch(key, at_s, encoded, metric_of[key])
            touched.add(metric_of[key])
        if touched:
            self._count += len(keys) + len(sketches)
            self._dirty.setdefault(hour, set()).update(touched)
            self._touched_s[hour] = now_s
        return touched

    def _put_sketch(self, key: int, at_s: int, encoded: bytes, metric: str) -> None:
        kept = self._sketches.get(key)
        if kept is None:
            kept = self._sketches[key] = {}
            self._by_metric.setdefault(metric, set()).add(key)
        before = kept.get(at_s)
        kept[at_s] = encoded if before is None else both(before, encoded)

    def take_entry(
        self,
        number: int,
        hour: int,
        entry: Entry,
        metric_of: Mapping[int, str],
        packed: Mapping[tuple[str, int, bool], int],
    ) -> None:
        """Take an entry of the journal, less what is in packed hours already."""
        self.last_entry = max(self.last_entry, number)

        def is_open(key: int, *, sketched: bool) -> bool:
            metric = metric_of.get(key)
            return metric is not None and packed.get((metric, hour, sketched), 0) < number

        columns = zip(
            np.frombuffer(entry.keys, "<u4").tolist(),
            np.frombuffer(entry.times, "<i8").tolist(),
            np.frombuffer(entry.values, "<f8").tolist(),
            strict=True,
        )
        rows = [row for row in columns if is_open(row[0], sketched=False)]
        sketches = [one for one in entry.sketches if is_open(one[0], sketched=True)]
        keys, times, values = zip(*rows, strict=True) if rows else ((), (), ())
        self.put(hour, keys, times, values, sketches, metric_of=metric_of, now_s=0.0)

    def last_seen(self, metric_of: Mapping[int, str]) -> dict[str, int]:
        """The last second of each metric that has points here."""
        found: dict[str, int] = {}
        for key, numbers in self._numbers.items():
            found[metric_of[key]] = max(found.get(metric_of[key], 0), numbers.times[-1])
        for key, sketches in self._sketches.items():
            found[metric_of[key]] = max(found.get(metric_of[key], 0), *sketches)
        return found

    def hours_of(self, metric: str) -> set[int]:
        """The hours in which a metric has points here."""
        return {hour for hour, metrics in self._dirty.items() if metric in metrics}

    def is_dirty(self, hour: int) -> bool:
        """Whether any metric has points here in that hour."""
        return hour in self._dirty

    def has(self, metric: str, hour: int) -> bool:
        """Whether a metric has points here in that hour."""
        return metric in self._dirty.get(hour, ())

    def numbers(self, metric: str, hour: int) -> Numbers:
        """Numbers of a metric's hour."""
        parts = []
        for key in sorted(self._by_metric.get(metric, ())):
            kept = self._numbers.get(key)
            if kept is not None:
                offsets, values = kept.inside(hour)
                if len(offsets):
                    parts.append((key, offsets, values))
        return gathered(parts)

    def sketches(self, metric: str, hour: int) -> Sketches:
        """Sketches of a metric's hour."""
        begins = hour * HOUR_S
        found: Sketches = {}
        for key in sorted(self._by_metric.get(metric, ())):
            inside = sorted(
                (at_s - begins, encoded)
                for at_s, encoded in self._sketches.get(key, {}).items()
                if begins <= at_s < begins + HOUR_S
            )
            if inside:
                found[key] = inside
        return found

    def drop(self, metric: str, hour: int) -> bool:
        """Let go of a metric's hour; whether that hour has nothing left of any metric."""
        begins = hour * HOUR_S
        for key in self._by_metric.get(metric, ()):
            numbers = self._numbers.get(key)
            if numbers is not None:
                self._count -= numbers.drop(hour)
                if not numbers.times:
                    del self._numbers[key]
            sketches = self._sketches.get(key)
            if sketches is not None:
                gone = [at_s for at_s in sketches if begins <= at_s < begins + HOUR_S]
                for at_s in gone:
                    del sketches[at_s]
                self._count -= len(gone)
                if not sketches:
                    del self._sketches[key]
        left = {
            key
            for key in self._by_metric.get(metric, ())
            if key in self._numbers or key in self._sketches
        }
        if left:
            self._by_metric[metric] = left
        else:
            self._by_metric.pop(metric, None)
        metrics = self._dirty.get(hour, set())
        metrics.discard(metric)
        if not metrics:
            self._dirty.pop(hour, None)
            self._touched_s.pop(hour, None)
        return not metrics

    def dirty(self) -> Iterator[tuple[int, str]]:
        """Every hour and metric that has points here."""
        for hour in sorted(self._dirty):
            for metric in sorted(self._dirty[hour]):
                yield hour, metric

    def due(self, hour: int, now_s: float, monotonic_s: float) -> tuple[int, str] | None:
        """An hour and a metric that should be packed now; None where there is none.

        Args:
            hour: the present one.
            now_s: unix time, of a clock that may jump.
            monotonic_s: of one that does not.
        """
        for one, metrics in self._dirty.items():
            idle = monotonic_s - self._touched_s[one] > IDLE_S
            overdue = now_s > (one + 1) * HOUR_S + OVERDUE_S
            if (one != hour and (idle or overdue)) or self._count > MOST_POINTS:
                return one, next(iter(metrics))
        return None


def both(one: bytes, other: bytes) -> bytes:
    """Two encoded sketches as one."""
    return encode_sketch(merged([decode_sketch(one), decode_sketch(other)]))
