"""Tag configurations of metrics: which tags can be queried. Bulk requests are accepted and done."""

from typing import Any, Final
from urllib.parse import urlencode

from pettwin_pipeline.emulator.clock import iso
from pettwin_pipeline.emulator.exchange import NO_CONTENT, Answer, Call, Route
from pettwin_pipeline.emulator.querying import TAG_CONFIGURATION
from pettwin_pipeline.emulator.refusals import Refusal, not_found, refuse
from pettwin_pipeline.emulator.resources import metric_names
from pettwin_pipeline.emulator.resources.tag_indexing_rules import LONGEST_WINDOW_S
from pettwin_pipeline.emulator.series_index import Metric
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

KIND: Final = TAG_CONFIGURATION
_USUAL_PAGE: Final = 10_000
_AGGREGATION: Final = {"gauge": "avg", "count": "sum", "rate": "sum"}
_PLACE: Final = "/api/v2/metrics"


def _find(state: State, call: Call) -> Document:
    name = call.names["metric_name"]
    metric_names.check_name(name)
    found = state.storage.get(KIND, name)
    if found is None:
        raise not_found(f"{name} not found")
    return found


def _checked(attributes: Document) -> Document:
    if attributes["metric_type"] != "distribution" and attributes.get("include_percentiles"):
        refuse("include_percentiles is only for distribution metrics")
    return attributes


def _create(state: State, call: Call) -> Answer:
    name = call.names["metric_name"]
    metric_names.find_metric(state, name)
    told = call.checked_attributes()
    if state.storage.has(KIND, name):
        raise Refusal(409, f"Metric tag configuration for {name} already exists")
    now = iso(state.clock.now())
    attributes: Document = {"tags": [], "created_at": now, "modified_at": now}
    attributes["metric_type"] = kind = told["metric_type"]
    if kind == "distribution":
        attributes["include_percentiles"] = False
    else:
        way = _AGGREGATION[kind]
        attributes["aggregations"] = [{"space": way, "time": way}]
    document = {"type": "manage_tags", "id": name, "attributes": _merged(attributes, told)}
    state.storage.put(KIND, name, document)
    return Answer({"data": document}, 201)


def _merged(attributes: Document, told: Document) -> Document:
    names = ("tags", "include_percentiles", "exclude_tags_mode", "aggregations")
    given = {name: told[name] for name in names if told.get(name) is not None}
    if attributes["metric_type"] != "distribution" and given.get("include_percentiles") is False:
        del given["include_percentiles"]
    return _checked({**attributes, **given})


def _read(state: State, call: Call) -> Answer:
    return Answer({"data": _find(state, call)})


def _update(state: State, call: Call) -> Answer:
    document = _find(state, call)
    attributes = _merged(document["attributes"], call.checked_attributes())
    document["attributes"] = {**attributes, "modified_at": iso(state.clock.now())}
    state.storage.put(KIND, document["id"], document)
    return Answer({"data": document})


def _delete(state: State, call: Call) -> Answer:
    state.storage.remove(KIND, _find(state, call)["id"])
    return NO_CONTENT


def _is_asked(metric: Metric, configured: Document | None, call: Call) -> bool:
    attributes = configured["attributes"] if configured else {}
    wanted = call.asked("filter[configured]")
    if wanted and (wanted.lower() == "true") != (configured is not None):
        return False
    tag = call.asked("filter[tags_configured]")
    if tag and not any(tag in one for one in attributes.get("tags", ())):
        return False
    kind = call.asked("filter[metric_type]")
    if kind and not _is_of_kind(attributes.get("metric_type") or metric.type, kind):
        return False
    percentiles = call.asked("filter[include_percentiles]")
    if percentiles and attributes.get("include_percentiles") != (percentiles.lower() == "true"):
        return False
    tags = call.asked("filter[tags]")
    return not tags or tags.lower() in metric.tags


def _is_of_kind(kind: str, wanted: str) -> bool:
    return (kind == "distribution") == (wanted == "distribution")


