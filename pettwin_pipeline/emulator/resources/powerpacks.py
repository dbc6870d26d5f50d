"""Powerpacks: a group of widgets that dashboards share. Source: one recording, the client."""

from typing import Final
from urllib.parse import urlencode

from pettwin_pipeline.emulator.exchange import NO_CONTENT, Answer, Call, Route
from pettwin_pipeline.emulator.identity import HANDLE, NAME, USER_UUID, user_link
from pettwin_pipeline.emulator.refusals import not_found, refuse
from pettwin_pipeline.emulator.resources.dashboard_rules import with_widget_ids
from pettwin_pipeline.emulator.resources.downtimes_v2 import UUID
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

KIND: Final = "powerpack"
_USUAL_PAGE: Final = 25
_SETTABLE: Final[tuple[str, ...]] = (
    "name",
    "description",
    "group_widget",
    "template_variables",
    "tags",
)
_PLACE: Final = "/api/v2/powerpacks"


def _find(state: State, call: Call) -> Document:
    powerpack_id = call.names["powerpack_id"]
    if not UUID.fullmatch(powerpack_id):
        refuse("Invalid URL param: powerpack_id must be an uuid")
    found = state.storage.get(KIND, powerpack_id)
    if found is None:
        raise not_found("Powerpack not found")
    return found


def _attributes(state: State, told: Document) -> Document:
    attributes = {name: told[name] for name in _SETTABLE if name in told}
    group = attributes.get("group_widget")
    if group:
        widgets = with_widget_ids(group["definition"]["widgets"], state.dice)
        definition = {**group["definition"], "widgets": widgets}
        attributes["group_widget"] = {**group, "definition": definition}
    return attributes


def _author() -> Document:
    """Shorter here than elsewhere."""
    return {"type": "users", "id": USER_UUID, "attributes": {"name": NAME, "email": HANDLE}}


def _shown(document: Document) -> Document:
    return {**document, "relationships": {"author": user_link()}}


def _create(state: State, call: Call) -> Answer:
    attributes = _attributes(state, call.checked_attributes())
    document: Document = {"type": "powerpack", "id": state.dice.uuid(), "attributes": attributes}
    state.storage.put(KIND, document["id"], document)
    return Answer({"data": _shown(document), "included": [_author()]})


def _read(state: State, call: Call) -> Answer:
    return Answer({"data": _shown(_find(state, call)), "included": [_author()]})


def _update(state: State, call: Call) -> Answer:
    document = _find(state, call)
    document["attributes"] |= _attributes(state, call.checked_attributes())
    state.storage.put(KIND, document["id"], document)
    return Answer({"data": _shown(document), "included": [_author()]})


def _delete(state: State, call: Call) -> Answer:
    state.storage.remove(KIND, _find(state, call)["id"])
    return NO_CONTENT


def _list(state: State, call: Call) -> Answer:
    found = [_shown(one) for one in state.storage.all(KIND)]
    limit = call.asked_int("page[limit]", _USUAL_PAGE, 1)
    start = call.asked_int("page[offset]", 0)
    last = max(0, (len(found) - 1) // limit * limit)
    told = {
        "type": "offset_limit",
        "offset": start,
        "limit": limit,
        "total": len(found),
        "first_offset": 0,
        "prev_offset": max(0, start - limit),
        "next_offset": start + limit,
        "last_offset": last,
    }

    def link(to: int) -> str:
        query = urlencode({"page[offset]": to, "page[limit]": limit})
        return f"http://{call.headers.get('host', '')}{_PLACE}?{query}"

    links = {
        "self": link(start),
        "first": link(0),
        "prev": link(max(0, start - limit)) if start else None,
        "next": link(start + limit),
        "last": link(last),
    }
    body: Document = {"data": found[start : start + limit], "meta": {"pagination": told}}
    return Answer({**body, "links": links, "included": [_author()] if found else []})


ROUTES: Final = (
    Route("POST", _PLACE, _create),
    Route("GET", _PLACE, _list),
    Route("GET", _PLACE + "/{powerpack_id}", _read),
    Route("PATCH", _PLACE + "/{powerpack_id}", _update),
    Route("DELETE", _PLACE + "/{powerpack_id}", _delete),
)
