"""Dashboard lists, and the dashboards on them (v2)."""

from typing import Any, Final

from pettwin_pipeline.emulator.clock import iso
from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.identity import author
from pettwin_pipeline.emulator.refusals import not_found, refuse
from pettwin_pipeline.emulator.resources import dashboards
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

KIND: Final = "dashboard_list"


def _find(state: State, list_id: str) -> Document:
    found = state.storage.get(KIND, list_id)
    if found is None:
        raise not_found(f"Manual Dashboard List with id {list_id} not found")
    return found


def _shown(document: Document) -> Document:
    shown = {name: value for name, value in document.items() if name != "items"}
    return {**shown, "dashboard_count": len(document["items"])}


def _name(call: Call) -> str:
    name = call.checked()["name"]
    if not name.strip():
        refuse("'name' is invalid")
    return str(name)


def _create(state: State, call: Call) -> Answer:
    now = iso(state.clock.now())
    document: Document = {
        "is_favorite": False,
        "name": _name(call),
        "dashboard_count": 0,
        "author": author(),
        "created": now,
        "type": "manual_dashboard_list",
        "dashboards": None,
        "modified": now,
        "id": state.dice.number(7),
        "items": [],
    }
    state.storage.put(KIND, document["id"], document)
    return Answer(_shown(document))


def _list(state: State, call: Call) -> Answer:
    del call
    return Answer({"dashboard_lists": [_shown(one) for one in state.storage.all(KIND)]})


def _read(state: State, call: Call) -> Answer:
    return Answer(_shown(_find(state, call.names["list_id"])))


def _update(state: State, call: Call) -> Answer:
    document = _find(state, call.names["list_id"])
    document |= {"name": _name(call), "modified": iso(state.clock.now())}
    state.storage.put(KIND, document["id"], document)
    return Answer(_shown(document))


def _delete(state: State, call: Call) -> Answer:
    document = _find(state, call.names["list_id"])
    state.storage.remove(KIND, document["id"])
    return Answer({"deleted_dashboard_list_id": document["id"]})


def _told_items(call: Call) -> list[Document]:
    told = call.checked().get("dashboards") or []
    return [{"type": one["type"], "id": one["id"]} for one in told]


def _check_items(state: State, items: list[Document]) -> None:
    for item in items:
        found = state.storage.get(dashboards.KIND, item["id"])
        if item["type"].startswith("custom_") and found is None:
            raise dashboards.missing(item["id"])


def _put_items(state: State, document: Document, items: list[Document]) -> None:
    changed = {**document, "items": items, "modified": iso(state.clock.now())}
    state.storage.put(KIND, document["id"], changed)


def _read_items(state: State, call: Call) -> Answer:
    items = _find(state, call.names["dashboard_list_id"])["items"]
    shown = [_item(state, one) for one in items]
    return Answer({"total": len(shown), "dashboards": shown})


def _item(state: State, item: Document) -> Document:
    found: dict[str, Any] = state.storage.get(dashboards.KIND, item["id"]) or {}
    shared = any(one["dashboard_id"] == item["id"] for one in state.storage.all("public_dashboard"))
    told = {
        "author": author(),
        "created": found.get("created_at"),
        "modified": found.get("modified_at"),
        "title": found.get("title"),
        "url": found.get("url"),
        "icon": None,
        "integration_id": None,
        "is_favorite": False,
        "is_read_only": found.get("is_read_only", False),
        "is_shared": shared,
        "popularity": 0,
        "tags": found.get("tags"),
    }
    return {**item, **{name: value for name, value in told.items() if found or value is not None}}


def _add_items(state: State, call: Call) -> Answer:
    document, told = _find(state, call.names["dashboard_list_id"]), _told_items(call)
    _check_items(state, told)
    added = [one for one in told if one not in document["items"]]
    _put_items(state, document, [*document["items"], *added])
    return Answer({"added_dashboards_to_list": added})


def _replace_items(state: State, call: Call) -> Answer:
    document, told = _find(state, call.names["dashboard_list_id"]), _told_items(call)
    _check_items(state, told)
    _put_items(state, document, told)
    return Answer({"dashboards": told})


def _remove_items(state: State, call: Call) -> Answer:
    document, told = _find(state, call.names["dashboard_list_id"]), _told_items(call)
    gone = [one for one in told if one in document["items"]]
    _put_items(state, document, [one for one in document["items"] if one not in gone])
    return Answer({"deleted_dashboards_from_list": gone})


_ITEMS: Final = "/api/v2/dashboard/lists/manual/{dashboard_list_id}/dashboards"
ROUTES: Final = (
    Route("POST", "/api/v1/dashboard/lists/manual", _create),
    Route("GET", "/api/v1/dashboard/lists/manual", _list),
    Route("GET", "/api/v1/dashboard/lists/manual/{list_id}", _read),
    Route("PUT", "/api/v1/dashboard/lists/manual/{list_id}", _update),
    Route("DELETE", "/api/v1/dashboard/lists/manual/{list_id}", _delete),
    Route("GET", _ITEMS, _read_items),
    Route("POST", _ITEMS, _add_items),
    Route("PUT", _ITEMS, _replace_items),
    Route("DELETE", _ITEMS, _remove_items),
)
