"""Monitors: create, validate, read, list, update, delete. Their evaluation is elsewhere."""

from typing import Any, Final

from pettwin_pipeline.emulator.clock import iso
from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.identity import ORG_ID, creator
from pettwin_pipeline.emulator.refusals import Refusal, bad_request, not_found, refuse
from pettwin_pipeline.emulator.resources.downtime_matches import (
    matching_downtimes,
    silenced_by_downtimes,
)
from pettwin_pipeline.emulator.resources.monitor_rules import composed_of, validate_monitor
from pettwin_pipeline.emulator.resources.monitor_shape import SETTABLE, identity_of, settled
from pettwin_pipeline.emulator.resources.monitor_status import shown_groups, with_status
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

KIND: Final = "monitor"
GROUP_STATES: Final = frozenset({"all", "alert", "warn", "no data"})
_USUAL_PAGE: Final = 100


def find_monitor(state: State, monitor_id: str | int) -> Document:
    """A monitor.

    Raises:
        Refusal: 404.
    """
    found = state.storage.get(KIND, monitor_id)
    if found is None:
        raise not_found("Monitor not found")
    return found


def _checked(state: State, told: Document, own_id: int | None = None) -> Document:
    """The settled part of a monitor that may be kept.

    Raises:
        Refusal: 400.
    """
    monitor = settled(told)
    validate_monitor(monitor["type"], monitor["query"], monitor["options"])
    if monitor["type"] == "composite":
        _check_composed(state, composed_of(monitor["query"]))
    for other in state.storage.all(KIND):
        alike = other["name"] == monitor["name"] and other["query"] == monitor["query"]
        if alike and other["id"] != own_id and identity_of(other) == identity_of(monitor):
            refuse(f"Duplicate of an existing monitor_id:{other['id']} org_id:{ORG_ID}")
    return monitor


def _check_composed(state: State, named: list[int]) -> None:
    found = [state.storage.get(KIND, one) for one in named]
    if any(one is None or one["type"] == "composite" for one in found):
        refuse("Some monitor IDs are invalid")


def _create(state: State, call: Call) -> Answer:
    body = call.checked()
    monitor = _checked(state, {name: body[name] for name in SETTABLE if name in body})
    now = state.clock.now()
    made = {
        "id": _new_id(state),
        "org_id": ORG_ID,
        "created_at": int(now.timestamp()) * 1000,
        "created": iso(now),
        "modified": iso(now),
        "deleted": None,
        "overall_state": "No Data",
        "overall_state_modified": None,
        "creator": creator(),
    }
    document = {**monitor, **made}
    state.storage.put(KIND, document["id"], document)
    return Answer({**document, "assets": []})


def _new_id(state: State) -> int:
    while True:
        drawn = state.dice.number(9)
        if not state.storage.has(KIND, drawn):
            return drawn


def _without(document: Document, *names: str) -> Document:
    return {name: value for name, value in document.items() if name not in names}


def _update(state: State, call: Call) -> Answer:
    before = find_monitor(state, call.names["monitor_id"])
    body = call.checked()
    told = {name: body.get(name, before[name]) for name in SETTABLE}
    if told["options"] is None:
        told["options"] = before["options"]
    same_metric_kind = {before["type"], told["type"]} <= {"metric alert", "query alert"}
    if told["type"] != before["type"] and not same_metric_kind:
        refuse(f"Monitor type cannot be changed from {before['type']} to {told['type']}")
    monitor = _checked(state, told, before["id"])
    document = {**before, **monitor, "modified": iso(state.clock.now())}
    state.storage.put(KIND, document["id"], document)
    shown = _without(with_status(state, document), "creator", "last_triggered_ts")
    return Answer({**shown, "assets": []})


def _validate(state: State, call: Call) -> Answer:
    _checked(state, call.checked())
    return Answer({})


def _validate_existing(state: State, call: Call) -> Answer:
    before = find_monitor(state, call.names["monitor_id"])
    _checked(state, call.checked(), before["id"])
    return Answer({})


