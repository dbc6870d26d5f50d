"""From the open bucket to the store: whenever ten seconds are over, and before every query."""

from collections.abc import Iterable

from pettwin_pipeline.datadog_protocol.aggregation import StoredPoint
from pettwin_pipeline.emulator.received import TOO_MANY_SERIES
from pettwin_pipeline.emulator.state import State


def settle(state: State) -> None:
    """Store the buckets that are over by the clock."""
    now_s = state.clock.now_s()
    keep_points(state, state.received.over(now_s), "dogstatsd")


def keep_points(state: State, points: Iterable[StoredPoint], by: str) -> None:
    """Store points; those beyond the limit of series are noted."""
    refused = state.points.add(points)
    if refused:
        now_s = state.clock.now_s()
        state.received.note(by, TOO_MANY_SERIES, refused[0].name, now_s, len(refused))
