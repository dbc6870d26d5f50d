"""How an SLO did over a time: from counts, slices, or the states of its monitors."""

from typing import Any, Final

import numpy as np

from pettwin_pipeline.datadog_protocol import slos as budgets
from pettwin_pipeline.datadog_protocol.evaluation import Asked, evaluate
from pettwin_pipeline.datadog_protocol.rolling import grid
from pettwin_pipeline.emulator.evaluating.slo_measures import corrected, of_monitors
from pettwin_pipeline.emulator.evaluating.uptime import downs_of, joined, without
from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.querying import check_window
from pettwin_pipeline.emulator.refusals import refuse
from pettwin_pipeline.emulator.resources.slo_numbers import PRECISION, Standing, standing
from pettwin_pipeline.emulator.resources.slos import find_slo
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document
from pettwin_pipeline.errors import QuerySyntaxError

_UP, _DOWN = 0, 1
"""What the history of a monitor goes to at a time."""
_NO_BUDGET: Final = {"unit": "", "value": 0.0}


def _times(call: Call) -> tuple[int, int]:
    begins, ends = call.asked("from_ts"), call.asked("to_ts")
    if not (begins and begins.isdecimal() and ends and ends.isdecimal()):
        refuse("Invalid payload: must specify from_ts and to_ts")
    if int(begins) >= int(ends):
        refuse("Invalid payload: from_ts must be before to_ts")
    check_window(int(begins), int(ends))
    return int(begins), int(ends)


def _target(call: Call) -> float | None:
    text = call.asked("target")
    if text is None:
        return None
    try:
        target = float(text)
    except ValueError:
        target = 0.0
    if not 0 < target < 100:  # noqa: PLR2004 - percent
        refuse("Invalid payload: target must be between 0 and 100")
    return target


def _history(state: State, call: Call) -> Answer:
    slo = find_slo(state, call.names["slo_id"])
    begins, ends = _times(call)
    target = _target(call)
    stands = standing(state, slo, begins, ends)
    data: Document = {
        "from_ts": begins,
        "to_ts": ends,
        "type": slo["type"],
        "type_id": slo["type_id"],
        "thresholds": {one["timeframe"]: one for one in slo["thresholds"]},
        "overall": _overall(slo, stands, target),
    }
    if slo["type"] == "metric":
        data["series"] = _series(state, slo, begins, ends)
    elif slo["type"] == "monitor":
        several = [_of_monitor(state, slo, one, begins, ends) for one in slo["monitor_ids"]]
        data["monitors"] = several
        if len(several) == 1:
            data["overall"]["history"] = several[0]["history"]
    return Answer({"data": data, "errors": None})


def _overall(slo: Document, stands: Standing, target: float | None) -> Document:
    frames = [one["timeframe"] for one in slo["thresholds"]]
    told: Document = {
        "name": slo["name"],
        "sli_value": stands.status,
        "span_precision": PRECISION,
        "precision": dict.fromkeys([*frames, "custom"], PRECISION),
        "history": [],
        "preview": False,
    }
    if stands.status is None:
        return told
    left = {
        one["timeframe"]: budgets.budget_left(stands.status, float(one["target"]))
        for one in slo["thresholds"]
    }
    if target is not None:
        left["custom"] = budgets.budget_left(stands.status, target)
    return {**told, "error_budget_remaining": left}


def _of_monitor(state: State, slo: Document, monitor_id: int, begins: int, ends: int) -> Document:
    """Of one monitor: percent of the time that it was up, and when that changed."""
    looked_at = without([(begins, ends)], corrected(state, slo["id"], begins, ends))
    events = of_monitors(state, slo, looked_at, [monitor_id])
    monitor = state.storage.get("monitor", monitor_id)
    changes = downs_of(state.monitor_states.changes(monitor_id, ends), ends)
    down = joined(span for _, spans in changes.values() for span in spans)
    since_s = min((first for first, _ in changes.values()), default=None)
    turns: list[list[float]] = [] if since_s is None else [[float(max(since_s, begins)), _UP]]
    for start, stop in down:
        if stop > begins and start < ends:
            turns.append([float(max(start, begins)), _DOWN])
            if stop < ends:
                turns.append([stop, _UP])
    told: Document = {
        "name": monitor["name"] if monitor else str(monitor_id),
        "history": turns,
        "sli_value": events.status,
    }
    return told | ({"monitor_type": monitor["type"]} if monitor else {})


def _series(state: State, slo: Document, begins: int, ends: int) -> Document:
    """Good and all events over time."""
    from pettwin_pipeline.datadog_protocol.parsing import parse_metric

    query = slo["query"]
    over = grid(begins, ends)
    rows: dict[str, Any] = {}
    for name in ("numerator", "denominator"):
        try:
            with np.errstate(all="ignore"):
                values = evaluate(parse_metric(query[name])[0], Asked(state.points, over)).values
        except QuerySyntaxError:
            values = np.empty((0, over.buckets))
        seen = ~np.isnan(values)
        sums = np.nansum(values, axis=0) if seen.any() else np.empty(0)
        rows[name] = {
            "count": int(seen.sum()),
            "sum": float(sums.sum()),
            "values": sums.tolist(),
        }
    there = any(rows[name]["values"] for name in rows)
    return {
        "res_type": "time_series",
        "interval": over.interval_s,
        "resp_version": 2,
        "query": f"{query['numerator']}, {query['denominator']}",
        "message": "",
        "times": (over.times_s * 1000).tolist() if there else [],
        **rows,
    }


def _status(state: State, call: Call) -> Answer:
    slo = find_slo(state, call.names["slo_id"])
    stands = standing(state, slo, *_times(call))
    # Its clients know no null here: `state` says where the zeros mean nothing.
    attributes = {
        "error_budget_remaining": stands.budget_left or 0.0,
        "raw_error_budget_remaining": stands.raw_budget_left or _NO_BUDGET,
        "sli": stands.status or 0.0,
        "span_precision": PRECISION,
        "state": stands.state,
    }
    return Answer({"data": {"id": slo["id"], "type": "slo_status", "attributes": attributes}})


ROUTES: Final = (
    Route("GET", "/api/v1/slo/{slo_id}/history", _history),
    Route("GET", "/api/v2/slo/{slo_id}/status", _status),
)
