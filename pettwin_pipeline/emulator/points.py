"""The store of points: what queries and monitors ask (`PointStore`), and where intake puts them.

Points lie as the Agent aggregates them, a series and a second at most one: of two numbers the later
holds, sketches are added up. Everything is in the file when `add` returns. Safe to use from several
threads.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pettwin_pipeline.datadog_protocol.aggregation import StoredPoint, StoredType
from pettwin_pipeline.datadog_protocol.rolling import Grid, Rolled, StoredSeries
from pettwin_pipeline.datadog_protocol.sketches import (
    Sketch,
    decode_sketch,
    encode_sketch,
    merged,
)
from pettwin_pipeline.datadog_protocol.syntax import Scope
from pettwin_pipeline.emulator.hours import HOUR_S, SLOT_S
from pettwin_pipeline.emulator.kept_hours import KeptHours
from pettwin_pipeline.emulator.point_file import Entry, PointFile
from pettwin_pipeline.emulator.recent_points import RecentPoints
from pettwin_pipeline.emulator.rolled_up import RollUp
from pettwin_pipeline.emulator.series_index import Metric, SeriesIndex

KEPT_S: Final = 456 * 86_400
"""15 months, as Datadog keeps points; counted back from the newest."""
MOST_BYTES: Final = 2_000_000_000
"""Of the file; the oldest hours go first."""
STALE_S: Final = 86_400
"""A series of which nothing came for so long may go where there are nearly too many."""
_PACKING_S: Final = 0.2
"""So long at most one round of `tidy` packs hours."""
_RETENTION_EVERY_S: Final = 60.0


class Points:
    """Points by series, in a file or in memory without one; a `PointStore`."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        kept_s: int = KEPT_S,
        most_bytes: int = MOST_BYTES,
        index: SeriesIndex | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the file, made if it is absent.

        Args:
            path: of the file; None: in memory.
            kept_s: how long points are kept.
            most_bytes: and how many of them.
            index: an empty one with other limits.
            monotonic: a clock that only goes forward.

        Raises:
            UnknownFormatError: another release wrote it, or it is no such file.
        """
        self._lock = threading.RLock()
        self._kept_s, self._most_bytes, self._monotonic = kept_s, most_bytes, monotonic
        self._index = SeriesIndex() if index is None else index
        self._file = PointFile(path)
        self._recent = RecentPoints()
        self._unsaved: dict[int, tuple[str, StoredSeries, int]] = {}
        self._hours = KeptHours(self._file, self._recent)
        self._retained_s = monotonic()
        self._read_file()

    def _read_file(self) -> None:
        for name, series, seen_s in self._file.series():
            self._index.add(name, series).saw(seen_s)
        hours = self._file.journal_hours()
        packed = self._file.packed_to(hours)
        for number, hour, entry in self._file.journal():
            self._recent.take_entry(number, hour, entry, self._index.metric_of, packed)
        for hour in hours:
            if not self._recent.is_dirty(hour):  # it ended between packing and forgetting
                self._file.forget_journal(hour)
        for name, seen_s in self._recent.last_seen(self._index.metric_of).items():
            self._index.metrics[name].saw(seen_s)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._file.close()

    def add(self, points: Iterable[StoredPoint]) -> list[StoredPoint]:
        """Keep points; those are given back that were refused: there are too many series.

        Raises:
            sqlite3.Error: the file cannot be written; nothing is kept, and all may come again.
        """
        refused: list[StoredPoint] = []
        with self._lock:
            by_hour: dict[int, tuple[list[int], list[int], list[float]]] = {}
            sketched: dict[int, list[tuple[int, int, bytes]]] = {}
            for point in points:
                metric, series, is_new = self._index.admit(
                    point.name, point.tags, point.type, point.interval_s or 1
                )
                if metric is None or series is None:
                    refused.append(point)
                    continue
                metric.saw(point.start_s)
                if is_new:
                    self._unsaved[series.key] = (point.name, series, point.start_s)
                hour = point.start_s // HOUR_S
                if isinstance(point.value, Sketch):
                    encoded = encode_sketch(point.value)
                    sketched.setdefault(hour, []).append((series.key, point.start_s, encoded))
                    continue
                columns = by_hour.get(hour)
                if columns is None:
                    columns = by_hour[hour] = ([], [], [])
                columns[0].append(series.key)
                columns[1].append(point.start_s)
                columns[2].append(point.value)
            self._keep(by_hour, sketched)
        return refused

    def _keep(
        self,
        by_hour: dict[int, tuple[list[int], list[int], list[float]]],
        sketched: dict[int, list[tuple[int, int, bytes]]],
    ) -> None:
        """Into the file, then where queries see it."""
        nothing: tuple[list[int], list[int], list[float]] = ([], [], [])
        entries = []
        for hour in sorted({*by_hour, *sketched}):
            keys, times, values = by_hour.get(hour, nothing)
            entry = Entry(
                np.array(keys, "<u4").tobytes(),
                np.array(times, "<i8").tobytes(),
                np.array(values, "<f8").tobytes(),
                sketched.get(hour, []),
            )
            entries.append((hour, entry))
        if not self._unsaved and not entries:
            return
        last = self._file.write(self._unsaved.values(), entries)
        self._unsaved.clear()
        self._recent.last_entry = last or self._recent.last_entry
        now = self._monotonic()
        for hour, _ in entries:
            touched = self._recent.put(
                hour,
                *by_hour.get(hour, nothing),
                sketched.get(hour, []),
                metric_of=self._index.metric_of,
                now_s=now,
            )
            self._hours.changed(hour, touched)

    def saw(self, name: str, kind: StoredType, tags: tuple[str, ...], at_s: int) -> None:
        """Remember a series whose points were not taken: its metric exists all the same."""
        with self._lock:
            metric, series, is_new = self._index.admit(name, tags, kind, 1)
            if metric is not None and series is not None:
                metric.saw(at_s)
                if is_new:
                    self._unsaved[series.key] = (name, series, at_s)
                    self._keep({}, {})

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
            return {
                "metrics": len(self._index.metrics),
                "series": len(self._index),
                "bytes": self._file.used_bytes(),
            }

    def find(self, metric: str, scope: Scope) -> Sequence[StoredSeries]:
        """The series of a metric that the scope takes, in the order of their coming."""
        with self._lock:
            return self._index.find(metric, scope)

    def roll(self, series: Sequence[StoredSeries], over: Grid) -> Rolled:
        """Their numbers, rolled up into the buckets."""
        rolled = RollUp(series, over)
        coarse = over.interval_s % SLOT_S == 0 and over.start_s % SLOT_S == 0
        with self._lock:
            for metric in self._metrics_of(series):
                for hour in self._hours.of(metric, over, sketched=False):
                    if coarse:
                        rolled.add_slots(hour * HOUR_S, self._hours.slots(metric, hour))
                    else:
                        rolled.add_numbers(hour * HOUR_S, self._hours.numbers(metric, hour))
        return rolled.result()

    def sketches(
        self, series: Sequence[StoredSeries], over: Grid
    ) -> Sequence[Sequence[Sketch | None]]:
        """[series][bucket], merged."""
        coarse = over.interval_s % SLOT_S == 0 and over.start_s % SLOT_S == 0
        rows: dict[int, dict[int, list[bytes]]] = {one.key: {} for one in series}
        with self._lock:
            for metric in self._metrics_of(series):
                for hour in self._hours.of(metric, over, sketched=True):
                    kept = self._hours.sketches(metric, hour, coarse=coarse)
                    for key in kept.keys() & rows.keys():
                        for offset, encoded in kept[key]:
                            since = hour * HOUR_S + offset - over.start_s
                            place = since // over.interval_s
                            if 0 <= place < over.buckets:
                                rows[key].setdefault(place, []).append(encoded)
        return [
            [
                merged(map(decode_sketch, found[place])) if place in found else None
                for place in range(over.buckets)
            ]
            for found in (rows[one.key] for one in series)
        ]

    def _metrics_of(self, series: Sequence[StoredSeries]) -> list[str]:
        names = {name for one in series if (name := self._index.metric_of.get(one.key))}
        return sorted(names)

    def tidy(self, now_s: float) -> None:
        """Pack hours that are over, and let go of what is too old or too much. A little at a time.

        Args:
            now_s: unix time, of a clock that may jump.
        """
        began = self._monotonic()
        while self._monotonic() < began + _PACKING_S:
            with self._lock:
                due = self._recent.due(int(now_s) // HOUR_S, now_s, self._monotonic())
                if due is None:
                    break
                self._hours.pack(*due)
        if self._monotonic() > self._retained_s + _RETENTION_EVERY_S:
            self._retained_s = self._monotonic()
            self.retain(now_s)

    def pack_all(self) -> None:
        """Pack every hour, the one that is open too."""
        with self._lock:
            for hour, metric in self._recent.dirty():
                self._hours.pack(hour, metric)

    def retain(self, now_s: float) -> None:
        """Let go of hours that are too old against the newest, or too much; and of stale series."""
        with self._lock:
            span = self._file.span()
            if span is None:
                return
            # against the newest points: a clock that is set forward for a while costs nothing
            newest_s = min(now_s, (span[1] + 1) * HOUR_S)
            first = int(newest_s - self._kept_s) // HOUR_S
            gone = self._file.forget_until(first)
            while self._file.used_bytes() > self._most_bytes and (span := self._file.span()):
                first = span[0] + 1
                gone += self._file.forget_until(first)
            if gone:
                self._hours.clear()
                self._index.forget(self._file.forget_series(first * HOUR_S, self._recent.keys()))
            self._make_room(int(newest_s) - STALE_S)

    def _make_room(self, before_s: int) -> None:
        """Where there are nearly too many series, let go of those that say nothing any more."""
        for metric, surplus in self._index.crowded():
            gone = self._file.forget_series(
                before_s, self._recent.keys(), metric=metric, most=surplus
            )
            self._index.forget(gone)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._file.clear()
            self._index.clear()
            self._unsaved.clear()
            self._recent.clear()
            self._hours.clear()
