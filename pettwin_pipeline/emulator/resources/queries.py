"""Queries over points, v1 and v2: read, evaluated over the store, and told in Datadog's forms."""

from typing import Any, Final

import msgspec
import numpy as np

from pettwin_pipeline.datadog_protocol.evaluation import grid_of
from pettwin_pipeline.datadog_protocol.frames import Frame
from pettwin_pipeline.datadog_protocol.rendering import render, render_scope
from pettwin_pipeline.datadog_protocol.rolling import Floats, Grid
from pettwin_pipeline.datadog_protocol.syntax import (
    EVERYTHING,
    Expression,
    MetricQuery,
    metric_queries,
)
from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.querying import (
    check_window,
    evaluated,
    percentiles_told,
    read_query,
    without_percentiles,
)
from pettwin_pipeline.emulator.refusals import refuse
from pettwin_pipeline.emulator.resources.query_units import units_of
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document


def _query(state: State, call: Call) -> Answer:
    begins, ends = call.asked_second("from"), call.asked_second("to")
    query = call.asked("query")
    if not query:
        refuse("The parameter 'query' is required")
    expressions = read_query(query)
    check_window(begins, ends)
    over = grid_of(expressions, begins, ends)
    frames = evaluated(state, expressions, over)
    series = [
        one
        for index, (expression, frame) in enumerate(zip(expressions, frames, strict=True))
        for one in _series(state, expression, frame, index)
    ]
    by = sorted({key for one in expressions for found in metric_queries(one) for key in found.by})
    body: dict[str, Any] = {
        "status": "ok",
        "res_type": "time_series",
        "resp_version": 1,
        "query": query,
        "from_date": begins * 1000,
        "to_date": ends * 1000,
        "series": series,
        "values": [],
        "times": [],
        "message": percentiles_told(without_percentiles(state, expressions)),
        "group_by": by,
    }
    return Answer(body)


def _series(state: State, expression: Expression, frame: Frame, index: int) -> list[Document]:
    """One for each group that has points."""
    unit = units_of(state, expression)
    times = [b"[%d000.0," % time_s for time_s in frame.grid.times_s.tolist()]
    whole = b"[" + b",".join(time + b"%b]" for time in times) + b"]"
    single = expression if isinstance(expression, MetricQuery) else None
    metric = single.metric if single else render(expression)
    found: list[Document] = []
    for group, row in zip(frame.groups, frame.values, strict=True):
        there = np.flatnonzero(~np.isnan(row))
        if not len(there):
            continue
        scope = ",".join(_scope(single, group))
        found.append(
            {
                "metric": metric,
                "display_name": metric,
                "expression": _expression(single, metric, scope),
                "scope": scope,
                "tag_set": list(group),
                "pointlist": _pointlist(times, whole, row),
                "interval": frame.grid.interval_s,
                "start": _time_ms(frame.grid, there[0]),
                "end": _time_ms(frame.grid, there[-1] + 1) - 1,
                "length": len(there),
                "aggr": single.aggregator if single else None,
                "unit": unit,
                "query_index": index,
                "attributes": {},
            }
        )
    return found


def _time_ms(over: Grid, bucket: int) -> int:
    return int(over.start_s + bucket * over.interval_s) * 1000


def _pointlist(times: list[bytes], whole: bytes, row: Floats) -> msgspec.Raw:
    """`[[ms, value], ...]` as JSON, written here: a thousand rows share their times.

    Args:
        times: how each point begins.
        whole: all of them, with a place for each value.
        row: the values.
    """
    values = msgspec.json.encode(row.tolist())[1:-1].split(b",")
    if b"null" not in values:
        return msgspec.Raw(whole % tuple(values))
    there = (
        time + value + b"]" for time, value in zip(times, values, strict=True) if value != b"null"
    )
    return msgspec.Raw(b"[" + b",".join(there) + b"]")


def _scope(query: MetricQuery | None, group: tuple[str, ...]) -> list[str]:
    """The tags of the group, and what the query asked for besides."""
    if query is None or query.scope == EVERYTHING:
        return list(group) or ["*"]
    return [*group, render_scope(query.scope)]


def _expression(query: MetricQuery | None, text: str, scope: str) -> str:
    if query is None:
        return text
    aggregator = f"{query.aggregator}:" if query.aggregator else ""
    return f"{aggregator}{query.metric}{{{scope}}}"


ROUTES: Final = (Route("GET", "/api/v1/query", _query, apart=True),)
