"""What a monitor's query finds over its window, group by group; states are in `monitor_states`.

A sum over counts is taken over the whole window before anything is divided. Otherwise the query
is evaluated bucket by bucket, and the window's aggregation is taken of those values.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from pettwin_pipeline.datadog_protocol import monitor_options
from pettwin_pipeline.datadog_protocol.evaluation import (
    Asked,
    anomaly_bands,
    evaluate,
    forecasts,
    found_call,
    grid_of,
    outlying_groups,
)
from pettwin_pipeline.datadog_protocol.frames import MISSING, Frame, Group
from pettwin_pipeline.datadog_protocol.monitor_options import MonitorOptions
from pettwin_pipeline.datadog_protocol.monitor_states import Finding
from pettwin_pipeline.datadog_protocol.monitor_syntax import MetricAlert, Window, span_s
from pettwin_pipeline.datadog_protocol.rolling import (
    MOST_BUCKETS,
    Floats,
    Grid,
    PointStore,
    default_interval_s,
)
from pettwin_pipeline.datadog_protocol.series_functions import reduced
from pettwin_pipeline.datadog_protocol.syntax import (
    Argument,
    Call,
    Expression,
    Number,
    Text,
    metric_queries,
)

MOST_EMPTY: Final = 3
_HISTORY_S: Final = 7 * 86400


def counts(expression: Expression) -> bool:
    """Whether it counts: what is missing is zero then, by default."""
    return any(
        query.modifier("as_count") or query.modifier("as_rate")
        for query in metric_queries(expression)
    )


def window_of(window: Window, now_s: float) -> tuple[int, int]:
    """Where a window begins and ends; `current_1d` began with the day, `next_1w` begins now."""
    end = int(now_s)
    match window.kind:
        case "last":
            return end - window.seconds, end
        case "next":
            return end, end + window.seconds
        case "current":
            return _began(window.unit, end), end


def _began(unit: str, now_s: int) -> int:
    now = datetime.fromtimestamp(now_s, UTC).replace(minute=0, second=0)
    if unit == "h":
        return int(now.timestamp())
    day = now.replace(hour=0)
    if unit == "w":
        day -= timedelta(days=day.weekday())
    elif unit == "mo":
        day = day.replace(day=1)
    return int(day.timestamp())


def evaluate_metric(
    alert: MetricAlert, store: PointStore, now_s: float, options: MonitorOptions
) -> dict[Group, Finding]:
    """What was found for each group that has all of its tags; one group without a group-by."""
    at_s = now_s - options.evaluation_delay_s
    if call := found_call(alert.expression, "forecast"):
        return _forecast(alert, call, store, at_s)
    if call := found_call(alert.expression, "anomalies"):
        return _anomalies(alert, call, store, at_s, options)
    if call := found_call(alert.expression, "outliers"):
        frame, odd = outlying_groups(call, Asked(store, _fine(alert, at_s)))
        return _findings(frame.groups, [float(one) for one in odd], _filled(frame))
    now = _over_window(alert, store, at_s)
    if alert.change is None:
        return now
    before = _over_window(alert, store, at_s - alert.change.shift_s)
    return {
        group: _changed(found, before.get(group), percent=alert.change.kind == "pct_change")
        for group, found in now.items()
    }


def _changed(now: Finding, before: Finding | None, *, percent: bool) -> Finding:
    """How much more it is than before, or in percent of what was before; of zero there is none."""
    if now.value is None or before is None or before.value is None:
        return Finding(None)
    if not percent:
        return Finding(now.value - before.value, now.full)
    if before.value == 0:
        return Finding(None)
    return Finding((now.value - before.value) / before.value * 100, now.full)


def _fine(alert: MetricAlert, at_s: float) -> Grid:
    """The window in the buckets of its unit, the last of which ends now."""
    start_s, end_s = window_of(alert.window, at_s)
    asked = grid_of([alert.expression], start_s, end_s, 1).interval_s
    interval_s = monitor_options.bucket_s(alert.window.unit)
    span_s = max(end_s - start_s, 1)
    if any(query.modifier("rollup") for query in metric_queries(alert.expression)):
        interval_s = asked
    interval_s = min(max(interval_s, default_interval_s(span_s, MOST_BUCKETS)), span_s)
    return Grid(end_s - span_s // interval_s * interval_s, interval_s, span_s // interval_s)


def _over_window(alert: MetricAlert, store: PointStore, at_s: float) -> dict[Group, Finding]:
    fine = evaluate(alert.expression, Asked(store, _fine(alert, at_s)))
    full = _filled(fine)
    if not _whole(alert):
        values = [reduced(row, alert.aggregator) for row in fine.values]
        return _findings(fine.groups, values, full)
    start_s, end_s = window_of(alert.window, at_s)
    whole = Grid(start_s, max(end_s - start_s, 1), 1)
    frame = evaluate(alert.expression, Asked(store, whole))
    by_group = dict(zip(fine.groups, full, strict=True))
    return _findings(
        frame.groups,
        frame.values[:, 0].tolist(),
        [by_group.get(one, False) for one in frame.groups],
    )


def _whole(alert: MetricAlert) -> bool:
    """Whether the window is one bucket: sums of counts, and percentiles of a distribution."""
    if alert.aggregator == "percentile":
        return True
    return alert.aggregator == "sum" and any(
        query.modifier("as_count") for query in metric_queries(alert.expression)
    )


def _filled(frame: Frame) -> list[bool]:
    """Full: the first bucket has data, and at most three are empty."""
    empty = np.isnan(frame.values)
    if not frame.grid.buckets:
        return [False] * len(frame.groups)
    return [bool(not row[0] and row.sum() <= MOST_EMPTY) for row in empty]


def _findings(
    groups: Sequence[Group], values: Sequence[float], full: Sequence[bool]
) -> dict[Group, Finding]:
    found: dict[Group, Finding] = {}
    for group, value, is_full in zip(groups, values, full, strict=True):
        if any(tag.endswith(f":{MISSING}") for tag in group):
            continue
        found[group] = Finding(None if math.isnan(value) else value, is_full)
    return found


def _anomalies(
    alert: MetricAlert, call: Call, store: PointStore, at_s: float, options: MonitorOptions
) -> dict[Group, Finding]:
    """The share of the points of the trigger window that lie outside the band."""
    interval = call.keyword("interval")
    interval_s = monitor_options.bucket_s(alert.window.unit)
    if isinstance(interval, Number):
        interval_s = int(interval.value)
    start_s, end_s = window_of(alert.window, at_s)
    buckets = max((end_s - start_s) // interval_s, 1)
    over = Grid(end_s - buckets * interval_s, interval_s, buckets)
    frame, bands = anomaly_bands(call, Asked(store, over))
    direction = call.keyword("direction")
    side = direction.value if isinstance(direction, Text) else "both"
    window_s = options.trigger_window_s or _span(call.keyword("alert_window")) or end_s - start_s
    looked_at = max(window_s // interval_s, 1)
    values = [
        _share(band.outside(row, side)[-looked_at:])
        for row, band in zip(frame.values, bands, strict=True)
    ]
    return _findings(frame.groups, values, _filled(frame))


def _span(value: Argument | None) -> int | None:
    return span_s(value.value.removeprefix("last_")) if isinstance(value, Text) else None


def _share(outside: Floats) -> float:
    there = outside[~np.isnan(outside)]
    return float(np.mean(there)) if len(there) else math.nan


def _forecast(
    alert: MetricAlert, call: Call, store: PointStore, at_s: float
) -> dict[Group, Finding]:
    """The highest upper or the lowest lower bound of what is to come.

    Learnt from `history` of the call, a week by default, up to now.
    """
    interval_s = _span(call.keyword("interval")) or monitor_options.bucket_s(alert.window.unit)
    behind = max((_span(call.keyword("history")) or _HISTORY_S) // interval_s, 1)
    ahead = max(alert.window.seconds // interval_s, 1)
    over = Grid(int(at_s) - behind * interval_s, interval_s, behind)
    frame, bands = forecasts(call, Asked(store, over), ahead)
    highest = alert.aggregator == "max"
    values = [float(np.max(upper) if highest else np.min(lower)) for _middle, lower, upper in bands]
    return _findings(frame.groups, values, _filled(frame))
