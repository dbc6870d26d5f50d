"""Logs, searched by text, tags and attributes (v2 and v1), and aggregated."""

import itertools
import math
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

from pettwin_pipeline.datadog_protocol.monitor_syntax import span_s
from pettwin_pipeline.datadog_protocol.rolling import Grid, grid
from pettwin_pipeline.datadog_protocol.searching import Search, parse_search
from pettwin_pipeline.emulator.clock import at, iso_z
from pettwin_pipeline.emulator.counted_documents import Facet, Measure, counted
from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.refusals import bad_request, refuse
from pettwin_pipeline.emulator.resources.event_store import (
    encode_cursor,
    parse_cursor,
    parse_instant,
)
from pettwin_pipeline.emulator.resources.log_store import log_record_of, timed_logs
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document
from pettwin_pipeline.errors import QuerySyntaxError

_USUAL_PAGE: Final = 10
_LARGEST_PAGE: Final = 1_000
_SORTS: Final = ("timestamp", "-timestamp")


def _search(query: str | None) -> Search:
    try:
        return parse_search(query or "*")
    except QuerySyntaxError as error:
        raise bad_request(f"Query parsing error: {error}") from None


def _window(state: State, told: Document) -> tuple[float, float]:
    begins = parse_instant(state, told.get("from"), "now-15m")
    ends = parse_instant(state, told.get("to"), "now")
    if begins > ends:
        refuse("input_validation_error(Field 'filter' is invalid: from is after to)")
    return begins, ends


def _page(
    state: State, window: tuple[float, float], finds: Search, told: Document
) -> tuple[list[Document], str | None]:
    """So many logs, and the cursor behind them; None where nothing follows.

    Args:
        state: where they are.
        window: from and to, unix time.
        finds: the search.
        told: `limit`, `cursor`, `sort`.
    """
    limit = told.get("limit") or _USUAL_PAGE
    if not 0 < limit <= _LARGEST_PAGE:
        refuse(f"input_validation_error(Field 'page' is invalid: limit is 1 to {_LARGEST_PAGE})")
    if told.get("sort") not in {None, "", *_SORTS}:
        refuse("input_validation_error(Field 'sort' is invalid: invalid sort)")
    newest_first = told.get("sort") != "timestamp"
    found = (one for one in _every(state, window, newest_first) if finds(log_record_of(one)))
    after = _parse_cursor(told.get("cursor"))
    if after is not None:
        found = (
            one for one in found if _place(one) != after and (_place(one) < after) == newest_first
        )
    shown = list(itertools.islice(found, limit + 1))
    if len(shown) <= limit:
        return shown, None
    shown.pop()
    return shown, encode_cursor(shown[-1]["id"])


def _every(state: State, window: tuple[float, float], newest_first: bool) -> Iterator[Document]:
    first, last = math.ceil(window[0] * 1000), math.floor(window[1] * 1000)
    return state.timeline.between("log", first, last, newest_first=newest_first)


def _place(log: Document) -> tuple[int, str]:
    return log["timestamp_ms"], log["id"]


def _parse_cursor(told: str | None) -> tuple[int, str] | None:
    try:
        return parse_cursor(told)
    except ValueError:
        raise bad_request("input_validation_error(Field 'page' is invalid: cursor)") from None


def _shown(log: Document) -> Document:
    attributes = {
        "attributes": log["attributes"],
        "host": log.get("host"),
        "message": log["message"],
        "service": log.get("service"),
        "status": log.get("status"),
        "tags": [*([f"source:{log['source']}"] if log.get("source") else []), *log["tags"]],
        "timestamp": iso_z(at(log["timestamp_ms"] / 1000)),
    }
    told = {name: value for name, value in attributes.items() if value is not None}
    return {"attributes": told, "id": log["id"], "type": "log"}


def _told(found: list[Document], after: str | None) -> Document:
    page = {"page": {"after": after}} if after else {}
    return {"data": [_shown(one) for one in found], "meta": {"status": "done", **page}}


def _search_logs(state: State, call: Call) -> Answer:
    body = call.checked() if call.raw.strip() else {}
    told = body.get("filter") or {}
    asked = {**(body.get("page") or {}), "sort": body.get("sort")}
    return Answer(_told(*_page(state, _window(state, told), _search(told.get("query")), asked)))


