"""Points of an hour, and what a store answers of them."""

import numpy as np

from pettwin_pipeline.datadog_protocol.aggregation import StoredPoint
from pettwin_pipeline.datadog_protocol.rolling import Grid, Rolled
from pettwin_pipeline.datadog_protocol.sketches import SketchBuilder
from pettwin_pipeline.datadog_protocol.syntax import EVERYTHING, Scope
from pettwin_pipeline.emulator.points import Points

HOUR_S = 500_000 * 3600


def gauge(value: float, at_s: int, *tags: str, name: str = "a") -> StoredPoint:
    return StoredPoint(name, tuple(sorted(tags)), "gauge", HOUR_S + at_s, value)


def sketch(at_s: int, *values: float, name: str = "d") -> StoredPoint:
    builder = SketchBuilder()
    for value in values:
        builder.add(value)
    return StoredPoint(name, (), "distribution", HOUR_S + at_s, builder.build())


def rolled(points: Points, over: Grid, name: str = "a", scope: Scope = EVERYTHING) -> Rolled:
    return points.roll(points.find(name, scope), over)


def values(points: Points, name: str = "a", seconds: int = 60) -> dict[int, float]:
    """Seconds after the hour and value of the one series."""
    over = Grid(HOUR_S, 1, seconds)
    (row,) = rolled(points, over, name).last.tolist()
    return {place: value for place, value in enumerate(row) if not np.isnan(value)}
