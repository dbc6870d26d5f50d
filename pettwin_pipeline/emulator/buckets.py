"""From the open bucket to the store: whenever ten seconds are over, and before every query."""

import logging
import math
import sqlite3
from collections.abc import Iterable, Iterator

from pettwin_pipeline.datadog_protocol.aggregation import StoredPoint
from pettwin_pipeline.datadog_protocol.payloads import NO_NUMBER
from pettwin_pipeline.datadog_protocol.sketches import Sketch
from pettwin_pipeline.emulator.received import TOO_MANY_SERIES
from pettwin_pipeline.emulator.state import State

log = logging.getLogger(__name__)


def settle(state: State) -> None:
    """Store the buckets that are over by the clock."""
    with state.received.settling:
        points = state.received.over(state.clock.now_s())
        if not points:
            return
        try:
            keep_points(state, points, "dogstatsd")
        except sqlite3.Error:
            log.exception("%s points cannot be written; they are tried again", len(points))
            state.received.give_back(points, state.clock.now_s())


def keep_points(state: State, points: Iterable[StoredPoint], by: str) -> None:
    """Store points; those beyond the limit of series, and sums without end, are noted."""
    endless: list[str] = []
    refused = state.points.add(_finite(points, endless))
    for name in endless:
        state.received.note(by, NO_NUMBER, name, state.clock.now_s())
    if refused:
        state.received.forget(refused)
        now_s = state.clock.now_s()
        series = {(one.name, one.tags) for one in refused}
        state.received.note(by, TOO_MANY_SERIES, refused[0].name, now_s, len(series))


def _finite(points: Iterable[StoredPoint], endless: list[str]) -> Iterator[StoredPoint]:
    for point in points:
        value = point.value.total if isinstance(point.value, Sketch) else point.value
        if math.isfinite(value):
            yield point
        else:
            endless.append(point.name)
