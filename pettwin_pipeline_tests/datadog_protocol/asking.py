"""Queries asked of points in memory: rows of values, None where there is none."""

import math
from collections.abc import Sequence

from pettwin_pipeline.datadog_protocol.aggregation import StoredPoint
from pettwin_pipeline.datadog_protocol.evaluation import Asked, evaluate
from pettwin_pipeline.datadog_protocol.frames import Frame
from pettwin_pipeline.datadog_protocol.parsing import parse_metric
from pettwin_pipeline.datadog_protocol.rolling import Grid
from pettwin_pipeline_tests.datadog_protocol.memory_store import MemoryStore


def frame(query: str, points: Sequence[StoredPoint], over: Grid) -> Frame:
    """Whatever it evaluates to."""
    (expression,) = parse_metric(query)
    return evaluate(expression, Asked(MemoryStore(points), over))


def row(query: str, points: Sequence[StoredPoint], over: Grid) -> list[float | None]:
    """The only group's values, None where there is none."""
    (values,) = rows(query, points, over).values()
    return values


def rows(
    query: str, points: Sequence[StoredPoint], over: Grid
) -> dict[tuple[str, ...], list[float | None]]:
    """By group."""
    found = frame(query, points, over)
    return {
        group: [None if math.isnan(value) else round(value, 6) for value in values.tolist()]
        for group, values in zip(found.groups, found.values, strict=True)
    }
