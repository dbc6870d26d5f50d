"""Events, v2: post (changes and alerts), search, list, read. Pages go on by cursor."""

import itertools
import math
from typing import Any, Final
from urllib.parse import urlencode

from pettwin_pipeline.datadog_protocol.searching import parse_search
from pettwin_pipeline.emulator.clock import parse_moment
from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.refusals import Refusal, bad_request, titled
from pettwin_pipeline.emulator.resources.event_store import (
    encode_cursor,
    find_event,
    keep_event,
    parse_cursor,
    parse_instant,
    record_of,
    shown_v2,
)
from pettwin_pipeline.emulator.resources.events_v1 import NEWEST_S, OLDEST_S
from pettwin_pipeline.emulator.schema import check_body
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document
from pettwin_pipeline.errors import QuerySyntaxError

_USUAL_PAGE: Final = 10
_LARGEST_PAGE: Final = 1_000
_SORTS: Final = ("timestamp", "-timestamp")


def _create(state: State, call: Call) -> Answer:
    body = call.document()
    try:
        check_body(call.operation, body)
    except Refusal as refusal:
        raise titled(400, "Bad Request", refusal.errors[0], with_status=True) from None
    told = body["data"]["attributes"]
    happened_s = _happened_s(state, told.get("timestamp"))
    kept = keep_event(
        state,
        {
            "title": told["title"],
            "text": told.get("message") or "",
            "tags": list(told.get("tags") or ()),
            "timestamp_ms": int(happened_s * 1000),
            "host": told.get("host"),
            "status": told["attributes"].get("status") or "info",
            "source": told.get("integration_id") or told["category"],
            "aggregation_key": told.get("aggregation_key"),
            "category": told["category"],
            "attributes": told["attributes"],
        },
    )
    evt = {"id": kept["id_str"], "uid": kept["uid"]}
    data = {"attributes": {"attributes": {"evt": evt}}, "id": "_", "type": "event"}
    link = f"http://{call.headers.get('host', '')}/event/event?uid={kept['uid']}"
    return Answer({"data": data, "links": {"self": link}}, 202)


def _happened_s(state: State, told: Any) -> float:
    now_s = state.clock.now_s()
    if told is None:
        return now_s
    try:
        happened_s = parse_moment(str(told)).timestamp()
    except ValueError:
        raise titled(400, "Bad Request", "timestamp is no time", with_status=True) from None
    if happened_s > now_s + NEWEST_S:
        raise titled(400, "Bad Request", "Event too far in the future", with_status=True)
    if happened_s < now_s - OLDEST_S:
        raise titled(400, "Bad Request", "Event too far in the past", with_status=True)
    return happened_s


def _list(state: State, call: Call) -> Answer:
    told = {name: call.asked(f"filter[{name}]") for name in ("query", "from", "to")}
    limit, cursor = call.asked_int("page[limit]", _USUAL_PAGE, 1), call.asked("page[cursor]")
    page = {"limit": limit, "cursor": cursor}
    found, after = _found(state, told, page, call.asked("sort"))
    if not found:
        return Answer({"data": []})
    asked = {name: values[-1] for name, values in call.query.items() if name != "page[cursor]"}
    following = urlencode({**asked, "page[cursor]": after})
    link = f"http://{call.headers.get('host', '')}/api/v2/events?{following}"
    return Answer({**_told(found, after), "links": {"next": link}})


def _told(found: list[Document], after: str) -> Document:
    return {"meta": {"page": {"after": after}}, "data": [shown_v2(one) for one in found]}


def _search(state: State, call: Call) -> Answer:
    body = call.checked() if call.raw.strip() else {}
    told, page = body.get("filter") or {}, body.get("page") or {}
    found, after = _found(state, told, page, body.get("sort"))
    return Answer(_told(found, after) if found else {"data": []})


def _found(
    state: State, told: Document, page: Document, sort: str | None
) -> tuple[list[Document], str]:
    """A page of events, and the cursor of the next one."""
    if sort not in {None, "", *_SORTS}:
        raise _invalid("sort", "invalid sort")
    limit = page.get("limit") or _USUAL_PAGE
    if not 0 < limit <= _LARGEST_PAGE:
        raise _invalid("page", "invalid limit")
    after = _parse_cursor(page.get("cursor"))
    begins = parse_instant(state, told.get("from"), "now-15m")
    ends = parse_instant(state, told.get("to"), "now")
    if begins > ends:
        raise _invalid("filter", "from is after to")
    try:
        test = parse_search(told.get("query") or "*")
    except QuerySyntaxError as error:
        raise bad_request(f"Query parsing error: {error}") from None
    every = state.timeline.between(
        "event",
        *_span_ms(begins, ends, after, newest_first := sort != "timestamp"),
        newest_first=newest_first,
    )
    found = (
        one
        for one in every
        if after is None or ((_place(one) < after) == newest_first and _place(one) != after)
    )
    shown = list(itertools.islice((one for one in found if test(record_of(one))), limit))
    return shown, encode_cursor(shown[-1]["uid"]) if shown else ""


def _span_ms(
    begins: float, ends: float, after: tuple[int, str] | None, newest_first: bool
) -> tuple[int, int]:
    """The window, less what the pages before have shown."""
    first, last = math.ceil(begins * 1000), math.floor(ends * 1000)
    if after is not None:
        first, last = (first, min(last, after[0])) if newest_first else (max(first, after[0]), last)
    return first, last


def _place(event: Document) -> tuple[int, str]:
    return event["timestamp_ms"], event["uid"]


def _parse_cursor(told: str | None) -> tuple[int, str] | None:
    try:
        return parse_cursor(told)
    except ValueError:
        raise _invalid("page", "invalid cursor") from None


def _invalid(field: str, why: str) -> Refusal:
    # The real answer looks like this: one service prints the error of another.
    return bad_request(
        f"{{'errors': [u\"input_validation_error(Field '{field}' is invalid: {why})\"]}}"
    )


def _read(state: State, call: Call) -> Answer:
    asked = call.names["event_id"]
    found = find_event(state, asked)
    if found is None:
        raise titled(404, "Not Found", f"Event {asked} not found", with_status=True)
    return Answer({"data": shown_v2(found)})


ROUTES: Final = (
    Route("POST", "/api/v2/events", _create, "api"),
    Route("GET", "/api/v2/events", _list),
    Route("POST", "/api/v2/events/search", _search),
    Route("GET", "/api/v2/events/{event_id}", _read),
)
