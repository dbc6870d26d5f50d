"""Names and metadata of metrics (v1): what is active, search, description and units."""

from typing import Final

from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.refusals import bad_request, not_found
from pettwin_pipeline.emulator.resources import metric_names
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

KIND: Final = "metric_metadata"
_SETTABLE: Final[tuple[str, ...]] = (
    "description",
    "per_unit",
    "short_name",
    "statsd_interval",
    "type",
    "unit",
)
_ABSENT: Final[Document] = {
    "description": None,
    "short_name": None,
    "integration": None,
    "statsd_interval": None,
    "per_unit": None,
    "type": None,
    "unit": None,
}


def _kept(state: State, name: str) -> Document | None:
    told = state.storage.get(KIND, name)
    metric = metric_names.known_metric(state, name)
    if told is None and metric is None:
        return None
    of_points = {"type": metric.type} if metric else {}
    return {**_ABSENT, **of_points, **(told or {})}


def keep_unit(state: State, name: str, unit: str) -> None:
    """Remember the unit that came with points, where nobody has set one."""
    told = state.storage.get(KIND, name) or {}
    if not told.get("unit"):
        state.storage.put(KIND, name, {**told, "unit": unit})


def _read(state: State, call: Call) -> Answer:
    name = call.names["metric_name"]
    found = _kept(state, name)
    if found is None:
        raise not_found(f"metric '{name}' does not exist")
    return Answer(found)


def _update(state: State, call: Call) -> Answer:
    name = call.names["metric_name"]
    body = call.checked()
    told = {field: body[field] for field in _SETTABLE if field in body}
    state.storage.put(KIND, name, {**(state.storage.get(KIND, name) or {}), **told})
    return Answer(_kept(state, name))


def _active(state: State, call: Call) -> Answer:
    since = call.asked("from")
    if since is None or not since.lstrip("-").isdecimal():
        raise bad_request("The parameter 'from' is required")
    host, tag = call.asked("host"), call.asked("tag_filter")
    found = [
        one.name
        for one in metric_names.every_metric(state)
        if one.seen_s >= int(since)
        and (not host or host in one.hosts)
        and (not tag or tag == "*" or tag.lower() in one.tags)
    ]
    return Answer({"metrics": sorted(found), "from": since})


def _search(state: State, call: Call) -> Answer:
    query = call.asked("q")
    if query is None:
        raise bad_request("The parameter 'q' is required")
    facet, _, text = query.rpartition(":")
    if facet not in {"", "metrics", "hosts"}:
        raise bad_request(f"Invalid facet: {facet}")
    metrics = metric_names.every_metric(state)
    results: dict[str, list[str]] = {}
    if facet in {"", "metrics"}:
        results["metrics"] = sorted(one.name for one in metrics if text in one.name)
    if facet in {"", "hosts"}:
        results["hosts"] = sorted({host for one in metrics for host in one.hosts if text in host})
    return Answer({"results": results})


ROUTES: Final = (
    Route("GET", "/api/v1/metrics", _active),
    Route("GET", "/api/v1/search", _search),
    Route("GET", "/api/v1/metrics/{metric_name}", _read),
    Route("PUT", "/api/v1/metrics/{metric_name}", _update),
)
