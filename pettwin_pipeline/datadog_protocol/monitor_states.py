"""The states of one group of a monitor, as tables: a finding in, the next state and a transition.

Knows no clock, query or notification: the caller says what was found and when. A transition says
whether anyone is told; `monitor_messages` has the words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from pettwin_pipeline.datadog_protocol.monitor_options import (
    CHECK_GROUP_FORGOTTEN_S,
    GROUP_FORGOTTEN_S,
    RENOTIFY_ENDS_S,
    MonitorOptions,
    Status,
    Thresholds,
)
from pettwin_pipeline.datadog_protocol.monitor_syntax import Comparison
from pettwin_pipeline.datadog_protocol.syntax import Comparator


class Change(StrEnum):
    """What a transition is called, in Datadog's words."""

    TRIGGERED = "alert"
    WARNED = "warning"
    NO_DATA = "no data"
    RECOVERED = "alert recovery"
    WARN_RECOVERED = "warning recovery"
    NO_DATA_RECOVERED = "no data recovery"
    ALERT_TO_WARN = "alert to warning"
    WARN_TO_ALERT = "warning to alert"
    RENOTIFIED = "renotify"
    DOWNTIME_ENDED = "downtime ended"


CHANGES: Final[Mapping[tuple[Status, Status], Change]] = {
    (Status.OK, Status.ALERT): Change.TRIGGERED,
    (Status.OK, Status.WARN): Change.WARNED,
    (Status.OK, Status.NO_DATA): Change.NO_DATA,
    (Status.WARN, Status.ALERT): Change.WARN_TO_ALERT,
    (Status.WARN, Status.OK): Change.WARN_RECOVERED,
    (Status.WARN, Status.NO_DATA): Change.NO_DATA,
    (Status.ALERT, Status.WARN): Change.ALERT_TO_WARN,
    (Status.ALERT, Status.OK): Change.RECOVERED,
    (Status.ALERT, Status.NO_DATA): Change.NO_DATA,
    (Status.NO_DATA, Status.ALERT): Change.TRIGGERED,
    (Status.NO_DATA, Status.WARN): Change.WARNED,
    (Status.NO_DATA, Status.OK): Change.NO_DATA_RECOVERED,
}
"""What it is called to go from one state to another; Unknown is treated as No Data is."""

