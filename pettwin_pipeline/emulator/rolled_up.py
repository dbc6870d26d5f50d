"""Adds up hours of points into the buckets of a query, whatever order its series are asked in."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from pettwin_pipeline.datadog_protocol.rolling import Floats, Grid, Rolled, StoredSeries
from pettwin_pipeline.emulator.hours import Keys, Numbers, Places, Slots

_NOWHERE: Final = -1
Wide: TypeAlias = npt.NDArray[np.int64]
Figures: TypeAlias = tuple[Floats, Floats, Floats, Floats, Floats]
"""Count, total, low, high, last."""


class RollUp:
    """Buckets of series that fill with hours, which are added in the order of time."""

    def __init__(self, series: Sequence[StoredSeries], over: Grid) -> None:
        """Empty buckets."""
        self._over = over
        self._shape = (len(series), over.buckets)
        size = len(series) * over.buckets
        asked = np.array([one.key for one in series], dtype=np.int64)
        self._order = np.argsort(asked, kind="stable")
        self._asked = asked[self._order]
        self._count = np.zeros(size)
        self._total = np.zeros(size)
        self._low = np.full(size, np.inf)
        self._high = np.full(size, -np.inf)
        self._last = np.full(size, np.nan)

    def add_numbers(self, hour_s: int, numbers: Numbers) -> None:
        """An hour of points that begins at that second."""
        places, kept = self._places(hour_s, numbers.keys, numbers.rows, numbers.offsets)
        values = numbers.values if kept is None else numbers.values[kept]
        starts, ends, where = _runs(places)
        if len(where):
            count = (ends - starts).astype(np.float64)
            self._put(where, (count, *_reduced(values, values, values, starts), values[ends - 1]))

    def add_slots(self, hour_s: int, slots: Slots) -> None:
        """An hour that is rolled up to 300 s; the buckets sit on multiples of that."""
        places, kept = self._places(hour_s, slots.keys, slots.rows, slots.offsets)
        figures = slots.figures if kept is None else slots.figures[:, kept]
        count, total, low, high, last = figures
        starts, ends, where = _runs(places)
        if len(starts) == len(places):
            self._put(where, (count, total, low, high, last))
        elif len(where):
            counted = np.add.reduceat(count, starts)
            self._put(where, (counted, *_reduced(total, low, high, starts), last[ends - 1]))

    def _places(
        self, hour_s: int, keys: Keys, rows: Places, offsets: Places
    ) -> tuple[Wide, npt.NDArray[np.bool_] | None]:
        """The bucket of each point that is asked for, and which those are (None: all)."""
        row_of = self._row_of(keys)
        over = self._over
        asked = row_of[rows]
        since = offsets.astype(np.int64) + (hour_s - over.start_s)
        inside = asked != _NOWHERE
        if hour_s < over.start_s or hour_s + 3600 > over.end_s:
            inside &= (since >= 0) & (since < over.end_s - over.start_s)
        if inside.all():
            return asked * over.buckets + since // over.interval_s, None
        return asked[inside] * over.buckets + since[inside] // over.interval_s, inside

    def _row_of(self, keys: Keys) -> Wide:
        """Of each key of an hour, which row was asked for it."""
        found = np.full(len(keys), _NOWHERE, dtype=np.int64)
        if len(self._asked):
            place = np.searchsorted(self._asked, keys)
            place[place == len(self._asked)] = 0
            hit = self._asked[place] == keys
            found[hit] = self._order[place[hit]]
        return found

    def _put(self, where: Wide, figures: Figures) -> None:
        """Add to buckets, each named once."""
        count, total, low, high, last = figures
        self._count[where] += count
        with np.errstate(over="ignore", invalid="ignore"):
            self._total[where] += total
        self._low[where] = np.minimum(self._low[where], low)
        self._high[where] = np.maximum(self._high[where], high)
        self._last[where] = last

    def result(self) -> Rolled:
        """What has been added."""
        empty = self._count == 0
        for figures in (self._total, self._low, self._high):
            figures[empty] = np.nan
        return Rolled(
            self._count.reshape(self._shape),
            self._total.reshape(self._shape),
            self._low.reshape(self._shape),
            self._high.reshape(self._shape),
            self._last.reshape(self._shape),
        )


def _runs(places: Wide) -> tuple[Wide, Wide, Wide]:
    """Where stretches of the same bucket start and end, and which buckets they are."""
    starts = np.flatnonzero(np.diff(places, prepend=_NOWHERE))
    ends = np.append(starts[1:], len(places))[: len(starts)]
    return starts, ends, places[starts]


def _reduced(
    total: Floats, low: Floats, high: Floats, starts: Wide
) -> tuple[Floats, Floats, Floats]:
    with np.errstate(over="ignore"):
        added = np.add.reduceat(total, starts)
    return added, np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
