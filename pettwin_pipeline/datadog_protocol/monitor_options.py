"""What a monitor's options say, as a value with Datadog's defaults, and the clock of evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias, cast

from pettwin_pipeline.datadog_protocol.monitor_syntax import span_s

OnMissing: TypeAlias = Literal["default", "show_no_data", "show_and_notify_no_data", "resolve"]

NEW_GROUP_DELAY_S: Final = 60
RENOTIFY_ENDS_S: Final = 30 * 3600
GROUP_FORGOTTEN_S: Final = 24 * 3600
CHECK_GROUP_FORGOTTEN_S: Final = 48 * 3600
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Status(StrEnum):
    """The states of a monitor and of its groups."""

    ALERT = "Alert"
    WARN = "Warn"
    NO_DATA = "No Data"
    OK = "OK"
    UNKNOWN = "Unknown"
    SKIPPED = "Skipped"
    IGNORED = "Ignored"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where a value becomes a state; for a service check, how many runs in a row."""

    critical: float | None = None
    warning: float | None = None
    critical_recovery: float | None = None
    warning_recovery: float | None = None
    ok: float | None = None
    unknown: float | None = None


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """The options that evaluation and notification look at; times in seconds."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    notify_no_data: bool = False
    no_data_timeframe_s: int | None = None
    on_missing_data: OnMissing | None = None
    require_full_window: bool = False
    evaluation_delay_s: int = 0
    new_group_delay_s: int = NEW_GROUP_DELAY_S
    renotify_interval_s: int = 0
    renotify_statuses: tuple[Status, ...] = (Status.ALERT, Status.NO_DATA)
    renotify_occurrences: int | None = None
    timeout_s: int = 0
    notify_by: tuple[str, ...] | None = None
    include_tags: bool = True
    escalation_message: str = ""
    trigger_window_s: int | None = None
    recovery_window_s: int | None = None


_RENOTIFIED: Final = {"alert": Status.ALERT, "warn": Status.WARN, "no data": Status.NO_DATA}


def options_of(
    sent: Mapping[str, Any], *, grouped: bool = True, window_s: int | None = None
) -> MonitorOptions:
    """The `options` of a monitor as the API has them; what is absent or null has its default.

    Args:
        sent: the object of the API.
        grouped: a monitor that is not has no new groups to wait for.
        window_s: of the query; without a timeframe, no data is told after twice as long.
    """
    given = {key: value for key, value in sent.items() if value is not None}
    limits = {
        key: float(value)
        for key, value in (given.get("thresholds") or {}).items()
        if value is not None
    }
    windows = given.get("threshold_windows") or {}
    statuses = given.get("renotify_statuses")
    known = MonitorOptions()
    twice = None if window_s is None else 2 * window_s
    delay = int(given.get("new_group_delay", NEW_GROUP_DELAY_S))
    return MonitorOptions(
        thresholds=Thresholds(
            **{name: limits.get(name) for name in Thresholds.__dataclass_fields__}
        ),
        notify_no_data=bool(given.get("notify_no_data", False)),
        no_data_timeframe_s=_times(given.get("no_data_timeframe"), _MINUTE) or twice,
        on_missing_data=cast("OnMissing | None", given.get("on_missing_data")),
        require_full_window=bool(given.get("require_full_window", False)),
        evaluation_delay_s=int(given.get("evaluation_delay", 0)),
        new_group_delay_s=delay if grouped else 0,
        renotify_interval_s=_times(given.get("renotify_interval"), _MINUTE) or 0,
        renotify_statuses=known.renotify_statuses
        if statuses is None
        else tuple(_RENOTIFIED[one] for one in statuses if one in _RENOTIFIED),
        renotify_occurrences=given.get("renotify_occurrences"),
        timeout_s=_times(given.get("timeout_h"), _HOUR) or 0,
        notify_by=tuple(given["notify_by"]) if "notify_by" in given else None,
        include_tags=bool(given.get("include_tags", True)),
        escalation_message=str(given.get("escalation_message", "")),
        trigger_window_s=_window_s(windows.get("trigger_window")),
        recovery_window_s=_window_s(windows.get("recovery_window")),
    )


def _times(value: Any, unit_s: int) -> int | None:
    return int(value * unit_s) if value else None


def _window_s(text: str | None) -> int | None:
    return span_s(text.removeprefix("last_")) if text else None


def notified_group(group: tuple[str, ...], options: MonitorOptions) -> tuple[str, ...]:
    """What of a group a notification is for: groups that come to the same are told together."""
    if options.notify_by is None:
        return group
    if "*" in options.notify_by:
        return ()
    return tuple(tag for tag in group if tag.partition(":")[0] in options.notify_by)


def evaluated_every_s(window_s: int) -> int:
    """How often a monitor looks: each minute under a day, 10 min under two, else 30 min."""
    if window_s < _DAY:
        return _MINUTE
    return 10 * _MINUTE if window_s < 2 * _DAY else 30 * _MINUTE


def bucket_s(unit: str) -> int:
    """The buckets of a window: 1 min in minutes, 10 min in hours, 1 h in days, 4 h in months."""
    return {"m": _MINUTE, "h": 10 * _MINUTE, "d": _HOUR, "w": _HOUR, "mo": 4 * _HOUR}[unit]
