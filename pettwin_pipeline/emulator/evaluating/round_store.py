"""Points as one round sees them: what several monitors ask alike is asked of the store once."""

from collections.abc import Sequence
from typing import Final

from pettwin_pipeline.datadog_protocol.rolling import Grid, PointStore, Rolled, StoredSeries
from pettwin_pipeline.datadog_protocol.sketches import Sketch
from pettwin_pipeline.datadog_protocol.syntax import Scope

MOST_KEPT: Final = 20_000
"""Buckets of one answer: a longer one is not held for others."""


class RoundStore:
    """A `PointStore` over another, for the length of a round."""

    def __init__(self, store: PointStore) -> None:
        """Nothing was asked yet."""
        self._store = store
        self._found: dict[tuple[str, Scope], Sequence[StoredSeries]] = {}
        self._rolled: dict[tuple[tuple[int, ...], Grid], Rolled] = {}

    def find(self, metric: str, scope: Scope) -> Sequence[StoredSeries]:
        """As PointStore says."""
        place = metric, scope
        found = self._found.get(place)
        if found is None:
            found = self._found[place] = self._store.find(metric, scope)
        return found

    def roll(self, series: Sequence[StoredSeries], over: Grid) -> Rolled:
        """As PointStore says."""
        place = tuple(one.key for one in series), over
        rolled = self._rolled.get(place)
        if rolled is None:
            rolled = self._store.roll(series, over)
            if len(series) * over.buckets <= MOST_KEPT:
                self._rolled[place] = rolled
        return rolled

    def sketches(
        self, series: Sequence[StoredSeries], over: Grid
    ) -> Sequence[Sequence[Sketch | None]]:
        """As PointStore says."""
        return self._store.sketches(series, over)
