"""Search for SLOs, with facets and links between pages."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlencode

from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.resources import slos
from pettwin_pipeline.emulator.resources.slo_numbers import PRECISION, standing_now
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

_USUAL_PAGE: Final = 10
_PLACE: Final = "/api/v1/slo/search"


def _all_tags(slo: Document) -> list[str]:
    return [*slo["tags"], *(tag for tag in slo["monitor_tags"] if tag not in slo["tags"])]


def _values(slo: Document, key: str) -> list[str]:
    return [tag for tag in _all_tags(slo) if tag.startswith(f"{key}:")]


def _attributes(state: State, slo: Document) -> Document:
    query = slo.get("query")
    statuses = [_status_of(state, slo, one) for one in slo["thresholds"]]
    told = {
        "all_tags": _all_tags(slo),
        "created_at": slo["created_at"],
        "creator": {name: slo["creator"][name] for name in ("email", "name")} | {"id": 1},
        "description": slo["description"],
        "env_tags": _values(slo, "env"),
        "groups": slo.get("groups"),
        "modified_at": slo["modified_at"],
        "monitor_ids": slo.get("monitor_ids"),
        "name": slo["name"],
        "overall_status": statuses,
        "service_tags": _values(slo, "service"),
        "slo_type": slo["type"],
        "status": {name: statuses[0][name] for name in _STATUS} | {"sli": statuses[0]["status"]},
        "team_tags": _values(slo, "team"),
        "thresholds": slo["thresholds"],
    }
    return told | ({"query": {**query, "metrics": None}} if query else {})


_STATUS: Final = (
    "error_budget_remaining", "indexed_at", "raw_error_budget_remaining", "span_precision", "state",
)  # fmt: skip


def _status_of(state: State, slo: Document, threshold: Document) -> Document:
    """What is told of a timeframe; null where nothing is known of it."""
    stands = standing_now(state, slo, threshold)
    known = stands.status is not None
    return {
        "error": None,
        "error_budget_remaining": stands.budget_left,
        "indexed_at": int(state.clock.now_s()) if known else 0,
        "raw_error_budget_remaining": stands.raw_budget_left,
        "span_precision": PRECISION if known else None,
        "state": stands.state,
        "status": stands.status,
        "target": threshold["target"],
        "timeframe": threshold["timeframe"],
    }


def _is_found(slo: Document, query: str) -> bool:
    text = f"{slo['name']} {slo['description']}".lower()
    tags = _all_tags(slo)
    for word in query.replace('"', "").split():
        field, _, value = word.partition(":")
        if field in {"slo_type", "type"}:
            found = slo["type"] in value.split(",")
        elif field == "timeframe":
            found = any(one["timeframe"] == value for one in slo["thresholds"])
        else:
            found = word in tags or word.lower() in text
        if not found:
            return False
    return True


def _facet(values: Iterable[Any]) -> list[Document]:
    return [{"name": name, "count": count} for name, count in Counter(values).most_common()]


def _facets(found: list[Document]) -> Document:
    return {
        "all_tags": _facet(tag for one in found for tag in _all_tags(one)),
        "creator_name": _facet(one["creator"]["name"] or "" for one in found),
        "env_tags": _facet(tag for one in found for tag in _values(one, "env")),
        "service_tags": _facet(tag for one in found for tag in _values(one, "service")),
        "slo_type": _facet(one["type_id"] for one in found),
        "target": _facet(int(one["target_threshold"]) for one in found),
        "team_tags": _facet(tag for one in found for tag in _values(one, "team")),
        "timeframe": _facet(limit["timeframe"] for one in found for limit in one["thresholds"]),
    }


def _search(state: State, call: Call) -> Answer:
    query = call.asked("query") or ""
    found = [one for one in state.storage.all(slos.KIND) if _is_found(one, query)]
    size = call.asked_int("page[size]", _USUAL_PAGE, 1)
    number = call.asked_int("page[number]", 0)
    page = found[number * size : (number + 1) * size]
    last = max(0, (len(found) - 1) // size)
    pagination = {
        "number": number,
        "first_number": 0,
        "prev_number": max(0, number - 1),
        "next_number": min(last, number + 1),
        "last_number": last,
        "size": size,
        "type": "number_size",
        "total": len(found),
    }

    def link(to: int) -> str:
        told = {"query": query, "page[size]": size, "page[number]": to}
        return f"http://{call.headers.get('host', '')}{_PLACE}?{urlencode(told)}"

    shown = [
        {"data": {"id": one["id"], "type": "slo", "attributes": _attributes(state, one)}}
        for one in page
    ]
    attributes: Document = {"slos": shown}
    if call.asked_bool("include_facets"):
        attributes["facets"] = _facets(found)
    links = {
        "self": link(number),
        "first": link(0),
        "prev": link(number - 1) if number else None,
        "next": link(min(last, number + 1)),
        "last": link(last),
    }
    data = {"type": "", "attributes": attributes}
    return Answer({"data": data, "meta": {"pagination": pagination}, "links": links})


ROUTES: Final = (Route("GET", _PLACE, _search),)
