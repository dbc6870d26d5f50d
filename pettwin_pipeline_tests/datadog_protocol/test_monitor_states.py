"""A group of a monitor from evaluation to evaluation, by hand."""

from typing import Any

import pytest

from pettwin_pipeline.datadog_protocol.monitor_options import (
    MonitorOptions,
    Status,
    Thresholds,
    options_of,
)
from pettwin_pipeline.datadog_protocol.monitor_states import (
    CHANGES,
    Change,
    Finding,
    GroupState,
    Transition,
    classified,
    in_a_row,
    is_forgotten,
    step,
)
from pettwin_pipeline.datadog_protocol.monitor_syntax import Comparison
from pettwin_pipeline.datadog_protocol.syntax import Comparator

OK, WARN, ALERT, NO_DATA = Status.OK, Status.WARN, Status.ALERT, Status.NO_DATA
ABOVE_90 = Comparison(">", 90.0)
MINUTE, HOUR = 60, 3600


def options(**more: Any) -> MonitorOptions:
    """Alert above 90, warn above 80, no delay for new groups."""
    limits = {"critical": 90, "warning": 80} | more.pop("thresholds", {})
    return options_of({"thresholds": limits, "new_group_delay": 0, **more})


class Group:
    """A group that is evaluated every minute."""

    def __init__(self, chosen: MonitorOptions, *, counts: bool = False) -> None:
        self.options = chosen
        self.counts = counts
        self.now_s = 0
        self.state: GroupState | None = None
        self.seen: list[tuple[int, Change, bool]] = []

    def find(self, *values: float | None, muted: bool = False, full: bool = True) -> "Group":
        """One evaluation a minute with these values; None is no data."""
        for value in values:
            self.take(Finding(value, full), muted=muted)
        return self

    def take(self, found: Finding, *, muted: bool = False) -> Transition | None:
        """One evaluation."""
        self.now_s += MINUTE
        self.state, happened = step(
            self.state,
            found,
            ABOVE_90,
            self.options,
            self.now_s,
            counts=self.counts,
            muted=muted,
        )
        if happened:
            self.seen.append((self.now_s // MINUTE, happened.change, happened.notifies))
        return happened

    @property
    def status(self) -> Status:
        """The present state."""
        assert self.state is not None
        return self.state.status

    @property
    def changes(self) -> list[Change]:
        """What happened."""
        return [change for _, change, _ in self.seen]


# Thresholds


@pytest.mark.parametrize(
    ("value", "before", "status"),
    [
        (90.0, OK, WARN),
        (90.1, OK, ALERT),
        (80.0, OK, OK),
        (80.1, OK, WARN),
        (85.0, ALERT, WARN),
        (80.0, ALERT, OK),
        (80.0, WARN, OK),
    ],
)
def test_without_recovery_thresholds_a_state_ends_with_its_condition(
    value: float, before: Status, status: Status
) -> None:
    assert classified(value, ABOVE_90, Thresholds(90, 80), before) is status


@pytest.mark.parametrize(
    ("value", "before", "status"),
    [
        (75.0, OK, OK),
        (75.0, ALERT, ALERT),
        (70.0, ALERT, WARN),
        (60.0, ALERT, OK),
        (70.0, WARN, WARN),
        (60.0, WARN, OK),
        (85.0, ALERT, ALERT),
    ],
)
def test_a_recovery_threshold_uses_the_opposite_comparison(
    value: float, before: Status, status: Status
) -> None:
    limits = Thresholds(90, 80, critical_recovery=70, warning_recovery=60)
    assert classified(value, ABOVE_90, limits, before) is status


@pytest.mark.parametrize(
    ("comparator", "at_limit", "at_recovery"),
    [(">", OK, OK), (">=", ALERT, ALERT), ("<", OK, OK), ("<=", ALERT, ALERT)],
)
def test_a_limit_belongs_to_the_side_that_its_comparison_says(
    comparator: Comparator, at_limit: Status, at_recovery: Status
) -> None:
    recovery = 80.0 if comparator.startswith(">") else 100.0
    limits = Thresholds(90, critical_recovery=recovery)
    comparison = Comparison(comparator, 90.0)
    assert classified(90.0, comparison, limits, OK) is at_limit
    assert classified(recovery, comparison, limits, ALERT) is at_recovery


def test_the_query_has_the_threshold_where_the_options_have_none() -> None:
    assert classified(91, ABOVE_90, Thresholds(), OK) is ALERT


# Transitions


def test_each_transition_has_its_name() -> None:
    group = Group(options()).find(10, 85, 95, 85, 10, 95, 10, 85, 10)
    assert group.changes == [
        Change.WARNED,
        Change.WARN_TO_ALERT,
        Change.ALERT_TO_WARN,
        Change.WARN_RECOVERED,
        Change.TRIGGERED,
        Change.RECOVERED,
        Change.WARNED,
        Change.WARN_RECOVERED,
    ]
    assert all(notifies for _, _, notifies in group.seen)


def test_every_pair_of_different_states_has_a_name() -> None:
    states = (OK, WARN, ALERT, NO_DATA)
    assert set(CHANGES) == {(one, other) for one in states for other in states if one != other}


def test_a_transition_knows_how_long_the_group_was_away_from_ok() -> None:
    group = Group(options()).find(10, 85, 95)
    recovered = group.take(Finding(10))
    assert recovered is not None
    assert recovered.lasted_s == 2 * MINUTE
    assert (recovered.before, recovered.after, recovered.value) == (ALERT, OK, 10)


def test_a_group_begins_in_ok_and_says_nothing() -> None:
    assert Group(options()).find(10).seen == []


def test_a_new_group_is_given_its_delay() -> None:
    group = Group(options_of({"thresholds": {"critical": 90}, "new_group_delay": 120}))
    group.find(95, 95)
    assert group.seen == []
    assert group.find(95).seen == [(3, Change.TRIGGERED, True)]
    assert options_of({}).new_group_delay_s == 60
    assert options_of({}, grouped=False).new_group_delay_s == 0


# Windows that are not full


def test_a_window_that_is_not_full_leaves_the_state() -> None:
    group = Group(options(require_full_window=True)).find(95)
    group.find(10, full=False)
    assert group.status is ALERT
    assert group.find(10).status is OK


def test_without_the_requirement_what_there_is_counts() -> None:
    assert Group(options()).find(95, full=False).status is ALERT


# Missing data


@pytest.mark.parametrize(
    "chosen",
    [
        {"notify_no_data": True, "no_data_timeframe": 1},
        {"on_missing_data": "show_and_notify_no_data"},
        {"on_missing_data": "show_no_data"},
    ],
)
def test_nothing_alerts_before_the_first_data(chosen: dict[str, Any]) -> None:
    assert Group(options(**chosen)).find(*[None] * 100).seen == []


def test_no_data_is_told_after_its_timeframe() -> None:
    group = Group(options(notify_no_data=True, no_data_timeframe=10)).find(10)
    group.find(*[None] * 9)
    assert group.seen == []
    group.find(None)
    assert group.seen == [(11, Change.NO_DATA, True)]
    assert group.find(10).seen[-1] == (12, Change.NO_DATA_RECOVERED, True)


def test_by_default_the_last_state_stays() -> None:
    group = Group(options()).find(95, *[None] * 600)
    assert (group.status, group.changes) == (ALERT, [Change.TRIGGERED])


def test_by_default_a_count_is_zero() -> None:
    group = Group(options(), counts=True).find(95, None)
    assert group.changes == [Change.TRIGGERED, Change.RECOVERED]
    chosen = options(on_missing_data="default")
    assert Group(chosen, counts=True).find(95, None).status is OK
    assert Group(chosen).find(95, None).status is ALERT


@pytest.mark.parametrize(
    ("chosen", "status", "told"),
    [
        ("show_no_data", NO_DATA, [(1, Change.TRIGGERED, True), (2, Change.NO_DATA, False)]),
        (
            "show_and_notify_no_data",
            NO_DATA,
            [(1, Change.TRIGGERED, True), (2, Change.NO_DATA, True)],
        ),
        ("resolve", OK, [(1, Change.TRIGGERED, True), (2, Change.RECOVERED, True)]),
    ],
)
def test_what_missing_data_means_is_chosen_and_no_timeframe_is_looked_at(
    chosen: str, status: Status, told: list[tuple[int, Change, bool]]
) -> None:
    group = Group(options(on_missing_data=chosen, no_data_timeframe=60)).find(95, None)
    assert (group.status, group.seen) == (status, told)


def test_a_timeout_resolves_only_while_data_is_missing() -> None:
    group = Group(options(timeout_h=1)).find(*[95] * 120)
    assert group.changes == [Change.TRIGGERED]
    group.find(*[None] * 59)
    assert group.status is ALERT
    group.find(None)
    assert group.status is OK


def test_a_group_is_dropped_a_day_after_its_last_data_and_a_check_after_two() -> None:
    state = GroupState(ALERT, since_s=0, seen_s=0, data_s=100)
    assert not is_forgotten(state, 100 + 24 * HOUR - 1)
    assert is_forgotten(state, 100 + 24 * HOUR)
    assert not is_forgotten(state, 100 + 48 * HOUR - 1, of_check=True)
    assert is_forgotten(state, 100 + 48 * HOUR, of_check=True)


# Re-notification


def test_it_is_told_again_at_its_interval_while_the_state_lasts() -> None:
    group = Group(options(renotify_interval=10)).find(*[95] * 25, 10, *[10] * 20)
    assert group.seen == [
        (1, Change.TRIGGERED, True),
        (11, Change.RENOTIFIED, True),
        (21, Change.RENOTIFIED, True),
        (26, Change.RECOVERED, True),
    ]


def test_it_is_told_again_so_often_and_not_more() -> None:
    chosen = options(renotify_interval=10, renotify_occurrences=2)
    assert Group(chosen).find(*[95] * 100).changes.count(Change.RENOTIFIED) == 2


def test_only_chosen_states_are_told_again() -> None:
    chosen = options(renotify_interval=10, renotify_statuses=["warn"])
    assert Change.RENOTIFIED not in Group(chosen).find(*[95] * 30).changes
    assert Change.RENOTIFIED in Group(chosen).find(*[85] * 30).changes


def test_telling_again_ends_after_thirty_hours() -> None:
    group = Group(options(renotify_interval=60)).find(*[95] * (40 * 60))
    assert [when for when, _, _ in group.seen][-1] == 1 + 30 * 60


# Downtimes


def test_in_a_downtime_states_change_and_nobody_is_told() -> None:
    group = Group(options()).find(10).find(95, muted=True)
    assert (group.status, group.seen) == (ALERT, [(2, Change.TRIGGERED, False)])


def test_the_first_recovery_of_an_alert_from_before_the_downtime_is_told() -> None:
    group = Group(options()).find(95).find(10, 95, 10, muted=True)
    assert group.seen == [
        (1, Change.TRIGGERED, True),
        (2, Change.RECOVERED, True),
        (3, Change.TRIGGERED, False),
        (4, Change.RECOVERED, False),
    ]


def test_an_alert_that_became_a_warning_in_a_downtime_is_still_owed_its_recovery() -> None:
    group = Group(options()).find(95).find(85, 10, muted=True)
    assert group.seen[1:] == [(2, Change.ALERT_TO_WARN, False), (3, Change.WARN_RECOVERED, True)]


def test_what_began_in_a_downtime_and_lasts_is_told_when_it_ends() -> None:
    group = Group(options()).find(10).find(95, 95, muted=True).find(95, 95)
    assert group.seen == [(2, Change.TRIGGERED, False), (4, Change.DOWNTIME_ENDED, True)]


def test_nothing_is_told_again_in_a_downtime() -> None:
    group = Group(options(renotify_interval=1)).find(95).find(*[95] * 5, muted=True)
    assert group.changes == [Change.TRIGGERED]


# Service checks


@pytest.mark.parametrize(
    ("newest_first", "before", "status"),
    [
        ((2,), OK, OK),
        ((2, 2), OK, ALERT),
        ((2, 1, 2), OK, OK),
        ((1,), OK, WARN),
        ((0,), ALERT, ALERT),
        ((0, 0, 2), ALERT, ALERT),
        ((0, 0, 0), ALERT, OK),
        ((3,), OK, Status.UNKNOWN),
        ((), ALERT, ALERT),
    ],
)
def test_so_many_runs_in_a_row_make_a_state(
    newest_first: tuple[int, ...], before: Status, status: Status
) -> None:
    assert in_a_row(newest_first, Thresholds(critical=2, ok=3, warning=1), before) is status


def test_a_status_that_was_found_is_the_state() -> None:
    group = Group(options())
    group.take(Finding(None, status=ALERT))
    group.take(Finding(None, status=OK))
    assert group.changes == [Change.TRIGGERED, Change.RECOVERED]
