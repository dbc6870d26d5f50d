"""The store of points: what queries and monitors ask (`PointStore`), and where intake puts them.

Points lie as the Agent aggregates them, a series and a second at most one: of two numbers the later
holds, sketches are added up. Safe to use from several threads.
"""

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from pettwin_pipeline.datadog_protocol.aggregation import StoredPoint, StoredType
from pettwin_pipeline.datadog_protocol.rolling import Grid, Rolled, StoredSeries, roll
from pettwin_pipeline.datadog_protocol.sketches import (
    Sketch,
    decode_sketch,
    encode_sketch,
    merged,
)
from pettwin_pipeline.datadog_protocol.syntax import Scope
from pettwin_pipeline.emulator.recent_points import RecentNumbers, RecentSketches
from pettwin_pipeline.emulator.series_index import Metric, SeriesIndex


class Points:
    """Points by series, in a file or in memory without one; a `PointStore`."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, made if it is absent.

        Raises:
            UnknownFormatError: another release wrote it, or it is no such file.
        """
        del path
        self._lock = threading.RLock()
        self._index = SeriesIndex()
        self._numbers: dict[int, RecentNumbers] = {}
        self._sketches: dict[int, RecentSketches] = {}

    def close(self) -> None:
        """Let go of the file."""

    def add(self, points: Iterable[StoredPoint]) -> list[StoredPoint]:
        """Keep points; those are given back that were refused: there are too many series."""
        refused: list[StoredPoint] = []
        with self._lock:
            for point in points:
                series, _ = self._index.admit(
                    point.name, point.tags, point.type, point.interval_s or 1
                )
                if series is None:
                    refused.append(point)
                    continue
                metric = self._index.metrics[point.name]
                metric.seen_s = max(metric.seen_s, point.start_s)
                if isinstance(point.value, Sketch):
                    sketches = self._sketches.setdefault(series.key, RecentSketches())
                    sketches.put(point.start_s, encode_sketch(point.value))
                else:
                    numbers = self._numbers.setdefault(series.key, RecentNumbers())
                    numbers.put(point.start_s, point.value)
        return refused

    def saw(self, name: str, kind: StoredType, tags: tuple[str, ...], at_s: int) -> None:
        """Remember a series whose points were not taken: its metric exists all the same."""
        with self._lock:
            series, _ = self._index.admit(name, tags, kind, 1)
            if series is not None:
                metric = self._index.metrics[name]
                metric.seen_s = max(metric.seen_s, at_s)

    def metric(self, name: str) -> Metric | None:
        """What is known of a metric."""
        return self._index.metrics.get(name)

    def metrics(self) -> list[Metric]:
        """All of them, by name."""
        with self._lock:
            return [self._index.metrics[name] for name in sorted(self._index.metrics)]

    def told(self) -> dict[str, int]:
        """How much there is."""
        with self._lock:
            return {"metrics": len(self._index.metrics), "series": len(self._index)}

    def find(self, metric: str, scope: Scope) -> Sequence[StoredSeries]:
        """The series of a metric that the scope takes, in the order of their coming."""
        with self._lock:
            return self._index.find(metric, scope)

    def roll(self, series: Sequence[StoredSeries], over: Grid) -> Rolled:
        """Their numbers, rolled up into the buckets."""
        with self._lock:
            nothing = RecentNumbers()
            return roll(
                [
                    self._numbers.get(one.key, nothing).inside(over.start_s, over.end_s)
                    for one in series
                ],
                over,
            )

    def sketches(
        self, series: Sequence[StoredSeries], over: Grid
    ) -> Sequence[Sequence[Sketch | None]]:
        """[series][bucket], merged."""
        with self._lock:
            return [self._sketch_row(one, over) for one in series]

    def _sketch_row(self, series: StoredSeries, over: Grid) -> list[Sketch | None]:
        found: dict[int, list[Sketch]] = {}
        kept = self._sketches.get(series.key)
        for at_s, encoded in kept.inside(over.start_s, over.end_s) if kept else ():
            place = (at_s - over.start_s) // over.interval_s
            found.setdefault(place, []).append(decode_sketch(encoded))
        return [merged(found[place]) if place in found else None for place in range(over.buckets)]

    def tidy(self, now_s: float) -> None:
        """What has to be done now and then."""

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._index = SeriesIndex()
            self._numbers.clear()
            self._sketches.clear()
