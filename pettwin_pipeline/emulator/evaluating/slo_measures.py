"""How an SLO did over a time: good and all, of events, slices or seconds.

Times that a correction takes out do not count. None stands for: nothing is known.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from pettwin_pipeline.datadog_protocol import slos
from pettwin_pipeline.datadog_protocol.evaluation import Asked, evaluate
from pettwin_pipeline.datadog_protocol.frames import Frame
from pettwin_pipeline.datadog_protocol.monitor_syntax import Comparison, SloAlert, span_s
from pettwin_pipeline.datadog_protocol.rolling import Grid
from pettwin_pipeline.datadog_protocol.slos import Events
from pettwin_pipeline.datadog_protocol.syntax import Expression
from pettwin_pipeline.emulator.clock import at
from pettwin_pipeline.emulator.evaluating.uptime import Span, downs_of, up_seconds, without
from pettwin_pipeline.emulator.refusals import Refusal
from pettwin_pipeline.emulator.resources.recurrence import parse_rule, turns
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document
from pettwin_pipeline.errors import QuerySyntaxError

CORRECTION: Final = "slo_correction"
_SLOT_S: Final = 10
"""Points of counts are looked at in whole slots of the Agent."""
_USUAL_SLICE_S: Final = 300


def measured(state: State, slo: Document, from_s: float, to_s: float) -> Events | None:
    """Good and all of an SLO from one time to another; None where nothing is known."""
    looked_at = without([(from_s, to_s)], corrected(state, slo["id"], from_s, to_s))
    return measured_over(state, slo, looked_at)


def measured_over(state: State, slo: Document, looked_at: Sequence[Span]) -> Events | None:
    """The same over several spans."""
    try:
        match slo["type"]:
            case "metric":
                found = _of_counts(state, slo, looked_at)
            case "time_slice":
                found = _of_slices(state, slo, looked_at)
            case _:
                found = of_monitors(state, slo, looked_at)
    except QuerySyntaxError:
        return None
    return found if found.total else None


def corrected(state: State, slo_id: str, from_s: float, to_s: float) -> list[Span]:
    """The times that do not count."""
    found: list[Span] = []
    for one in state.storage.all(CORRECTION):
        told = one["attributes"]
        if told["slo_id"] != slo_id:
            continue
        if told.get("rrule"):
            found += _recurring(told, from_s, to_s)
        else:
            found.append((told["start"], told["end"]))
    return found


def _recurring(told: Document, from_s: float, to_s: float) -> list[Span]:
    try:
        rule, zone = parse_rule(told["rrule"]), ZoneInfo(told.get("timezone") or "UTC")
    except (Refusal, ValueError, OSError, KeyError):
        return []
    lasts = timedelta(seconds=told["duration"])
    found: list[Span] = []
    for begins in turns(rule, at(told["start"]), zone):
        if begins.timestamp() >= to_s:
            break
        if (begins + lasts).timestamp() > from_s:
            found.append((begins.timestamp(), (begins + lasts).timestamp()))
    return found


def of_monitors(
    state: State, slo: Document, looked_at: Sequence[Span], only: Sequence[int] | None = None
) -> Events:
    """Seconds in which all of its monitors, with all the groups that it names, were up."""
    if not looked_at:
        return Events(0.0, 0.0)
    until_s = looked_at[-1][1]
    wanted = {tuple(one.split(",")) for one in slo.get("groups") or ()}
    groups = []
    for monitor_id in only or slo["monitor_ids"]:
        found = downs_of(state.monitor_states.changes(monitor_id, until_s), until_s)
        groups += [one for group, one in found.items() if not wanted or group in wanted]
    return up_seconds(groups, looked_at)


def _of_counts(state: State, slo: Document, looked_at: Sequence[Span]) -> Events:
    good = sum(_count(state, slo["query"]["numerator"], one) for one in looked_at)
    total = sum(_count(state, slo["query"]["denominator"], one) for one in looked_at)
    return Events(good, total)


def _count(state: State, query: str, span: Span) -> float:
    from pettwin_pipeline.datadog_protocol.parsing import parse_metric

    start = int(span[0] // _SLOT_S) * _SLOT_S
    over = Grid(start, max(int(span[1] // _SLOT_S) * _SLOT_S - start, _SLOT_S), 1)
    values = evaluate(parse_metric(query)[0], Asked(state.points, over)).values
    return float(np.nansum(values))


def slices(state: State, slo: Document, span: Span) -> Frame:
    """The values of a time slice SLO, a bucket a slice."""
    from pettwin_pipeline.datadog_protocol.parsing import parse_formula, parse_metric

    told = slo["sli_specification"]["time_slice"]
    length = int(told.get("query_interval_seconds") or _USUAL_SLICE_S)
    start = -int(-span[0] // length) * length
    over = Grid(start, length, max(int(span[1] // length) - start // length, 0))
    names: Mapping[str, Expression] = {
        one["name"]: parse_metric(one["query"])[0] for one in told["query"]["queries"]
    }
    (formula,) = told["query"]["formulas"][:1]
    return evaluate(parse_formula(formula["formula"]), Asked(state.points, over, names))


def comparison_of(slo: Document) -> Comparison:
    """What holds in a good slice."""
    told: Any = slo["sli_specification"]["time_slice"]
    return Comparison(told["comparator"], float(told["threshold"]))


def _of_slices(state: State, slo: Document, looked_at: Sequence[Span]) -> Events:
    good = total = 0.0
    comparison, some = comparison_of(slo), False
    for one in looked_at:
        values = slices(state, slo, one).values
        some = some or bool((~np.isnan(values)).any())
        # a slice is up when every group is; one without data counts as up
        up = [[v != v or comparison.holds(v) for v in row] for row in values.tolist()]  # noqa: PLR0124 - NaN
        found = slos.overall_uptime(up)
        good, total = good + found.good, total + found.total
    return Events(good, total) if some else Events(0.0, 0.0)


def target_of(slo: Document, timeframe: str) -> float:
    """The target of a timeframe; that of the SLO where it has none of its own."""
    return next(
        (float(one["target"]) for one in slo["thresholds"] if one["timeframe"] == timeframe),
        float(slo["target_threshold"]),
    )


def alert_value(state: State, alert: SloAlert, slo: Document, at_s: float) -> float | None:
    """What an SLO alert compares: percent of the budget that is gone, or the burn rate."""
    target = target_of(slo, alert.over)

    def events(span: str | None) -> Events:
        return measured(state, slo, at_s - (span_s(span or "") or 0), at_s) or Events(0.0, 0.0)

    if alert.kind == "burn_rate":
        return slos.burning(
            events(alert.long_window or "1h"), events(alert.short_window or "5m"), target
        )
    status = events(alert.over).status
    return None if status is None else slos.budget_consumed(status, target)