def _list_logs(state: State, call: Call) -> Answer:
    told = {name: call.asked(f"filter[{name}]") for name in ("query", "from", "to")}
    asked = {
        "limit": call.asked_int("page[limit]", _USUAL_PAGE, 1),
        "cursor": call.asked("page[cursor]"),
        "sort": call.asked("sort"),
    }
    found, after = _page(state, _window(state, told), _search(told["query"]), asked)
    body = _told(found, after)
    if after:
        given = {name: values[-1] for name, values in call.query.items() if name != "page[cursor]"}
        query = urlencode({**given, "page[cursor]": after})
        body["links"] = {
            "next": f"http://{call.headers.get('host', '')}/api/v2/logs/events?{query}"
        }
    return Answer(body)


def _list_v1(state: State, call: Call) -> Answer:
    body = call.checked()
    told = body.get("time") or {}
    newest_first = (body.get("sort") or "desc") == "desc"
    start = body.get("startAt")
    asked = {
        "limit": body.get("limit") or _USUAL_PAGE,
        "cursor": start and encode_cursor(start),
        "sort": "-timestamp" if newest_first else "timestamp",
    }
    found, after = _page(state, _window(state, told), _search(body.get("query")), asked)
    logs = [{"id": one["id"], "content": _content(one)} for one in (_shown(log) for log in found)]
    return Answer({"logs": logs, "nextLogId": found[-1]["id"] if after else None, "status": "done"})


def _content(shown: Document) -> Document:
    return {name: value for name, value in shown["attributes"].items() if name != "status"}


def _aggregate(state: State, call: Call) -> Answer:
    body = call.checked()
    told = body.get("filter") or {}
    begins, ends = _window(state, told)
    computes = body.get("compute") or [{"aggregation": "count"}]
    facets = [
        Facet(one["facet"], one.get("limit") or _USUAL_PAGE, _missing(one.get("missing")))
        for one in body.get("group_by") or ()
    ]
    groups: dict[tuple[str, ...], Document] = {}
    for place, compute in enumerate(computes):
        over = _grid_of(compute, begins, ends)
        measure = Measure(compute["aggregation"], compute.get("metric"))
        documents = timed_logs(state, begins, ends)
        (frame,) = counted(documents, _search(told.get("query")), [measure], facets, over)
        for group, row in zip(frame.groups, frame.values.tolist(), strict=True):
            groups.setdefault(group, {})[f"c{place}"] = _computed(compute, over, row)
    buckets = [
        {"by": dict(_by(tag, facets) for tag in group), "computes": computed}
        for group, computed in groups.items()
    ]
    return Answer({"data": {"buckets": buckets}, "meta": {"status": "done"}})


def _missing(told: Any) -> str | None:
    return None if told is None else str(told)


def _by(tag: str, facets: list[Facet]) -> tuple[str, str]:
    name, _, value = tag.partition(":")
    return next(one.key for one in facets if one.name == name), value


def _grid_of(compute: Document, begins: float, ends: float) -> Grid:
    if compute.get("type") == "timeseries":
        interval = compute.get("interval")
        asked = span_s(interval) if interval else None
        if interval and not asked:
            refuse("input_validation_error(Field 'compute' is invalid: interval)")
        whole = grid(begins, ends, asked)
        # the bucket that the window begins in counts too
        return whole.widened(1) if whole.start_s > begins else whole
    first = math.floor(begins)
    return Grid(first, max(math.floor(ends) - first + 1, 1), 1)


def _computed(compute: Document, over: Grid, row: list[float]) -> Any:
    if compute.get("type") != "timeseries":
        return None if math.isnan(row[0]) else row[0]
    return [
        {"time": iso_z(at(float(time_s))), "value": value}
        for time_s, value in zip(over.times_s.tolist(), row, strict=True)
        if not math.isnan(value)
    ]


ROUTES: Final = (
    Route("POST", "/api/v2/logs/events/search", _search_logs, apart=True),
    Route("GET", "/api/v2/logs/events", _list_logs, apart=True),
    Route("POST", "/api/v1/logs-queries/list", _list_v1, apart=True),
    Route("POST", "/api/v2/logs/analytics/aggregate", _aggregate, apart=True),
)
