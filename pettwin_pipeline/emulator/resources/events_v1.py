"""Events, v1: post, read, list. Listed newest first."""

from typing import Any, Final

from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.refusals import not_found, refuse
from pettwin_pipeline.emulator.resources.event_store import find_event, keep_event, rounded_id
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

OLDEST_S: Final = 18 * 3600
NEWEST_S: Final = 365 * 86_400
"""Ahead of now: not documented; it keeps times within what can be told."""
_USUAL_PAGE: Final = 1_000
_LONGEST_TEXT: Final = 4_000
_STATUS: Final = {
    "error": "error",
    "warning": "warn",
    "success": "ok",
    "user_update": "user_update",
}


def _create(state: State, call: Call) -> Answer:
    body = call.checked()
    now_s = state.clock.now_s()
    happened = body.get("date_happened")
    happened_s = int(now_s) if happened is None else int(happened)
    if happened_s < now_s - OLDEST_S:
        refuse("Event too far in the past")
    if happened_s > now_s + NEWEST_S:
        refuse("Event too far in the future")
    tags, host = [str(tag) for tag in body.get("tags") or ()], body.get("host")
    kept = keep_event(
        state,
        {
            "title": body["title"],
            "text": body["text"][:_LONGEST_TEXT],
            "tags": tags,
            "timestamp_ms": happened_s * 1000,
            "host": host,
            "priority": body.get("priority"),
            "status": _STATUS.get(body.get("alert_type") or "info", "info"),
            "alert_type": body.get("alert_type"),
            "source": (body.get("source_type_name") or "api").lower(),
            "aggregation_key": body.get("aggregation_key"),
            "device_name": body.get("device_name"),
            "related_event_id": body.get("related_event_id"),
        },
    )
    event = {
        "id": rounded_id(kept),
        "id_str": kept["id_str"],
        "title": kept["title"],
        "text": kept["text"],
        "date_happened": happened_s,
        "handle": None,
        "priority": kept["priority"],
        "related_event_id": kept["related_event_id"],
        "tags": tags,
        "url": _url(call, kept),
    }
    return Answer({"status": "ok", "event": event}, 202)


def _url(call: Call, event: Document) -> str:
    return f"http://{call.headers.get('host', '')}/event/event?id={event['id_str']}"


def _shown(call: Call, event: Document) -> Document:
    told: Document = {
        "id": rounded_id(event),
        "id_str": event["id_str"],
        "title": event["title"],
        "text": event["text"],
        "date_happened": event["timestamp_ms"] // 1000,
        "alert_type": event.get("alert_type") or "info",
        "priority": event.get("priority") or "normal",
        "host": event.get("host") or "",
        "device_name": event.get("device_name") or "",
        "source": event.get("source") or "",
        "tags": event["tags"],
        "url": _url(call, event),
        "is_aggregate": False,
        "comments": [],
        "children": [],
    }
    return told


def _read(state: State, call: Call) -> Answer:
    found = find_event(state, call.names["event_id"])
    if found is None:
        raise not_found("No event matches that event_id")
    return Answer({"event": _shown(call, found)})


def _list(state: State, call: Call) -> Answer:
    begins, ends = call.asked_second("start"), call.asked_second("end")
    wanted: dict[str, Any] = {"priority": call.asked("priority")}
    sources = {one for one in (call.asked("sources") or "").lower().split(",") if one}
    tags = {one.strip() for one in (call.asked("tags") or "").split(",") if one.strip()}
    found = [
        one
        for one in state.timeline.between("event", begins * 1000, ends * 1000)
        if (not wanted["priority"] or (one.get("priority") or "normal") == wanted["priority"])
        and (not sources or one.get("source") in sources)
        and tags <= set(one["tags"])
    ]
    start = call.asked_int("page", 0) * _USUAL_PAGE
    return Answer({"events": [_shown(call, one) for one in found[start : start + _USUAL_PAGE]]})


ROUTES: Final = (
    Route("POST", "/api/v1/events", _create, "api"),
    Route("GET", "/api/v1/events", _list),
    Route("GET", "/api/v1/events/{event_id}", _read),
)
