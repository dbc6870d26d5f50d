"""A store of points in memory, for tests and benchmarks of queries."""

from collections.abc import Iterable, Sequence

import numpy as np

from pettwin_pipeline.datadog_protocol.aggregation import StoredPoint
from pettwin_pipeline.datadog_protocol.matching import matcher
from pettwin_pipeline.datadog_protocol.rolling import (
    Floats,
    Grid,
    Rolled,
    StoredSeries,
    Times,
    roll,
)
from pettwin_pipeline.datadog_protocol.sketches import Sketch, merged
from pettwin_pipeline.datadog_protocol.syntax import Scope


class MemoryStore:
    """Points of any order, kept as arrays."""

    def __init__(self, points: Iterable[StoredPoint] = ()) -> None:
        self.series: dict[str, list[StoredSeries]] = {}
        self.numbers: dict[int, tuple[Times, Floats]] = {}
        self.sketched: dict[int, list[tuple[int, Sketch]]] = {}
        kept: dict[tuple[str, tuple[str, ...]], list[StoredPoint]] = {}
        for point in points:
            kept.setdefault((point.name, point.tags), []).append(point)
        for (name, tags), some in sorted(kept.items()):
            some.sort(key=lambda point: point.start_s)
            series = self.add(name, tags, some[0])
            times = np.array([point.start_s for point in some], dtype=np.int64)
            numbers = [point.value for point in some if not isinstance(point.value, Sketch)]
            if numbers:
                self.numbers[series.key] = (times, np.array(numbers, dtype=np.float64))
            self.sketched[series.key] = [
                (point.start_s, point.value) for point in some if isinstance(point.value, Sketch)
            ]

    def add(self, name: str, tags: tuple[str, ...], point: StoredPoint) -> StoredSeries:
        """A series like that of the point."""
        key = sum(len(known) for known in self.series.values())
        series = StoredSeries(key, tags, point.type, point.interval_s or 1)
        self.series.setdefault(name, []).append(series)
        return series

    def find(self, metric: str, scope: Scope) -> Sequence[StoredSeries]:
        """As PointStore says."""
        takes = matcher(scope)
        return [one for one in self.series.get(metric, ()) if takes(one.tags)]

    def roll(self, series: Sequence[StoredSeries], over: Grid) -> Rolled:
        """As PointStore says."""
        return roll([self.numbers[one.key] for one in series], over)

    def sketches(
        self, series: Sequence[StoredSeries], over: Grid
    ) -> Sequence[Sequence[Sketch | None]]:
        """As PointStore says."""
        rows: list[list[Sketch | None]] = []
        for one in series:
            row: list[Sketch | None] = []
            for begins in over.times_s:
                ends = begins + over.interval_s
                inside = [kept for at, kept in self.sketched[one.key] if begins <= at < ends]
                row.append(merged(inside) if inside else None)
            rows.append(row)
        return rows


def gauge(
    name: str, values: Sequence[float | None], *tags: str, start_s: int = 0, step_s: int = 10
) -> list[StoredPoint]:
    """One gauge with a value every step; None is a gap."""
    return [
        StoredPoint(name, tuple(sorted(tags)), "gauge", start_s + place * step_s, float(value))
        for place, value in enumerate(values)
        if value is not None
    ]


def counter(
    name: str, counts: Sequence[float | None], *tags: str, start_s: int = 0
) -> list[StoredPoint]:
    """What was counted in each ten seconds, kept per second as the Agent sends it."""
    return [
        StoredPoint(name, tuple(sorted(tags)), "rate", start_s + place * 10, value / 10)
        for place, value in enumerate(counts)
        if value is not None
    ]