RECOVERIES: Final = frozenset({Change.RECOVERED, Change.WARN_RECOVERED, Change.NO_DATA_RECOVERED})
OPPOSITE: Final[Mapping[Comparator, Comparator]] = {
    ">": "<=",
    ">=": "<",
    "<": ">=",
    "<=": ">",
    "==": "!=",
    "!=": "==",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one evaluation found for a group.

    Args:
        value: over the window; None where there was no data in it.
        full: whether the window is full enough where that is required.
        status: found already, as for service checks and composites; then the value decides nothing.
    """

    value: float | None
    full: bool = True
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class GroupState:
    """What is remembered of a group between evaluations; times are unix seconds.

    Args:
        status: OK, Warn, Alert or No Data.
        since_s: since when.
        seen_s: when the group was first seen.
        data_s: when there was data last; None before the first.
        value: what was found last.
        first_triggered_s: when it left OK; None while it is OK.
        told_s: when somebody was told last since then; None if nobody was.
        told: how often it was told again.
        unsaid: whether a downtime kept the present state from being told.
    """

    status: Status
    since_s: float
    seen_s: float
    data_s: float | None = None
    value: float | None = None
    first_triggered_s: float | None = None
    told_s: float | None = None
    told: int = 0
    unsaid: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """Something that happened to a group: it goes into the stream of events.

    Args:
        change: what it is called.
        before: the state that was left.
        after: the state that is now; the same for a re-notification.
        at_s: when.
        value: what was found.
        notifies: whether anybody is told.
        lasted_s: how long the group has been away from OK.
    """

    change: Change
    before: Status
    after: Status
    at_s: float
    value: float | None
    notifies: bool
    lasted_s: float = 0.0


def classified(
    value: float, comparison: Comparison, thresholds: Thresholds, before: Status
) -> Status:
    """The state of a value, given the state before: a recovery threshold holds a state longer.

    Without one, a state ends as soon as its condition does not hold any more.
    """
    critical = comparison.value if thresholds.critical is None else thresholds.critical
    if critical is not None and comparison.holds(value, critical):
        return Status.ALERT
    held = before is Status.ALERT
    if held and not _recovered(value, comparison, thresholds.critical_recovery):
        return Status.ALERT
    if thresholds.warning is None:
        return Status.OK
    if comparison.holds(value, thresholds.warning):
        return Status.WARN
    warned = before in {Status.WARN, Status.ALERT}
    if warned and not _recovered(value, comparison, thresholds.warning_recovery):
        return Status.WARN
    return Status.OK


def _recovered(value: float, comparison: Comparison, recovery: float | None) -> bool:
    return recovery is None or Comparison(OPPOSITE[comparison.comparator], recovery).holds(value)


def in_a_row(newest_first: tuple[int, ...], thresholds: Thresholds, before: Status) -> Status:
    """The state of a service check: so many of its latest runs in a row had one status.

    0 is OK, 1 a warning, 2 critical, 3 unknown. Where no threshold is reached the state stays.
    """
    if not newest_first:
        return before
    latest = newest_first[0]
    run = next((n for n, one in enumerate(newest_first) if one != latest), len(newest_first))
    limits = (thresholds.ok, thresholds.warning, thresholds.critical, thresholds.unknown)
    states = (Status.OK, Status.WARN, Status.ALERT, Status.UNKNOWN)
    limit = limits[latest]
    needed = 1 if limit is None else limit
    return states[latest] if run >= needed else before


def step(
    before: GroupState | None,
    found: Finding,
    comparison: Comparison | None,
    options: MonitorOptions,
    now_s: float,
    *,
    counts: bool = False,
    muted: bool = False,
) -> tuple[GroupState, Transition | None]:
    """The next state of a group and what happened, if anything did.

    Args:
        before: None for a group that was never seen.
        found: by the evaluation.
        comparison: of the query; None where the finding has its status.
        options: of the monitor.
        now_s: when it was evaluated.
        counts: whether the query counts: nothing is zero then, by default.
        muted: whether a downtime covers the group: states change all the same.
    """
    state = before or GroupState(Status.OK, now_s, now_s)
    if found.value is not None or found.status not in {None, Status.NO_DATA}:
        state = replace(state, data_s=now_s)
    after = _next_status(state, found, comparison, options, now_s, counts=counts)
    if now_s - state.seen_s < options.new_group_delay_s and after is not Status.OK:
        after = state.status
    state = replace(state, value=found.value)
    if after is state.status:
        return _same(state, options, now_s, muted=muted)
    return _moved(state, after, options, now_s, muted=muted)


def is_forgotten(state: GroupState, now_s: float, *, of_check: bool = False) -> bool:
    """Whether a group is dropped: 24 h after its last data, 48 h for a service check."""
    last_s = state.seen_s if state.data_s is None else state.data_s
    return now_s - last_s >= (CHECK_GROUP_FORGOTTEN_S if of_check else GROUP_FORGOTTEN_S)


def _next_status(
    state: GroupState,
    found: Finding,
    comparison: Comparison | None,
    options: MonitorOptions,
    now_s: float,
    *,
    counts: bool,
) -> Status:
    if found.status is not None and found.status is not Status.NO_DATA:
        return found.status
    value = found.value
    if value is None and found.status is None and _zero_by_default(counts, options):
        value = 0.0 if state.data_s is not None else None
    if value is None:
        return _without_data(state, options, now_s)
    if options.require_full_window and not found.full:
        return state.status
    if comparison is None:
        return state.status
    return classified(value, comparison, options.thresholds, state.status)


def _zero_by_default(counts: bool, options: MonitorOptions) -> bool:
    chosen = options.on_missing_data
    return counts and (chosen == "default" or (chosen is None and not options.notify_no_data))


def _without_data(state: GroupState, options: MonitorOptions, now_s: float) -> Status:
    """Nothing alerts before the first data; what then happens is chosen by the options."""
    if state.data_s is None:
        return state.status
    silent_s = now_s - state.data_s
    if options.timeout_s and silent_s >= options.timeout_s:
        return Status.OK
    match options.on_missing_data:
        case "show_no_data" | "show_and_notify_no_data":
            return Status.NO_DATA
        case "resolve":
            return Status.OK
        case "default":
            return state.status
        case None:
            waits = options.no_data_timeframe_s or 0
            missing = options.notify_no_data and silent_s >= waits
            return Status.NO_DATA if missing else state.status


def _tells(change: Change, after: Status, options: MonitorOptions) -> bool:
    """Whether a transition notifies at all: a state No Data may be shown without."""
    silent = options.on_missing_data == "show_no_data" or (
        options.on_missing_data is None and not options.notify_no_data
    )
    return not (silent and (after is Status.NO_DATA or change is Change.NO_DATA_RECOVERED))


def _moved(
    state: GroupState, after: Status, options: MonitorOptions, now_s: float, *, muted: bool
) -> tuple[GroupState, Transition]:
    change = CHANGES.get((_plain(state.status), _plain(after)), Change.NO_DATA)
    started = now_s if state.first_triggered_s is None else state.first_triggered_s
    # who was told of an alert before the downtime is told once that it is over
    owed = change in RECOVERIES and state.told_s is not None
    notifies = _tells(change, after, options) and (not muted or owed)
    transition = Transition(
        change, state.status, after, now_s, state.value, notifies, now_s - started
    )
    ended = after is Status.OK
    told_s = now_s if notifies else state.told_s
    moved = replace(
        state,
        status=after,
        since_s=now_s,
        first_triggered_s=None if ended else started,
        told_s=None if ended else told_s,
        told=0,
        unsaid=muted and not ended,
    )
    return moved, transition


def _plain(status: Status) -> Status:
    return Status.NO_DATA if status is Status.UNKNOWN else status


def _same(
    state: GroupState, options: MonitorOptions, now_s: float, *, muted: bool
) -> tuple[GroupState, Transition | None]:
    """A state that stays: told when a downtime ended over it, or told again."""
    started = state.since_s if state.first_triggered_s is None else state.first_triggered_s
    if muted or state.status is Status.OK:
        return state, None
    if state.unsaid:
        said = replace(state, unsaid=False, told_s=now_s)
        change = Change.DOWNTIME_ENDED
    elif _is_told_again(state, options, now_s):
        said = replace(state, told_s=now_s, told=state.told + 1)
        change = Change.RENOTIFIED
    else:
        return state, None
    return said, Transition(
        change,
        state.status,
        state.status,
        now_s,
        state.value,
        notifies=True,
        lasted_s=now_s - started,
    )


def _is_told_again(state: GroupState, options: MonitorOptions, now_s: float) -> bool:
    if not options.renotify_interval_s or state.told_s is None:
        return False
    if _plain(state.status) not in options.renotify_statuses:
        return False
    occurrences = options.renotify_occurrences
    if occurrences is not None and state.told >= occurrences:
        return False
    return now_s - state.since_s <= RENOTIFY_ENDS_S and (
        now_s - state.told_s >= options.renotify_interval_s
    )
