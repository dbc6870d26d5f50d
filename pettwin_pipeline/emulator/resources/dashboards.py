"""Dashboards: create, read, list, update, delete, restore.

What is sent comes back; the server adds ids, author, times and URL, and null or an empty list for
some fields that are absent. Deleted ones can be restored for 30 days. Source: recordings.
"""

from typing import Any, Final

from pettwin_pipeline.emulator.clock import iso
from pettwin_pipeline.emulator.exchange import NO_CONTENT, Answer, Call, Route
from pettwin_pipeline.emulator.identity import HANDLE, NAME
from pettwin_pipeline.emulator.refusals import Refusal, not_found
from pettwin_pipeline.emulator.resources.dashboard_rules import (
    check_dashboard,
    slug,
    with_tab_ids,
    with_widget_ids,
)
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

KIND: Final = "dashboard"
DELETED: Final = "dashboard_deleted"
_MADE_HERE: Final = frozenset(
    {"id", "author_handle", "author_name", "url", "created_at", "modified_at", "is_read_only"}
)
_ABSENT: Final[dict[str, Any]] = {
    "description": None,
    "template_variables": None,
    "notify_list": None,
    "restricted_roles": [],
}
_LISTED: Final = (
    "id", "title", "description", "layout_type", "url", "created_at", "modified_at",
    "author_handle",
)  # fmt: skip


def missing(dashboard_id: str) -> Refusal:
    """There is no such dashboard."""
    return not_found(f"Dashboard with ID {dashboard_id} not found")


def find_dashboard(state: State, dashboard_id: str) -> Document:
    """A dashboard.

    Raises:
        Refusal: 404.
    """
    found = state.storage.get(KIND, dashboard_id)
    if found is None:
        raise missing(dashboard_id)
    return found


def _built(state: State, body: Document, before: Document | None) -> Document:
    """A dashboard as it is kept, from what was sent."""
    check_dashboard(body)
    sent = {name: value for name, value in body.items() if name not in _MADE_HERE}
    dashboard_id = before["id"] if before else state.dice.dashboard_id()
    now = iso(state.clock.now())
    made = {
        "id": dashboard_id,
        "author_handle": HANDLE,
        "author_name": NAME,
        "url": f"/dashboard/{dashboard_id}/{slug(body['title'])}",
        "created_at": before["created_at"] if before else now,
        "modified_at": now,
    }
    widgets = with_widget_ids(sent["widgets"], state.dice)
    full = {**_ABSENT, **sent, **made, "widgets": widgets}
    if sent.get("tabs"):
        full["tabs"] = with_tab_ids(sent["tabs"], widgets, state.dice)
    if "is_read_only" in body:
        full["is_read_only"] = body["is_read_only"]
    return full


def _create(state: State, call: Call) -> Answer:
    dashboard = _built(state, call.document(), None)
    state.storage.put(KIND, dashboard["id"], dashboard)
    return Answer(dashboard)


def _read(state: State, call: Call) -> Answer:
    return Answer(find_dashboard(state, call.names["dashboard_id"]))


def _update(state: State, call: Call) -> Answer:
    before = find_dashboard(state, call.names["dashboard_id"])
    dashboard = _built(state, call.document(), before)
    state.storage.put(KIND, dashboard["id"], dashboard)
    return Answer(dashboard)


def _delete(state: State, call: Call) -> Answer:
    dashboard = find_dashboard(state, call.names["dashboard_id"])
    _move_to_bin(state, [dashboard])
    return Answer({"deleted_dashboard_id": dashboard["id"]})


def _move_to_bin(state: State, dashboards: list[Document]) -> None:
    now = iso(state.clock.now())
    with state.storage.together():
        for dashboard in dashboards:
            state.storage.remove(KIND, dashboard["id"])
            state.storage.put(DELETED, dashboard["id"], {**dashboard, "deleted_at": now})


def _ids(call: Call) -> list[str]:
    return [str(one["id"]) for one in call.checked()["data"]]


def _delete_many(state: State, call: Call) -> Answer:
    _move_to_bin(state, [find_dashboard(state, one) for one in _ids(call)])
    return NO_CONTENT


def _restore(state: State, call: Call) -> Answer:
    found = []
    for dashboard_id in _ids(call):
        dashboard = state.storage.get(DELETED, dashboard_id)
        if dashboard is None:
            raise missing(dashboard_id)
        found.append(dashboard)
    with state.storage.together():
        for dashboard in found:
            del dashboard["deleted_at"]
            state.storage.remove(DELETED, dashboard["id"])
            state.storage.put(KIND, dashboard["id"], dashboard)
    return NO_CONTENT


def _list(state: State, call: Call) -> Answer:
    deleted = call.asked_bool("filter[deleted]")
    found = state.storage.all(DELETED if deleted else KIND)
    if call.asked_bool("filter[shared]"):
        shared = {one["dashboard_id"] for one in state.storage.all("public_dashboard")}
        found = [one for one in found if one["id"] in shared]
    start = call.asked_int("start", 0)
    page = found[start : start + call.asked_int("count", len(found) or 1, 1)]
    return Answer({"dashboards": [_summary(one) for one in page]})


def _summary(dashboard: Document) -> Document:
    told = {name: dashboard[name] for name in _LISTED}
    read_only = dashboard.get("is_read_only", False)
    return {**told, "is_read_only": read_only, "deleted_at": dashboard.get("deleted_at")}


ROUTES: Final = (
    Route("POST", "/api/v1/dashboard", _create),
    Route("GET", "/api/v1/dashboard", _list),
    Route("DELETE", "/api/v1/dashboard", _delete_many),
    Route("PATCH", "/api/v1/dashboard", _restore),
    Route("GET", "/api/v1/dashboard/{dashboard_id}", _read),
    Route("PUT", "/api/v1/dashboard/{dashboard_id}", _update),
    Route("DELETE", "/api/v1/dashboard/{dashboard_id}", _delete),
)
