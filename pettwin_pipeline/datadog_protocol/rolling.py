"""Points rolled up into buckets of equal length, and what a store has to answer for a query.

Buckets sit on multiples of their length; the first does not begin before the window. Knows no
queries: `evaluation` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from pettwin_pipeline.datadog_protocol.aggregation import StoredType
from pettwin_pipeline.datadog_protocol.sketches import Sketch
from pettwin_pipeline.datadog_protocol.syntax import Scope

Floats: TypeAlias = npt.NDArray[np.float64]
Times: TypeAlias = npt.NDArray[np.int64]

_STEPS_S: Final = (
    *(1, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400),
    *(172800, 604800, 2592000),
)
MOST_BY_DEFAULT: Final = 300
"""Buckets of a window where nobody asked for a length."""
MOST_BUCKETS: Final = 1500
"""However short a roll-up is asked for."""


def default_interval_s(span_s: float, most: int = MOST_BY_DEFAULT) -> int:
    """How long a bucket is by default: 1 h 20 s, 4 h 1 min, 1 d 5 min, 1 week 1 h, a month 4 h."""
    fitting = (step for step in _STEPS_S if span_s <= step * most)
    return next(fitting, _STEPS_S[-1])


@dataclass(frozen=True, slots=True)
class Grid:
    """Buckets of equal length.

    Args:
        start_s: where the first begins, unix time.
        interval_s: how long each is.
        buckets: how many.
    """

    start_s: int
    interval_s: int
    buckets: int

    @property
    def end_s(self) -> int:
        """Where the last ends."""
        return self.start_s + self.buckets * self.interval_s

    @property
    def times_s(self) -> Times:
        """Where each begins."""
        return self.start_s + np.arange(self.buckets, dtype=np.int64) * self.interval_s

    def shifted(self, by_s: int) -> "Grid":
        """The same buckets so many seconds later."""
        return Grid(self.start_s + by_s, self.interval_s, self.buckets)

    def widened(self, before: int, after: int = 0) -> "Grid":
        """So many buckets more before the first and behind the last."""
        start_s = self.start_s - before * self.interval_s
        return Grid(start_s, self.interval_s, self.buckets + before + after)


def grid(from_s: float, to_s: float, interval_s: int | None = None) -> Grid:
    """The buckets of a window; `interval_s` is what a roll-up asked for, None the default."""
    span_s = max(to_s - from_s, 0)
    if interval_s is None:
        length = default_interval_s(span_s)
    else:
        length = max(interval_s, default_interval_s(span_s, MOST_BUCKETS))
    start_s = int(-(-from_s // length)) * length
    return Grid(start_s, length, max(int(-(-(to_s - start_s) // length)), 0))


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """One series of a metric.

    Args:
        key: what the store knows it by.
        tags: sorted.
        type: of its points.
        interval_s: of a rate or a count, 1 where nobody said: what a value is multiplied with.
    """

    key: int
    tags: tuple[str, ...]
    type: StoredType
    interval_s: int = 1


@dataclass(frozen=True, slots=True)
class Rolled:
    """Several series over the buckets of a grid, each array [series, bucket].

    Where a bucket has no point `count` is 0 and the others are NaN.
    """

    count: Floats
    total: Floats
    low: Floats
    high: Floats
    last: Floats


class PointStore(Protocol):
    """What the evaluation of a query asks of whoever keeps points."""

    def find(self, metric: str, scope: Scope) -> Sequence[StoredSeries]:
        """The series of a metric that the scope takes, in a fixed order."""
        ...

    def roll(self, series: Sequence[StoredSeries], over: Grid) -> Rolled:
        """Their numbers, rolled up; not asked for distributions."""
        ...

    def sketches(
        self, series: Sequence[StoredSeries], over: Grid
    ) -> Sequence[Sequence[Sketch | None]]:
        """[series][bucket], merged; asked for distributions alone."""
        ...


def roll(points: Sequence[tuple[Times, Floats]], over: Grid) -> Rolled:
    """(times, values) of each series, ordered by time, into buckets."""
    shape = (len(points), over.buckets)
    count = np.zeros(shape)
    total, low, high, last = (np.full(shape, np.nan) for _ in range(4))
    for row, (times, values) in enumerate(points):
        inside = slice(*np.searchsorted(times, (over.start_s, over.end_s)))
        if inside.start == inside.stop:
            continue
        places = (times[inside] - over.start_s) // over.interval_s
        inner = values[inside]
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        where = places[starts]
        ends = np.append(starts[1:], len(places))
        count[row, where] = ends - starts
        total[row, where] = np.add.reduceat(inner, starts)
        low[row, where] = np.minimum.reduceat(inner, starts)
        high[row, where] = np.maximum.reduceat(inner, starts)
        last[row, where] = inner[ends - 1]
    return Rolled(count, total, low, high, last)