def _list(state: State, call: Call) -> Answer:
    configured = {one["id"]: one for one in state.storage.all(KIND)}
    metrics = metric_names.every_metric(state)
    found: list[Document] = []
    for metric in metrics:
        own = configured.get(metric.name)
        if _is_asked(metric, own, call):
            found.append(own or {"type": "metrics", "id": metric.name})
    size = call.asked("page[size]")
    if size is None:
        return Answer({"data": found})
    return Answer(_page(call, found, call.asked_int("page[size]", _USUAL_PAGE, 1)))


def _page(call: Call, found: list[Document], size: int) -> Document:
    cursor = call.asked("page[cursor]") or None
    rest = [one for one in found if cursor is None or one["id"] > cursor]
    page = rest[:size]
    following = page[-1]["id"] if len(rest) > size else None
    pagination: dict[str, Any] = {"type": "cursor_limit", "limit": size, "cursor": cursor}

    def link(to: str | None) -> str:
        told = {"page[size]": size} | ({"page[cursor]": to} if to else {})
        return f"http://{call.headers.get('host', '')}{_PLACE}?{urlencode(told)}"

    links = {
        "self": link(cursor),
        "first": link(None),
        "prev": None,
        "next": link(following) if following else None,
        "last": None,
    }
    meta = {"pagination": {**pagination, "next_cursor": following}}
    return {"data": page, "meta": meta, "links": links}


def _configure_many(state: State, call: Call) -> Answer:
    attributes = call.checked_attributes()
    prefix = call.document()["data"]["id"]
    window = attributes.get("include_actively_queried_tags_window")
    if window is not None and not 1 <= window <= LONGEST_WINDOW_S:
        refuse(f"include_actively_queried_tags_window must be 1 to {LONGEST_WINDOW_S} seconds")
    told = {
        "tags": attributes.get("tags") or [],
        "emails": attributes.get("emails") or [],
        "status": "Accepted",
        "exclude_tags_mode": attributes.get("exclude_tags_mode"),
        "override_existing_configurations": attributes.get(
            "override_existing_configurations", True
        ),
        "include_actively_queried_tags_window": attributes.get(
            "include_actively_queried_tags_window"
        ),
    }
    now = iso(state.clock.now())
    for metric in metric_names.every_metric(state):
        before = state.storage.get(KIND, metric.name)
        if not metric.name.startswith(prefix):
            continue
        if before is None or told["override_existing_configurations"]:
            base = (before or {}).get("attributes") or {"created_at": now}
            fresh = {
                **base,
                "metric_type": metric.type,
                "tags": told["tags"],
                "modified_at": now,
            }
            document = {"type": "manage_tags", "id": metric.name, "attributes": fresh}
            state.storage.put(KIND, metric.name, document)
    return _bulk_answer(prefix, told)


def _bulk_answer(prefix: str, attributes: Document) -> Answer:
    data = {"type": "metric_bulk_configure_tags", "id": prefix, "attributes": attributes}
    return Answer({"data": data}, 202)


def _forget_many(state: State, call: Call) -> Answer:
    body = call.checked()["data"]
    for one in state.storage.all(KIND):
        if one["id"].startswith(body["id"]):
            state.storage.remove(KIND, one["id"])
    told = {"emails": (body.get("attributes") or {}).get("emails") or [], "status": "Accepted"}
    return _bulk_answer(body["id"], {**told, "override_existing_configurations": True})


_ONE: Final = _PLACE + "/{metric_name}/tags"
_MANY: Final = _PLACE + "/config/bulk-tags"
ROUTES: Final = (
    Route("GET", _PLACE, _list),
    Route("POST", _MANY, _configure_many),
    Route("DELETE", _MANY, _forget_many),
    Route("POST", _ONE, _create),
    Route("GET", _ONE, _read),
    Route("PATCH", _ONE, _update),
    Route("DELETE", _ONE, _delete),
)
