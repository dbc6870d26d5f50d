"""Reports of SLOs over months, as CSV. A report is ready as soon as it is asked for."""

from typing import Final

from pettwin_pipeline.emulator.clock import at
from pettwin_pipeline.emulator.evaluating.slo_measures import measured
from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.refusals import titled
from pettwin_pipeline.emulator.resources import slos
from pettwin_pipeline.emulator.resources.downtimes_v2 import UUID
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

KIND: Final = "slo_report"
_STEPS_S: Final = {"daily": 86_400, "weekly": 7 * 86_400, "monthly": 30 * 86_400}
_MOST_COLUMNS: Final = 200


def _argument(detail: str) -> Exception:
    return titled(400, "Invalid Argument", detail)


def _create(state: State, call: Call) -> Answer:
    data = call.document().get("data")
    told = data.get("attributes") if isinstance(data, dict) else None
    if not isinstance(told, dict):
        raise _argument("data.attributes is required")
    interval = told.get("interval", "weekly")
    if interval not in _STEPS_S:
        raise _argument(f"{interval} is not a valid interval")
    begins, ends = told.get("from_ts"), told.get("to_ts")
    if not isinstance(begins, int) or not isinstance(ends, int) or not 0 <= begins < ends:
        raise _argument("from_ts must be before to_ts")
    if not isinstance(told.get("query"), str):
        raise _argument("query is required")
    if (ends - begins) // _STEPS_S[interval] > _MOST_COLUMNS:
        raise _argument("the interval is too short for these times")
    kept = {name: told.get(name) for name in ("from_ts", "to_ts", "query", "timezone")}
    document = {**kept, "interval": interval, "id": state.dice.uuid()}
    state.storage.put(KIND, document["id"], document)
    return Answer({"data": {"id": document["id"], "type": "report_id"}})


def _find(state: State, call: Call) -> Document:
    report_id = call.names["report_id"]
    if not UUID.fullmatch(report_id):
        raise _argument(f"invalid report ID: {report_id}")
    found = state.storage.get(KIND, report_id)
    if found is None:
        raise titled(404, "Not Found", f"report ID not found: {report_id}")
    return found


def _status(state: State, call: Call) -> Answer:
    report = _find(state, call)
    data = {"id": report["id"], "type": "report_id", "attributes": {"status": "completed"}}
    return Answer({"data": data})


def _download(state: State, call: Call) -> Answer:
    report = _find(state, call)
    step = _STEPS_S[report["interval"]]
    starts = range(report["from_ts"], report["to_ts"], step)
    days = [f"{at(day):%Y-%m-%d}" for day in starts]
    rows = [["id", "slo_type", "name", "target", "export_error", *days]]
    for one in state.storage.all(slos.KIND):
        told = [_percent(state, one, day, min(day + step, report["to_ts"])) for day in starts]
        known = [one["id"], one["type"], one["name"], str(one["target_threshold"])]
        rows.append([*known, "", *told])
    text = "".join(",".join(map(_cell, row)) + "\n" for row in rows)
    return Answer(text.encode(), media="text/csv")


def _percent(state: State, slo: Document, begins: int, ends: int) -> str:
    """The status over a column, empty where nothing is known."""
    events = measured(state, slo, begins, ends)
    return "" if events is None else f"{events.status:.3f}"


def _cell(text: str) -> str:
    if text[:1] in {"=", "+", "-", "@"}:
        text = f"'{text}"
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(letter in text for letter in ',"\n\r') else text


ROUTES: Final = (
    Route("POST", "/api/v2/slo/report", _create),
    Route("GET", "/api/v2/slo/report/{report_id}/status", _status),
    Route("GET", "/api/v2/slo/report/{report_id}/download", _download),
)
