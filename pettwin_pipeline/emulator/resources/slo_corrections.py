"""Corrections of SLOs: times that do not count."""

from typing import Final

from pettwin_pipeline.emulator.exchange import NO_CONTENT, Answer, Call, Route
from pettwin_pipeline.emulator.identity import HANDLE, NAME
from pettwin_pipeline.emulator.refusals import not_found, refuse
from pettwin_pipeline.emulator.resources.slos import find_slo
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

KIND: Final = "slo_correction"
_SETTABLE: Final[tuple[str, ...]] = (
    "category",
    "description",
    "start",
    "end",
    "duration",
    "rrule",
    "timezone",
)
_USUAL_PAGE: Final = 25


def _find(state: State, call: Call) -> Document:
    found = state.storage.get(KIND, call.names["slo_correction_id"])
    if found is None:
        raise not_found("SLO correction not found")
    return found


def _checked(attributes: Document) -> Document:
    recurs, end = attributes.get("rrule"), attributes.get("end")
    if recurs and attributes.get("duration") is None:
        refuse("Invalid payload: a recurring correction needs a duration")
    if not recurs and (end is None or end <= attributes["start"]):
        refuse("Invalid payload: end must be after start")
    return attributes


def _create(state: State, call: Call) -> Answer:
    told = call.checked_attributes()
    absent = dict.fromkeys(_SETTABLE) | {"description": "", "timezone": "UTC"}
    given = {name: told[name] for name in _SETTABLE if told.get(name) is not None}
    target = {name: told.get(name) for name in ("slo_id", "slo_query")}
    if target["slo_id"] is not None and target["slo_query"] is not None:
        refuse("Invalid payload: must specify only one of slo_id and slo_query")
    if target["slo_id"] is not None:
        find_slo(state, target["slo_id"])
    elif not target["slo_query"]:
        refuse("Invalid payload: must specify slo_id")
    now_s = int(state.clock.now_s())
    attributes = {
        **_checked({**absent, **given}),
        **target,
        "creator": {"name": NAME, "handle": HANDLE, "email": HANDLE},
        "created_at": now_s,
        "modified_at": now_s,
        "modifier": None,
    }
    document: Document = {"id": state.dice.uuid(), "type": "correction"}
    document["attributes"] = attributes
    state.storage.put(KIND, document["id"], document)
    return Answer({"data": document})


def _read(state: State, call: Call) -> Answer:
    return Answer({"data": _find(state, call)})


def _update(state: State, call: Call) -> Answer:
    document = _find(state, call)
    told = call.checked_attributes()
    given = {name: told[name] for name in _SETTABLE if name in told}
    by = {"name": NAME, "handle": HANDLE, "email": HANDLE, "uuid": None}
    now = {"modified_at": int(state.clock.now_s()), "modifier": by}
    document["attributes"] = _checked({**document["attributes"], **given}) | now
    state.storage.put(KIND, document["id"], document)
    return Answer({"data": document})


def _delete(state: State, call: Call) -> Answer:
    state.storage.remove(KIND, _find(state, call)["id"])
    return NO_CONTENT


def _listed(call: Call, found: list[Document]) -> Answer:
    start = call.asked_int("offset", 0)
    page = found[start : start + call.asked_int("limit", _USUAL_PAGE, 1)]
    counts = {"total_count": len(found), "total_filtered_count": len(found)}
    return Answer({"data": page, "meta": {"page": counts}})


def _list(state: State, call: Call) -> Answer:
    return _listed(call, state.storage.all(KIND))


def _of_slo(state: State, call: Call) -> Answer:
    slo_id = find_slo(state, call.names["slo_id"])["id"]
    found = [one for one in state.storage.all(KIND) if one["attributes"]["slo_id"] == slo_id]
    return _listed(call, found)


ROUTES: Final = (
    Route("POST", "/api/v1/slo/correction", _create),
    Route("GET", "/api/v1/slo/correction", _list),
    Route("GET", "/api/v1/slo/correction/{slo_correction_id}", _read),
    Route("PATCH", "/api/v1/slo/correction/{slo_correction_id}", _update),
    Route("DELETE", "/api/v1/slo/correction/{slo_correction_id}", _delete),
    Route("GET", "/api/v1/slo/{slo_id}/corrections", _of_slo),
)
