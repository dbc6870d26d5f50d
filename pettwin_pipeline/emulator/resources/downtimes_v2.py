"""Downtimes, v2: once or recurring, for one monitor or for those with tags.

One that was cancelled still reads, as canceled. Source: recordings.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from pettwin_pipeline.emulator.clock import iso, parse_moment
from pettwin_pipeline.emulator.exchange import NO_CONTENT, Answer, Call, Route
from pettwin_pipeline.emulator.identity import user, user_link
from pettwin_pipeline.emulator.refusals import bad_request, not_found, refuse
from pettwin_pipeline.emulator.resources import monitors
from pettwin_pipeline.emulator.resources.downtime_matches import V2, running_v2
from pettwin_pipeline.emulator.resources.recurrence import current_turn, parse_duration, parse_rule
from pettwin_pipeline.emulator.resources.tag_scopes import check_scope
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DEFAULTS: Final[Document] = {
    "message": None,
    "mute_first_recovery_notification": False,
    "notify_end_states": ["alert", "no data", "warn"],
    "notify_end_types": ["expired"],
}
_USUAL_PAGE: Final = 30


def _find(state: State, call: Call, words: str = "Downtime not found") -> Document:
    downtime_id = call.names["downtime_id"]
    if not UUID.fullmatch(downtime_id):
        refuse("Invalid URL param: downtime_id must be an uuid")
    found = state.storage.get(V2, downtime_id.lower())
    if found is None:
        raise not_found(words)
    return found


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(str(name or "UTC"))
    except (ValueError, OSError, KeyError):
        raise bad_request("Invalid timezone") from None


def _moment(told: Any) -> datetime:
    """A time with an offset of zero; one without an offset is refused."""
    try:
        moment = datetime.fromisoformat(str(told))
    except ValueError:
        raise bad_request(f"Invalid datetime: {told}") from None
    if moment.utcoffset() != timedelta(0):
        refuse(f"Invalid datetime: {told} must include a UTC offset of zero")
    return moment.astimezone(UTC)


def _schedule(state: State, told: Document | None) -> Document:
    told = told or {}
    if told.get("recurrences"):
        return _recurring(state, told)
    now = state.clock.now()
    start = now if told.get("start") is None else _moment(told["start"])
    end = None if told.get("end") is None else _moment(told["end"])
    if end is not None and end <= start:
        refuse("Invalid schedule: end must be after start")
    return {"start": start.isoformat(), "end": None if end is None else end.isoformat()}


def _recurring(state: State, told: Document) -> Document:
    zone, now = _zone(told.get("timezone")), state.clock.now()
    recurrences, found = [], []
    for one in told["recurrences"]:
        start = now if one.get("start") is None else _local_moment(one["start"], zone)
        turn = current_turn(
            parse_rule(one["rrule"]), start, zone, parse_duration(one["duration"]), now
        )
        shown = start.astimezone(zone).replace(tzinfo=None).isoformat()
        recurrences.append({"rrule": one["rrule"], "duration": one["duration"], "start": shown})
        found += [turn] if turn else []
    begins, ends = min(found) if found else (None, None)
    current = {"start": begins and begins.isoformat(), "end": ends and ends.isoformat()}
    zone_name = told.get("timezone") or "UTC"
    return {"timezone": zone_name, "recurrences": recurrences, "current_downtime": current}


def _local_moment(text: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise bad_request(f"Invalid datetime: {text}") from None
    if moment.tzinfo is not None:
        refuse(f"Invalid datetime: {text} must not include a UTC offset")
    return moment.replace(tzinfo=zone)


def _target(state: State, told: Document) -> Document:
    if told.get("monitor_id") is not None:
        monitors.find_monitor(state, told["monitor_id"])
        return {"monitor_id": told["monitor_id"]}
    if not told.get("monitor_tags"):
        refuse("Invalid monitor_identifier: monitor_id or monitor_tags is needed")
    return {"monitor_tags": list(told["monitor_tags"])}


def _create(state: State, call: Call) -> Answer:
    told = call.checked_attributes()
    check_scope(told["scope"])
    now = state.clock.now()
    document = {
        **_DEFAULTS,
        **{name: told[name] for name in _DEFAULTS if told.get(name) is not None},
        "id": state.dice.uuid(),
        "number": state.dice.number(10),
        "scope": told["scope"],
        "monitor_identifier": _target(state, told["monitor_identifier"]),
        "schedule": _schedule(state, told.get("schedule")),
        "display_timezone": _zone(told.get("display_timezone")).key,
        "created": iso(now),
        "modified": iso(now),
        "canceled": None,
    }
    state.storage.put(V2, document["id"], document)
    return Answer(_with_users(state, document))


def _status(state: State, document: Document) -> str:
    if document["canceled"] is not None:
        return "canceled"
    schedule, now = document["schedule"], state.clock.now()
    times = schedule.get("current_downtime") or schedule
    if times["end"] is not None and parse_moment(times["end"]) <= now:
        return "ended"
    if times["start"] is None:
        return "ended"
    return "active" if parse_moment(times["start"]) <= now else "scheduled"


def _data(state: State, document: Document) -> Document:
    hidden = {"id", "number"}
    document = _with_current_turn(state, document)
    attributes = {name: value for name, value in document.items() if name not in hidden}
    attributes["status"] = _status(state, document)
    return {"type": "downtime", "id": document["id"], "attributes": attributes}


def _with_current_turn(state: State, document: Document) -> Document:
    if "recurrences" not in document["schedule"]:
        return document
    return {**document, "schedule": _recurring(state, document["schedule"])}


def _relationships(document: Document) -> Document:
    monitor_id = document["monitor_identifier"].get("monitor_id")
    monitor = None if monitor_id is None else {"type": "monitors", "id": str(monitor_id)}
    return {"created_by": user_link(), "monitor": {"data": monitor}}


def _with_users(state: State, document: Document) -> Document:
    data = {**_data(state, document), "relationships": _relationships(document)}
    return {"data": data, "included": [user()]}


def _included_monitor(state: State, document: Document) -> list[Document]:
    monitor_id = document["monitor_identifier"].get("monitor_id")
    monitor = None if monitor_id is None else state.storage.get(monitors.KIND, monitor_id)
    if monitor is None:
        return []
    # The id is a number here and text in the relationship, as the client's models have it.
    return [{"type": "monitors", "id": monitor["id"], "attributes": {"name": monitor["name"]}}]


def _read(state: State, call: Call) -> Answer:
    document = _find(state, call)
    wanted = {one.strip() for one in (call.asked("include") or "").split(",")} - {""}
    if not wanted <= {"created_by", "monitor"}:
        refuse("Invalid include parameter")
    data = _data(state, document)
    if not wanted:
        return Answer({"data": data})
    data["relationships"] = _relationships(document)
    included = [user()] if "created_by" in wanted else []
    included += _included_monitor(state, document) if "monitor" in wanted else []
    return Answer({"data": data, "included": included})


def _list(state: State, call: Call) -> Answer:
    found = [_data(state, one) for one in state.storage.all(V2)]
    over = {"canceled", "ended"} | ({"scheduled"} if call.asked_bool("current_only") else set())
    found = [one for one in found if one["attributes"]["status"] not in over]
    page = _page(call, found)
    return Answer({"data": page, "meta": {"page": {"total_filtered_count": len(found)}}})


def _page(call: Call, found: list[Document]) -> list[Document]:
    start = call.asked_int("page[offset]", 0)
    return found[start : start + call.asked_int("page[limit]", _USUAL_PAGE, 1)]


def _update(state: State, call: Call) -> Answer:
    document = _find(state, call)
    told = call.checked_attributes()
    changed = {name: told[name] for name in _DEFAULTS if name in told}
    if told.get("scope") is not None:
        check_scope(told["scope"])
        changed["scope"] = told["scope"]
    if told.get("monitor_identifier") is not None:
        changed["monitor_identifier"] = _target(state, told["monitor_identifier"])
    if told.get("schedule") is not None:
        changed["schedule"] = _schedule(state, {**_once(document), **told["schedule"]})
    if "display_timezone" in told:
        changed["display_timezone"] = _zone(told["display_timezone"]).key
    document |= {**changed, "modified": iso(state.clock.now())}
    state.storage.put(V2, document["id"], document)
    return Answer(_with_users(state, document))


def _once(document: Document) -> Document:
    schedule: Document = document["schedule"]
    return {} if "recurrences" in schedule else schedule


def _cancel(state: State, call: Call) -> Answer:
    words = f"Downtime {call.names['downtime_id']} not found"
    document = _find(state, call, words)
    if document["canceled"] is None:
        now = iso(state.clock.now())
        state.storage.put(V2, document["id"], {**document, "canceled": now, "modified": now})
    return NO_CONTENT


def _matches(state: State, call: Call) -> Answer:
    monitor_id = call.names["monitor_id"]
    monitor = state.storage.get(monitors.KIND, monitor_id)
    if monitor is None:
        raise not_found(f"Monitor with id {monitor_id} not found")
    found = []
    for one in running_v2(state, monitor):
        times = one["schedule"].get("current_downtime") or one["schedule"]
        told = {"groups": ["*"], "scope": one["scope"], **{k: times[k] for k in ("start", "end")}}
        found.append({"type": "downtime_match", "id": one["id"], "attributes": told})
    page = _page(call, found)
    return Answer({"data": page, "meta": {"page": {"total_filtered_count": len(found)}}})


ROUTES: Final = (
    Route("POST", "/api/v2/downtime", _create),
    Route("GET", "/api/v2/downtime", _list),
    Route("GET", "/api/v2/downtime/{downtime_id}", _read),
    Route("PATCH", "/api/v2/downtime/{downtime_id}", _update),
    Route("DELETE", "/api/v2/downtime/{downtime_id}", _cancel),
    Route("GET", "/api/v2/monitor/{monitor_id}/downtime_matches", _matches),
)
