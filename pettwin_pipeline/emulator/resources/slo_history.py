"""How an SLO did over a time. Until points are stored nothing is known: null, in the real form."""

from typing import Any, Final

from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.refusals import refuse
from pettwin_pipeline.emulator.resources.slos import find_slo
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

_STEP_S: Final = 3_600
_PRECISION: Final = 2


def _times(call: Call) -> tuple[int, int]:
    begins, ends = call.asked("from_ts"), call.asked("to_ts")
    if not (begins and begins.isdecimal() and ends and ends.isdecimal()):
        refuse("Invalid payload: must specify from_ts and to_ts")
    if int(begins) >= int(ends):
        refuse("Invalid payload: from_ts must be before to_ts")
    return int(begins), int(ends)


def _history(state: State, call: Call) -> Answer:
    slo = find_slo(state, call.names["slo_id"])
    begins, ends = _times(call)
    data: Document = {
        "from_ts": begins,
        "to_ts": ends,
        "type": slo["type"],
        "type_id": slo["type_id"],
        "thresholds": {one["timeframe"]: one for one in slo["thresholds"]},
        "overall": _overall(slo),
    }
    if slo["type"] == "metric":
        data["series"] = _no_series(slo)
    elif slo["type"] == "monitor":
        data["monitors"] = [_of_monitor(one) for one in slo["monitor_ids"]]
    return Answer({"data": data, "errors": None})


def _overall(slo: Document) -> Document:
    frames = [one["timeframe"] for one in slo["thresholds"]]
    return {
        "name": slo["name"],
        "sli_value": None,
        "span_precision": _PRECISION,
        "precision": dict.fromkeys([*frames, "custom"], _PRECISION),
        "history": [],
        "preview": False,
    }


def _of_monitor(monitor_id: int) -> Document:
    return {"name": str(monitor_id), "history": [], "sli_value": None}


def _no_series(slo: Document) -> Document:
    nothing: dict[str, Any] = {"count": 0, "sum": 0.0, "values": []}
    query = slo["query"]
    return {
        "res_type": "time_series",
        "interval": _STEP_S,
        "resp_version": 2,
        "query": f"{query['numerator']}, {query['denominator']}",
        "message": "",
        "times": [],
        "numerator": nothing,
        "denominator": nothing,
    }


def _status(state: State, call: Call) -> Answer:
    slo = find_slo(state, call.names["slo_id"])
    _times(call)
    # Its clients know no null here: `state` says that the zeros mean nothing.
    attributes = {
        "error_budget_remaining": 0.0,
        "raw_error_budget_remaining": {"unit": "", "value": 0.0},
        "sli": 0.0,
        "span_precision": _PRECISION,
        "state": "no_data",
    }
    return Answer({"data": {"id": slo["id"], "type": "slo_status", "attributes": attributes}})


ROUTES: Final = (
    Route("GET", "/api/v1/slo/{slo_id}/history", _history),
    Route("GET", "/api/v2/slo/{slo_id}/status", _status),
)
