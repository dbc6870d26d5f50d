"""What a monitor's query and options must be: `validate_monitor` is the one place that decides.

Pure. The grammar of queries is `datadog_protocol`'s. Texts are those of the real API where they are
known (recordings, reports of users).
"""

import re
from typing import Any, Final

from pettwin_pipeline.emulator.refusals import Refusal, bad_request, refuse
from pettwin_pipeline.errors import QuerySyntaxError

METRIC_KINDS: Final = frozenset({"metric alert", "query alert"})
EVENT_KINDS: Final = frozenset(
    {
        "audit alert", "ci-pipelines alert", "ci-tests alert", "database-monitoring alert",
        "error-tracking alert", "event-v2 alert", "llm-observability alert", "log alert",
        "network-path alert", "network-performance alert", "rum alert", "trace-analytics alert",
    }
)  # fmt: skip
"""Counts of events of some kind: `logs("...").index("*").rollup("count").last("5m") > 2`."""
MOST_COMPOSED: Final = 10
_INVALID: Final = "The value provided for parameter 'query' is invalid"
_NUMBER: Final = r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_COMPARISON: Final = re.compile(rf"(<=|>=|==|!=|<|>)\s*({_NUMBER})\s*\Z")
_ALERT_WINDOW: Final = re.compile(r"alert_window\s*=\s*['\"]([^'\"]+)['\"]")
_GROUPED: Final = re.compile(r"\bby\s*\{\s*[^\s}]|\.by\(\s*[^\s)]")
_GROUPS: Final = re.compile(r"\bby\s*\{([^}]*)\}|\.by\(([^)]*)\)")
LONGEST_TIMEOUT_H: Final = 24
_COMPOSED: Final = re.compile(r"\d+")
_WITHOUT_THRESHOLD: Final = frozenset({"composite", "service check", "synthetics alert"})


def is_grouped(query: str) -> bool:
    """Whether a query has one result a group: the monitor is then a multi alert."""
    return _GROUPED.search(query) is not None


def composed_of(query: str) -> list[int]:
    """The monitors that a composite names, each once, in their order."""
    return list(dict.fromkeys(int(one) for one in _COMPOSED.findall(query)))


def threshold_of(kind: str, query: str) -> float | None:
    """The number that a query compares with; None where its kind has none."""
    if kind in _WITHOUT_THRESHOLD:
        return None
    match = _COMPARISON.search(query)
    return float(match[2]) if match else None


def validate_monitor(kind: str, query: str, options: dict[str, Any]) -> None:
    """Refuse a query that its kind of monitor cannot have, or that its options contradict.

    Args:
        kind: `metric alert`, `log alert`, ...
        query: trimmed.
        options: of the monitor, thresholds among them.

    Raises:
        Refusal: 400 in Datadog's words; where the query is wrong and why is in a header,
            `x-local-reason`.
    """
    # lark and its grammar take a third of a second: a server that starts has no use for them.
    from pettwin_pipeline.datadog_protocol.parsing import METRIC_TYPES, MONITOR_TYPES, parse_monitor

    if not query:
        refuse(_INVALID)
    if kind in {*METRIC_TYPES, *MONITOR_TYPES}:
        try:
            parse_monitor(kind, query)
        except QuerySyntaxError as error:
            raise _no_query(kind, query, str(error)) from None
    elif _COMPARISON.search(query) is None:
        raise _no_query(kind, query, "there is no comparison at its end")
    if kind == "composite" and len(composed_of(query)) > MOST_COMPOSED:
        refuse(f"Composite monitors can have at most {MOST_COMPOSED} monitors")
    _check_thresholds(kind, query, options)
    _check_options(query, options)


def _no_query(kind: str, query: str, reason: str) -> Refusal:
    """The real API names the operator where a search has none, and otherwise nothing."""
    compares = _COMPARISON.search(query) is not None
    searches = kind not in METRIC_KINDS and kind not in {"slo alert", *_WITHOUT_THRESHOLD}
    text = f"{_INVALID}: invalid operator specified: " if searches and not compares else _INVALID
    told = " ".join(reason.split()).encode("ascii", "replace").decode()
    return Refusal(400, text, headers={"x-local-reason": told})


def _check_options(query: str, options: dict[str, Any]) -> None:
    """Refuse options that Datadog documents as impossible."""
    timeout_h = options.get("timeout_h")
    if timeout_h is not None and not 0 <= timeout_h <= LONGEST_TIMEOUT_H:
        refuse("The value provided for parameter 'timeout_h' is invalid")
    for name in ("new_group_delay", "new_host_delay", "evaluation_delay", "renotify_interval"):
        if (options.get(name) or 0) < 0:
            refuse(f"The value provided for parameter '{name}' is invalid")
    told, groups = options.get("notify_by"), _groups_of(query)
    if told and told != ["*"] and groups and not set(told) <= groups:
        refuse("The value provided for parameter 'notify_by' is invalid")
    window = (options.get("scheduling_options") or {}).get("evaluation_window") or {}
    starts = {name for name in ("day_starts", "hour_starts", "month_starts") if window.get(name)}
    if "hour_starts" in starts and len(starts) > 1:
        refuse("The value provided for parameter 'evaluation_window' is invalid")


def _groups_of(query: str) -> set[str]:
    """The tags that a query groups by, as far as they can be told without its grammar."""
    found: set[str] = set()
    for match in _GROUPS.finditer(query):
        told = match[1] or match[2] or ""
        found |= {part.strip(" '\"") for part in told.split(",")} - {""}
    return found


def _check_thresholds(kind: str, query: str, options: dict[str, Any]) -> None:
    thresholds = {
        name: told for name, told in (options.get("thresholds") or {}).items() if told is not None
    }
    match = _COMPARISON.search(query)
    if kind in _WITHOUT_THRESHOLD or match is None:
        return
    in_query = float(match[2])
    critical = float(thresholds.get("critical", in_query))
    if critical != in_query:
        refuse(f"Alert threshold ({critical}) does not match that used in the query ({in_query}).")
    sign = 1.0 if match[1] in {">", ">="} else -1.0
    if match[1] in {"==", "!="}:
        return
    _check_recovery("alert", critical, thresholds.get("critical_recovery"), sign)
    if "warning" in thresholds:
        warning = float(thresholds["warning"])
        if sign * warning >= sign * critical:
            side = "less" if sign > 0 else "greater"
            refuse(
                f"Warning threshold ({warning}) must be {side} than the alert threshold "
                f"({critical})."
            )
        _check_recovery("warning", warning, thresholds.get("warning_recovery"), sign)
    _check_windows(query, options)


def _check_recovery(name: str, threshold: float, recovery: Any, sign: float) -> None:
    if recovery is not None and sign * float(recovery) > sign * threshold:
        raise bad_request(
            f"{name} and {name} recovery criteria are such that the monitor can be simultaneously "
            f"in {name} and {name} recovery states"
        )


def _check_windows(query: str, options: dict[str, Any]) -> None:
    match = _ALERT_WINDOW.search(query)
    windows = options.get("threshold_windows") or {}
    if match and windows.get("trigger_window") not in {None, match[1]}:
        refuse("alert window query arg must match trigger window monitor option")
