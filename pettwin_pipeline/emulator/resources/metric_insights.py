"""What is known about one metric: its tags, volumes, and what reads it."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from pettwin_pipeline.emulator.clock import iso_z
from pettwin_pipeline.emulator.exchange import NO_CONTENT, Answer, Call, Route
from pettwin_pipeline.emulator.resources import (
    dashboards,
    metric_names,
    metric_tags,
    monitors,
    slos,
)
from pettwin_pipeline.emulator.resources.slo_shape import texts_of
from pettwin_pipeline.emulator.series_index import Metric
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

HISTORY: Final = "historical_metrics_configuration"
_HISTORY_TYPE: Final = "historical_metrics_configurations"
_PLACE: Final = "/api/v2/metrics/{metric_name}"


def _told(metric: str, kind: str, attributes: Document) -> Answer:
    return Answer({"data": {"type": kind, "id": metric, "attributes": attributes}})


def _all_tags(state: State, call: Call) -> Answer:
    metric = metric_names.find_metric(state, call.names["metric_name"])
    return _told(metric.name, "metrics", {"tags": metric.tags})


def _active(state: State, call: Call) -> Answer:
    metric = metric_names.find_metric(state, call.names["metric_name"])
    asked = state.queried.of(metric.name)
    aggregations = [{"space": one, "time": other} for one, other in sorted(asked.aggregations)]
    attributes: Document = {
        "active_tags": sorted(asked.keys),
        "active_aggregations": aggregations,
    }
    return _told(metric.name, "actively_queried_configurations", attributes)


def _volumes(state: State, call: Call) -> Answer:
    metric = metric_names.find_metric(state, call.names["metric_name"])
    series = _output_series(metric)
    if state.storage.has(metric_tags.KIND, metric.name):
        told = {"ingested_volume": series, "indexed_volume": series}
        return _told(metric.name, "metric_volumes", told)
    return _told(metric.name, "distinct_metric_volumes", {"distinct_volume": series})


def _output_series(metric: Metric | None) -> int:
    return len(metric.series) if metric else 0


def _estimate(state: State, call: Call) -> Answer:
    name = call.names["metric_name"]
    metric_names.check_name(name)
    metric = metric_names.known_metric(state, name)
    kind = "count_or_gauge"
    if metric and metric.type == "distribution":
        kind = "percentile" if call.asked_bool("filter[pct]") else "distribution"
    attributes = {
        "estimated_output_series": _output_series(metric),
        "estimate_type": kind,
        "estimated_at": iso_z(state.clock.now()),
    }
    return _told(name, "metric_cardinality_estimate", attributes)


def _cardinalities(state: State, call: Call) -> Answer:
    metric = metric_names.find_metric(state, call.names["metric_name"])
    keys = sorted({tag.partition(":")[0] for tag in metric.tags})
    data = [
        {"type": "tag_cardinality", "id": key, "attributes": {"cardinality_delta": 0}}
        for key in keys
    ]
    return Answer({"data": data, "meta": {"metric_name": metric.name}})


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)


def _reading(
    state: State, kind: str, metric: str, texts: Callable[[Document], Iterator[str]]
) -> list[Document]:
    asked = (f"{metric}{{", f"{metric} ")
    return [
        one
        for one in state.storage.all(kind)
        if any(part in text for text in texts(one) for part in asked)
    ]


def _assets(state: State, call: Call) -> Answer:
    metric = call.names["metric_name"]
    metric_names.check_name(metric)
    readers = {
        "dashboards": _reading(
            state, dashboards.KIND, metric, lambda one: _strings(one["widgets"])
        ),
        "monitors": _reading(state, monitors.KIND, metric, lambda one: _strings(one["query"])),
        "notebooks": [],
        "slos": _reading(state, slos.KIND, metric, lambda one: iter(texts_of(one))),
    }
    relationships, included = {}, []
    for kind, found in readers.items():
        links = [{"id": str(one["id"]), "type": kind} for one in found]
        relationships[kind] = {"data": links}
        for link, one in zip(links, found, strict=True):
            attributes = {"title": one.get("title") or one.get("name"), "popularity": 0}
            included.append({**link, "attributes": attributes})
    data = {"id": metric, "type": "metrics", "relationships": relationships}
    return Answer({"data": data} | ({"included": included} if included else {}))


def _keep_history(state: State, call: Call) -> Answer:
    metric = call.checked()["data"]["id"]
    metric_names.check_name(metric)
    now = iso_z(state.clock.now())
    document = {"id": metric, "type": _HISTORY_TYPE, "attributes": {"created_at": now}}
    state.storage.put(HISTORY, metric, document)
    return Answer({"data": document}, 201)


def _history(state: State, call: Call) -> Answer:
    missing = "Historical metrics configuration not found"
    name = call.names["metric_name"]
    return Answer({"data": metric_names.find_of_metric(state, HISTORY, name, missing)})


def _forget_history(state: State, call: Call) -> Answer:
    _history(state, call)
    state.storage.remove(HISTORY, call.names["metric_name"])
    return NO_CONTENT


_HISTORIES: Final = "/api/v2/metrics/historical-metrics-configurations"
ROUTES: Final = (
    Route("POST", _HISTORIES, _keep_history),
    Route("GET", _HISTORIES + "/{metric_name}", _history),
    Route("DELETE", _HISTORIES + "/{metric_name}", _forget_history),
    Route("GET", _PLACE + "/all-tags", _all_tags),
    Route("GET", _PLACE + "/active-configurations", _active),
    Route("GET", _PLACE + "/volumes", _volumes),
    Route("GET", _PLACE + "/estimate", _estimate),
    Route("GET", _PLACE + "/tag-cardinalities", _cardinalities),
    Route("GET", _PLACE + "/assets", _assets),
)