def _shown(state: State, document: Document, call: Call) -> Document:
    shown = _without(with_status(state, document), "restriction_policy", "last_triggered_ts")
    silenced = {**shown["options"]["silenced"], **silenced_by_downtimes(state, document)}
    shown["options"] = {**shown["options"], "silenced": silenced}
    if asked := call.asked("group_states"):
        shown["state"] = {"groups": shown_groups(state, document, asked)}
    if call.asked_bool("with_downtimes"):
        shown["matching_downtimes"] = matching_downtimes(state, document)
    if call.asked_bool("with_assets"):
        shown["assets"] = []
    return shown


def _check_group_states(call: Call) -> None:
    told = call.asked("group_states")
    if told and not {one.strip().lower() for one in told.split(",")} <= GROUP_STATES:
        refuse("Invalid group_state filters.")


def _read(state: State, call: Call) -> Answer:
    _check_group_states(call)
    return Answer(_shown(state, find_monitor(state, call.names["monitor_id"]), call))


def _list(state: State, call: Call) -> Answer:
    _check_group_states(call)
    found = [one for one in state.storage.all(KIND) if _is_asked(one, call)]
    offset = call.asked_int("id_offset", 0)
    if offset:
        found = [one for one in sorted(found, key=lambda one: one["id"]) if one["id"] > offset]
    if call.asked("page") is not None or call.asked("page_size") is not None:
        size = call.asked_int("page_size", _USUAL_PAGE, 1)
        start = call.asked_int("page", 0) * size
        found = found[start : start + size]
    return Answer([_shown(state, one, call) for one in found])


def _is_asked(monitor: Document, call: Call) -> bool:
    name = call.asked("name")
    if name and name.lower() not in monitor["name"].lower():
        return False
    wanted = [one.strip() for one in (call.asked("monitor_tags") or "").split(",") if one.strip()]
    if not set(wanted) <= set(monitor["tags"]):
        return False
    scope = [one.strip() for one in (call.asked("tags") or "").split(",") if one.strip()]
    return all(one in monitor["query"] for one in scope)


def users_of(state: State, monitor_id: int) -> list[str]:
    """What would miss a monitor that is deleted, in the words of the API."""
    name = find_monitor(state, monitor_id)["name"]
    composites = [
        f"{one['id']},{one['name']}"
        for one in state.storage.all(KIND)
        if one["type"] == "composite" and monitor_id in composed_of(one["query"])
    ]
    slos = [
        f"{one['id']},{one['name']}"
        for one in state.storage.all("slo")
        if monitor_id in (one.get("monitor_ids") or ())
    ]
    told = f"monitor [{monitor_id},{name}] is referenced in"
    said = [f"{told} composite monitors: [{', '.join(composites)}]"] if composites else []
    return said + ([f"{told} slos: [{', '.join(slos)}]"] if slos else [])


def _delete(state: State, call: Call) -> Answer:
    monitor = find_monitor(state, call.names["monitor_id"])
    users = users_of(state, monitor["id"])
    if users and not call.asked_bool("force"):
        raise Refusal(400, *users)
    state.storage.remove(KIND, monitor["id"])
    return Answer({"deleted_monitor_id": monitor["id"]})


def _can_delete(state: State, call: Call) -> Answer:
    told = ",".join(call.query.get("monitor_ids", ()))
    asked = [one.strip() for one in told.split(",") if one.strip()]
    if not asked or not all(one.isdecimal() for one in asked):
        raise bad_request("The value provided for parameter 'monitor_ids' is invalid")
    ids = [find_monitor(state, one)["id"] for one in asked]
    errors = {str(one): said for one in ids if (said := users_of(state, one))}
    ok = [one for one in ids if str(one) not in errors]
    body: dict[str, Any] = {"data": {"ok": ok}, "errors": errors or None}
    return Answer(body, 409 if errors else 200)


ROUTES: Final = (
    Route("POST", "/api/v1/monitor", _create),
    Route("GET", "/api/v1/monitor", _list),
    Route("POST", "/api/v1/monitor/validate", _validate),
    Route("GET", "/api/v1/monitor/can_delete", _can_delete),
    Route("POST", "/api/v1/monitor/{monitor_id}/validate", _validate_existing),
    Route("GET", "/api/v1/monitor/{monitor_id}", _read),
    Route("PUT", "/api/v1/monitor/{monitor_id}", _update),
    Route("DELETE", "/api/v1/monitor/{monitor_id}", _delete),
)
