"""Downtimes, v1: deprecated, still spoken by older clients. Kept apart from those of v2."""

from typing import Any, Final

from pettwin_pipeline.emulator.exchange import NO_CONTENT, Answer, Call, Route
from pettwin_pipeline.emulator.identity import ORG_ID, USER_ID
from pettwin_pipeline.emulator.refusals import not_found, refuse
from pettwin_pipeline.emulator.resources import monitors
from pettwin_pipeline.emulator.resources.downtime_matches import V1, concerns
from pettwin_pipeline.emulator.resources.recurrence import parse_rule
from pettwin_pipeline.emulator.schema import check_body
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

_RECURRENCES: Final = frozenset({"days", "weeks", "months", "years", "rrule"})
_WEEK_DAYS: Final = frozenset({"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"})
_OF_EVERYTHING, _OF_HOSTS, _OF_A_SCOPE = 0, 1, 2
_SETTABLE: Final[tuple[str, ...]] = (
    "message", "monitor_id", "monitor_tags", "scope", "start", "end", "timezone",
    "mute_first_recovery_notification", "notify_end_states", "notify_end_types", "recurrence",
    "disabled",
)  # fmt: skip


def _find(state: State, call: Call) -> Document:
    found = state.storage.get(V1, call.names["downtime_id"])
    if found is None:
        raise not_found("Downtime not found")
    return found


def _scope(told: Any) -> list[str]:
    scope = told.split(",") if isinstance(told, str) else told
    if not isinstance(scope, list) or not scope or not all(isinstance(one, str) for one in scope):
        refuse("Invalid scope parameter")
    if not all(one == "*" or ":" in one for one in scope):
        refuse("Invalid scope parameter")
    return list(scope)


def _body(call: Call) -> Document:
    """The body; a scope may be text too, which older clients send."""
    body = call.document()
    if isinstance(body.get("scope"), str):
        body["scope"] = body["scope"].split(",")
    check_body(call.operation, body)
    return body


def _recurrence(told: Document | None) -> Document | None:
    if not told:
        return None
    if told.get("type") not in _RECURRENCES:
        refuse("Invalid recurrence type")
    if told["type"] == "rrule":
        parse_rule(str(told.get("rrule", "")))
        return dict(told)
    days = told.get("week_days")
    if days is not None and (told["type"] != "weeks" or not set(days) <= _WEEK_DAYS):
        refuse("Invalid recurrence week_days")
    if told.get("until_date") is not None and told.get("until_occurrences") is not None:
        refuse("Invalid recurrence: until_date and until_occurrences are mutually exclusive")
    return {
        "type": told["type"],
        "period": told.get("period", 1),
        "week_days": told.get("week_days"),
        "until_occurrences": told.get("until_occurrences"),
        "until_date": told.get("until_date"),
    }


def _settled(state: State, told: Document) -> Document:
    document = {**told, "scope": _scope(told.get("scope"))}
    document["recurrence"] = _recurrence(told.get("recurrence"))
    if document["monitor_id"] is not None:
        monitors.find_monitor(state, document["monitor_id"])
    if document["end"] is not None and document["end"] <= document["start"]:
        refuse("Invalid end parameter: it must be after start")
    document["downtime_type"] = _type_of(document["scope"])
    return document


def _type_of(scope: list[str]) -> int:
    if scope == ["*"]:
        return _OF_EVERYTHING
    return _OF_HOSTS if all(one.startswith("host:") for one in scope) else _OF_A_SCOPE


def new_downtime(state: State, told: Document) -> Document:
    """Keep a downtime.

    Raises:
        Refusal: 400, or 404 for a monitor that is not there.
    """
    now_s = int(state.clock.now_s())
    defaults = {
        "message": None,
        "monitor_id": None,
        "monitor_tags": ["*"],
        "start": now_s,
        "end": None,
        "timezone": "UTC",
        "mute_first_recovery_notification": False,
        "notify_end_states": ["alert", "no data", "warn"],
        "notify_end_types": ["expired"],
        "disabled": False,
    }
    made = {
        "id": state.dice.number(10),
        "org_id": ORG_ID,
        "canceled": None,
        "created": now_s,
        "modified": now_s,
        "parent_id": None,
        "child_id": None,
        "creator_id": USER_ID,
        "updater_id": None,
        "uuid": state.dice.uuid(),
    }
    document = {**_settled(state, {**defaults, **told}), **made}
    state.storage.put(V1, document["id"], document)
    return document


def _create(state: State, call: Call) -> Answer:
    body = _body(call)
    told = {name: body[name] for name in _SETTABLE if body.get(name) is not None}
    return Answer(_shown(state, new_downtime(state, told)))


def _shown(state: State, document: Document) -> Document:
    now_s = state.clock.now_s()
    ended = document["end"] is not None and document["end"] <= now_s and not document["recurrence"]
    if document["canceled"] is not None:
        status = "canceled"
    elif document["start"] > now_s:
        status = "scheduled"
    else:
        status = "ended" if ended else "active"
    return {**document, "active": status == "active", "status": status}


def _read(state: State, call: Call) -> Answer:
    return Answer(_shown(state, _find(state, call)))


def _list(state: State, call: Call) -> Answer:
    found = [_shown(state, one) for one in state.storage.all(V1)]
    if call.asked_bool("current_only"):
        found = [one for one in found if one["active"]]
    return Answer(found)


def _update(state: State, call: Call) -> Answer:
    before = _find(state, call)
    body = _body(call)
    told = {name: body.get(name, before.get(name)) for name in _SETTABLE}
    now_s = int(state.clock.now_s())
    changed = {**before, **_settled(state, told), "modified": now_s, "updater_id": USER_ID}
    state.storage.put(V1, changed["id"], changed)
    return Answer(_shown(state, changed))


def cancel_downtime(state: State, document: Document) -> None:
    """Cancel one, if it is not."""
    if document["canceled"] is None:
        now_s = int(state.clock.now_s())
        changed = {**document, "canceled": now_s, "modified": now_s, "disabled": True}
        state.storage.put(V1, document["id"], changed)


def _cancel(state: State, call: Call) -> Answer:
    cancel_downtime(state, _find(state, call))
    return NO_CONTENT


def _cancel_by_scope(state: State, call: Call) -> Answer:
    scope = set(_scope(call.checked()["scope"]))
    found = [
        one
        for one in state.storage.all(V1)
        if one["canceled"] is None and scope <= set(one["scope"])
    ]
    if not found:
        raise not_found("Downtimes not found")
    for one in found:
        cancel_downtime(state, one)
    return Answer({"cancelled_ids": [one["id"] for one in found]})


def _of_monitor(state: State, call: Call) -> Answer:
    monitor = monitors.find_monitor(state, call.names["monitor_id"])
    found = [_shown(state, one) for one in state.storage.all(V1)]
    return Answer(
        [
            one
            for one in found
            if one["active"] and concerns(monitor, one["monitor_id"], one["monitor_tags"])
        ]
    )


ROUTES: Final = (
    Route("POST", "/api/v1/downtime", _create),
    Route("GET", "/api/v1/downtime", _list),
    Route("POST", "/api/v1/downtime/cancel/by_scope", _cancel_by_scope),
    Route("GET", "/api/v1/downtime/{downtime_id}", _read),
    Route("PUT", "/api/v1/downtime/{downtime_id}", _update),
    Route("DELETE", "/api/v1/downtime/{downtime_id}", _cancel),
    Route("GET", "/api/v1/monitor/{monitor_id}/downtimes", _of_monitor),
)
