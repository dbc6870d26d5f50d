"""Composites, state by state."""

import pytest

from pettwin_pipeline.datadog_protocol.composites import (
    GroupStatuses,
    combined,
    combined_groups,
)
from pettwin_pipeline.datadog_protocol.monitor_options import MonitorOptions, Status
from pettwin_pipeline.datadog_protocol.monitor_states import Finding, GroupState, step
from pettwin_pipeline.datadog_protocol.monitor_syntax import Composite
from pettwin_pipeline.datadog_protocol.parsing import parse_monitor

OK, WARN, ALERT, NO_DATA = Status.OK, Status.WARN, Status.ALERT, Status.NO_DATA


def composite(query: str) -> Composite:
    read = parse_monitor("composite", query)
    assert isinstance(read, Composite)
    return read


@pytest.mark.parametrize(
    ("query", "one", "two", "state"),
    [
        ("1 && 2", ALERT, ALERT, ALERT),
        ("1 && 2", ALERT, WARN, WARN),
        ("1 && 2", ALERT, NO_DATA, NO_DATA),
        ("1 && 2", WARN, NO_DATA, NO_DATA),
        ("1 && 2", ALERT, OK, OK),
        ("1 && 2", NO_DATA, OK, OK),
        ("1 || 2", WARN, ALERT, ALERT),
        ("1 || 2", OK, WARN, WARN),
        ("1 || 2", NO_DATA, OK, NO_DATA),
        ("1 || 2", NO_DATA, WARN, WARN),
        ("1 || 2", OK, OK, OK),
        ("1 && !2", ALERT, OK, ALERT),
        ("1 && !2", ALERT, ALERT, OK),
        ("1 && !2", WARN, NO_DATA, NO_DATA),
        ("!1 || 2", NO_DATA, OK, NO_DATA),
        ("!1 || 2", WARN, OK, OK),
        ("!(1 || 2)", OK, OK, ALERT),
    ],
)
def test_states_are_combined(query: str, one: Status, two: Status, state: Status) -> None:
    assert combined(composite(query), {1: one, 2: two}) is state


def test_and_binds_tighter_than_or() -> None:
    statuses = {1: OK, 2: OK, 3: ALERT}
    assert combined(composite("1 && 2 || 3"), statuses) is ALERT
    assert combined(composite("1 && (2 || 3)"), statuses) is OK


def test_a_monitor_that_is_gone_has_no_data() -> None:
    assert combined(composite("1 || 2"), {1: OK}) is NO_DATA


def test_groups_match_by_their_tags_and_only_common_ones_count() -> None:
    statuses: dict[int, GroupStatuses] = {
        1: {("host:a",): ALERT, ("host:b",): ALERT, ("host:c",): OK},
        2: {("host:a",): WARN, ("host:b",): OK},
    }
    assert combined_groups(composite("1 && 2"), statuses) == {
        ("host:a",): WARN,
        ("host:b",): OK,
    }


def test_a_monitor_without_groups_goes_with_every_group() -> None:
    statuses: dict[int, GroupStatuses] = {1: {("host:a",): ALERT, ("host:b",): OK}, 2: {(): ALERT}}
    assert combined_groups(composite("1 && 2"), statuses) == {
        ("host:a",): ALERT,
        ("host:b",): OK,
    }


def test_wider_groups_match_narrower_ones() -> None:
    statuses: dict[int, GroupStatuses] = {
        1: {("env:p", "host:a"): ALERT, ("env:q", "host:b"): ALERT},
        2: {("env:p",): ALERT, ("env:q",): OK},
    }
    assert combined_groups(composite("1 && 2"), statuses) == {
        ("env:p", "host:a"): ALERT,
        ("env:q", "host:b"): OK,
    }


def test_no_data_keeps_the_last_state_unless_it_is_to_be_told() -> None:
    before = GroupState(ALERT, since_s=0, seen_s=0, data_s=0)
    kept, nothing = step(before, Finding(None, status=NO_DATA), None, MonitorOptions(), 600)
    assert (kept.status, nothing) == (ALERT, None)
    told, _ = step(
        before, Finding(None, status=NO_DATA), None, MonitorOptions(notify_no_data=True), 600
    )
    assert told.status is NO_DATA
