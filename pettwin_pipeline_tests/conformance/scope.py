"""Which recorded interactions the local Datadog cannot be held to, each with the reason.

Decided by rules, not by names: a product that is not spoken, or an answer that shows what the
recorded account held and nothing in the recording had made.
"""

import re
from collections.abc import Iterator
from typing import Any

from pettwin_pipeline_tests.conformance.recordings import Interaction

PRODUCTS = {
    "/api/v1/synthetics": "Synthetic Monitoring",
    "/api/v2/users": "users",
}
KEPT_SOURCES = frozenset({"metrics", "events", "logs", "slo"})
"""Data sources of queries that this project keeps data for."""
_IDS = frozenset({"id", "public_id", "monitor_id", "uuid", "token"})
_METRIC = re.compile(r"/api/v2/metrics/([^/]+)/(?:assets|estimate|volumes|all-tags|active.*)$")
OF_THE_ACCOUNT = "shows what the recorded account held"
_OK = range(200, 300)


def ids_in(value: Any, key: str = "") -> Iterator[str]:
    """Every id that an answer gives."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from ids_in(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from ids_in(inner, key)
    elif key in _IDS and value is not None and len(str(value)) > 1:
        yield str(value)


def reasons(interactions: list[Interaction], answers: list[Any]) -> list[str | None]:
    """For each interaction of a recording why it is out of scope, or None.

    Args:
        interactions: as recorded.
        answers: their recorded bodies.
    """
    made: set[str] = set()
    foreign: set[str] = set()
    found: list[str | None] = []
    for interaction, answer in zip(interactions, answers, strict=True):
        reason = _reason(interaction, answer, made, foreign)
        (foreign if reason else made).update(ids_in(answer))
        if reason is None:
            made.update(_sent(interaction["request"]))
        found.append(reason)
    return found


def _sent(request: dict[str, Any]) -> Iterator[str]:
    """What a request makes known: the ids in it, and metrics that it sends points of."""
    told = (request.get("body") or {}).get("value")
    if request["method"] in {"POST", "PUT", "PATCH"} and isinstance(told, dict):
        yield from ids_in(told)
        for one in told.get("series") or ():
            yield one["metric"]


def _reason(interaction: Interaction, answer: Any, made: set[str], foreign: set[str]) -> str | None:
    request, status = interaction["request"], interaction["response"]["status"]
    path = request["path"]
    for prefix, product in PRODUCTS.items():
        if path.startswith(prefix):
            return f"{product}: not spoken here"
    parts = set(path.split("/"))
    if parts & (foreign - made):
        return "is about an object of a product that is not spoken here"
    source = _other_source(request)
    if source:
        return f"data source {source}: not kept here"
    if status not in _OK or request["method"] not in {"GET", "POST"}:
        return None
    reads = request["method"] == "GET" or re.search(r"/(query|search)(/|$)", path)
    return OF_THE_ACCOUNT if reads and _unmade(path, answer, made) else None


def _other_source(request: dict[str, Any]) -> str | None:
    told = (request.get("body") or {}).get("value")
    if not request["path"].startswith("/api/v2/query/") or not isinstance(told, dict):
        return None
    queries = told.get("data", {}).get("attributes", {}).get("queries", ())
    others = {one.get("data_source") for one in queries} - KEPT_SOURCES
    return ", ".join(sorted(others)) or None


def _unmade(path: str, answer: Any, made: set[str]) -> bool:
    """Whether an answer holds something that nothing before it made."""
    if path.startswith("/api/v2/query/"):
        attributes = answer["data"]["attributes"]
        columns = attributes.get("columns") or ()
        return bool(attributes.get("times") or any(one["values"] for one in columns))
    metric = _METRIC.match(path)
    if metric:
        return metric[1] not in made
    if path.endswith("/download"):
        return path.split("/")[-2] not in made
    # Authors are who the recorded account was: they come with every answer.
    authors = set(ids_in(answer.get("included"))) if isinstance(answer, dict) else set()
    return bool(set(ids_in(_without_creators(answer))) - made - authors)


def _without_creators(value: Any) -> Any:
    if isinstance(value, dict):
        hidden = {"creator", "created_by", "author", "included"}
        return {k: _without_creators(inner) for k, inner in value.items() if k not in hidden}
    return [_without_creators(inner) for inner in value] if isinstance(value, list) else value
