"""A monitor as it is kept and shown: what the real API adds, trims and turns into other types.

Pure. Source: recordings; where they differ between years the newest is followed.
"""

from typing import Any, Final

from pettwin_pipeline.emulator.refusals import bad_request
from pettwin_pipeline.emulator.resources.monitor_rules import (
    EVENT_KINDS,
    METRIC_KINDS,
    is_grouped,
    threshold_of,
)
from pettwin_pipeline.emulator.storage import Document

_NEW_HOST_DELAY_S: Final = 300
_LOWEST_PRIORITY: Final = 5
SETTABLE: Final[tuple[str, ...]] = (
    "type", "name", "message", "tags", "query", "options", "priority", "draft_status",
    "restricted_roles", "restriction_policy",
)  # fmt: skip
"""What a request may say; the rest is made here."""
IDENTITY: Final[tuple[str, ...]] = (
    "type",
    "name",
    "message",
    "tags",
    "query",
    "options",
    "priority",
)
"""Two monitors that are alike in all of these are duplicates."""


def settled(told: Document) -> Document:
    """The part of a monitor that people decide, as the API gives it back.

    Raises:
        Refusal: 400, a value is outside of what it may be.
    """
    query = str(told["query"]).strip()
    kind = told["type"]
    if kind == "query alert" and query.startswith("formula("):
        kind = "metric alert"
    return {
        "type": kind,
        "name": (told.get("name") or "").strip() or query,
        "message": (told.get("message") or "").strip(),
        "tags": list(told.get("tags") or ()),
        "query": query,
        "options": _options(kind, query, dict(told.get("options") or {})),
        "priority": _priority(told.get("priority")),
        "draft_status": told.get("draft_status") or "published",
        "restricted_roles": told.get("restricted_roles"),
        "restriction_policy": told.get("restriction_policy"),
        "multi": kind != "composite" and is_grouped(query),
    }


def _priority(told: Any) -> int | None:
    if told in {None, 0}:
        return None
    if not isinstance(told, int) or not 1 <= told <= _LOWEST_PRIORITY:
        raise bad_request("The value provided for parameter 'priority' is invalid")
    return told


def _options(kind: str, query: str, told: Document) -> Document:
    options = dict(told)
    if isinstance(options.get("escalation_message"), str):
        options["escalation_message"] = options["escalation_message"].strip()
    said_missing_data = options.get("on_missing_data") is not None
    scheduled = kind in METRIC_KINDS and options.get("scheduling_options")
    if scheduled and options.get("on_missing_data") == "default":
        del options["on_missing_data"]  # recorded so; elsewhere Terraform counts on reading it back
    thresholds = _thresholds(kind, query, options.get("thresholds"))
    if thresholds is not None:
        options["thresholds"] = thresholds
    if not said_missing_data:
        options.setdefault("notify_no_data", False)
    options.setdefault("notify_audit", False)
    if "new_group_delay" not in options:
        options.setdefault("new_host_delay", _NEW_HOST_DELAY_S)
    options.setdefault("include_tags", True)
    if kind in EVENT_KINDS:
        options.setdefault("groupby_simple_monitor", False)
    options["silenced"] = options.get("silenced") or {}
    return options


def _thresholds(kind: str, query: str, told: Any) -> Document | None:
    if not told:
        in_query = threshold_of(kind, query)
        return None if in_query is None else {"critical": in_query}
    given = {name: value for name, value in told.items() if value is not None}
    if kind == "service check":
        return given
    # A dynamic threshold is a query, and stays text.
    return {
        name: value if isinstance(value, str) else float(value) for name, value in given.items()
    }


def identity_of(monitor: Document) -> tuple[Any, ...]:
    """What a duplicate has too."""
    return tuple(_frozen(monitor[name]) for name in IDENTITY)


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted((name, _frozen(one)) for name, one in value.items()))
    return tuple(map(_frozen, value)) if isinstance(value, list) else repr(value)
