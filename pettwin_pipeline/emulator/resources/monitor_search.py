"""Search for monitors and for their groups, with counts. Source: recordings, the client."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from pettwin_pipeline.datadog_protocol.frames import Group
from pettwin_pipeline.emulator.evaluating.records import KeptGroup
from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.identity import HANDLE, NAME, ORG_ID, USER_ID
from pettwin_pipeline.emulator.refusals import refuse
from pettwin_pipeline.emulator.resources import monitors
from pettwin_pipeline.emulator.resources.downtime_matches import silenced_by_downtimes
from pettwin_pipeline.emulator.resources.monitor_rules import METRIC_KINDS
from pettwin_pipeline.emulator.resources.monitor_status import groups_of, name_of, with_status
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

_STATUSES: Final = ("Alert", "Warn", "No Data", "OK", "Ignored", "Skipped", "Unknown")
_WORD: Final = re.compile(r'-?(?:[A-Za-z_]+:)?(?:"[^"]*"|\([^)]*\)|[^\s"]+)')
_METRIC: Final = re.compile(r"(?:^|[:(,\s+*/-])([A-Za-z][A-Za-z0-9_.]*)\{")
_SCOPE: Final = re.compile(r"\{([^}]*)\}")
_HANDLE: Final = re.compile(r"(?<![\w.])@([A-Za-z0-9][\w.@+-]*)")
_USUAL_PAGE: Final = 30
_LARGEST_PAGE: Final = 1_000
_CLASSES: Final = {
    "metric alert": "metric", "query alert": "metric", "service check": "custom_check",
    "slo alert": "slo", "composite": "composite", "process alert": "process",
    "synthetics alert": "synthetics",
}  # fmt: skip


def _classification(kind: str) -> str:
    return _CLASSES.get(kind) or kind.removesuffix(" alert").replace("event-v2", "event")


def _is_muted(state: State, monitor: Document) -> bool:
    return "*" in (silenced_by_downtimes(state, monitor) | monitor["options"]["silenced"])


def _found(state: State, call: Call) -> list[Document]:
    wanted = [_condition(word) for word in _WORD.findall(call.asked("query") or "")]
    wanted = [one for one in wanted if one[1] not in {"AND", "OR"}]
    found = [with_status(state, one) for one in state.storage.all(monitors.KIND)]
    return [one for one in found if all(_holds(state, one, *told) for told in wanted)]


def _condition(word: str) -> tuple[str, str, bool]:
    """Field, value, and whether it must not hold.

    Raises:
        Refusal: 400, the value is none that the field may have.
    """
    negated = word.startswith("-")
    field, colon, value = word.removeprefix("-").partition(":")
    known = {"status", "type", "tag", "muted", "id", "title", "metric", "scope", "notification"}
    if not colon or field not in known | {"creator", "priority", "env", "service", "team"}:
        return "", word.removeprefix("-").strip('"'), negated
    value = value.strip('"')
    if field == "status" and value.lower() not in {one.lower() for one in _STATUSES}:
        refuse(f"Query parsing error: '{value}' is not a valid monitor status")
    if field == "muted" and value.lower() not in {"true", "false"}:
        refuse(f"Query parsing error: '{value}' is not a valid boolean")
    return field, value, negated


def _holds(state: State, monitor: Document, field: str, value: str, negated: bool) -> bool:
    return _is_so(state, monitor, field, value) != negated


def _is_so(state: State, monitor: Document, field: str, value: str) -> bool:
    lower = value.lower()
    if field == "status":
        return bool(monitor["overall_state"].lower() == lower)
    if field == "muted":
        return _is_muted(state, monitor) == (lower == "true")
    if field == "tag":
        return _tag_matches(monitor["tags"], lower)
    texts: dict[str, Iterable[str]] = {
        "type": (monitor["type"], _classification(monitor["type"])),
        "id": (str(monitor["id"]),),
        "priority": (f"p{monitor['priority']}", str(monitor["priority"])),
    }
    if field in texts:
        return any(lower in {text, text.removesuffix(" alert")} for text in texts[field])
    if field in {"env", "service", "team"}:
        return _tag_matches(monitor["tags"], f"{field}:{lower}")
    inside = {
        "title": monitor["name"],
        "metric": " ".join(_metrics(monitor)),
        "scope": " ".join(_SCOPE.findall(monitor["query"])),
        "notification": monitor["message"],
        "creator": HANDLE,
    }
    text = inside.get(field, f"{monitor['name']} {monitor['query']} {' '.join(monitor['tags'])}")
    return lower.strip("*") in text.lower()


def _tag_matches(tags: list[str], wanted: str) -> bool:
    wanted = wanted.strip('()"').replace('"', "")
    if wanted.endswith("*"):
        return any(tag.lower().startswith(wanted[:-1]) for tag in tags)
    return any(tag.lower() == wanted for tag in tags)


def _metrics(monitor: Document) -> list[str]:
    if monitor["type"] not in METRIC_KINDS:
        return []
    return list(dict.fromkeys(_METRIC.findall(monitor["query"])))


def _scopes(monitor: Document) -> list[str]:
    found = _SCOPE.findall(monitor["query"]) if monitor["type"] in METRIC_KINDS else []
    return list(dict.fromkeys(found[:1])) or ["*"]


def _counted(values: Iterable[Any]) -> list[Document]:
    return [{"count": count, "name": name} for name, count in Counter(values).most_common()]


def _counts(state: State, found: list[Document]) -> Document:
    return {
        "status": _counted(one["overall_state"] for one in found),
        "muted": _counted(_is_muted(state, one) for one in found),
        "tag": _counted(tag for one in found for tag in one["tags"]),
        "type": _counted(_classification(one["type"]) for one in found),
    }


def _sorted(call: Call, found: list[Document]) -> list[Document]:
    field, _, direction = (call.asked("sort") or "name,asc").partition(",")
    names = {"name": "name", "status": "overall_state", "tags": "tags", "type": "type"}
    if field not in names and field not in {"id", "group", "monitor"}:
        refuse(f"Query parsing error: '{field}' is not a valid sort field")
    key = names.get(field, "id")
    return sorted(found, key=lambda one: (str(one[key]), one["id"]), reverse=direction == "desc")


def _page(call: Call, found: list[Document]) -> tuple[list[Document], Document]:
    size = min(call.asked_int("per_page", _USUAL_PAGE, 1), _LARGEST_PAGE)
    number = call.asked_int("page", 0)
    pages = -(-len(found) // size)
    told = {"total_count": len(found), "page_count": pages, "page": number, "per_page": size}
    return found[number * size : (number + 1) * size], told


def _search(state: State, call: Call) -> Answer:
    found = _sorted(call, _found(state, call))
    page, told = _page(call, found)
    shown = [_result(one) for one in page]
    return Answer({"counts": _counts(state, found), "monitors": shown, "metadata": told})


def _result(monitor: Document) -> Document:
    handles = dict.fromkeys(_HANDLE.findall(monitor["message"]))
    return {
        "status": monitor["overall_state"],
        "scopes": _scopes(monitor),
        "classification": _classification(monitor["type"]),
        "creator": {"handle": HANDLE, "name": NAME, "id": USER_ID},
        "metrics": _metrics(monitor),
        "notifications": [{"handle": one, "name": one} for one in handles],
        "last_triggered_ts": monitor.get("last_triggered_ts"),
        "type": monitor["type"],
        "query": monitor["query"],
        "id": monitor["id"],
        "name": monitor["name"],
        "org_id": ORG_ID,
        "tags": monitor["tags"],
        "quality_issues": [],
        "priority": monitor["priority"],
    }


def _search_groups(state: State, call: Call) -> Answer:
    """A row for each group; one, its total, for a monitor that has none."""
    found = _sorted(call, _found(state, call))
    rows = [row for monitor in found for row in _groups(state, monitor)]
    page, told = _page(call, rows)
    kinds = [_classification(one["type"]) for one in found for _ in _groups_named(state, one)]
    return Answer({"counts": _group_counts(rows, kinds), "groups": page, "metadata": told})


def _groups_named(state: State, monitor: Document) -> list[Group]:
    return list(groups_of(state, monitor)) or [()]


def _group_counts(rows: list[Document], kinds: list[str]) -> Document:
    return {
        "status": _counted(one["status"] for one in rows),
        "muted": _counted(one["muted"] for one in rows),
        "tag": _counted(tag for one in rows for tag in one["all_tags"]),
        "type": _counted(kinds),
    }


def _groups(state: State, monitor: Document) -> list[Document]:
    """The groups of a monitor that the search shows, its total where nothing is known of any."""
    muted = _is_muted(state, monitor)
    groups = groups_of(state, monitor)
    if not groups:
        return [_group(monitor, ("total",), monitor["overall_state"], muted=muted)]
    return [
        _group(monitor, group or ("total",), str(kept.state.status), muted=muted, kept=kept)
        for group, kept in sorted(groups.items())
    ]


def _group(
    monitor: Document,
    group: Group,
    status: str,
    *,
    muted: bool,
    kept: KeptGroup | None = None,
) -> Document:
    tags = list(dict.fromkeys([*monitor["tags"], *(tag for tag in group if ":" in tag)]))
    triggered_s = kept.triggered_s if kept else None
    nodata_s = kept.nodata_s if kept else None
    return {
        "status": status,
        "last_nodata_ts": int(nodata_s or 0),
        "env_tags": [tag for tag in tags if tag.startswith("env:")],
        "muted_remaining": None,
        "muted_until_ts": None,
        "all_tags": tags,
        "monitor_name": monitor["name"],
        "team_tags": [tag for tag in tags if tag.startswith("team:")],
        "last_triggered_ts": None if triggered_s is None else int(triggered_s),
        "group": name_of(group),
        "downtimes": [],
        "monitor_id": monitor["id"],
        "priority": monitor["priority"],
        "muted": muted or bool(kept and kept.muted_by),
        "group_tags": list(group),
    }


ROUTES: Final = (
    Route("GET", "/api/v1/monitor/search", _search),
    Route("GET", "/api/v1/monitor/groups/search", _search_groups),
)
