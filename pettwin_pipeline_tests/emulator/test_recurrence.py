"""Recurring schedules: when the next turn is."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from pettwin_pipeline.emulator.refusals import Refusal
from pettwin_pipeline.emulator.resources.recurrence import (
    current_turn,
    parse_duration,
    parse_rule,
    turns,
)

UTC_ZONE = ZoneInfo("UTC")
MONDAY = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


def days(
    rule: str, count: int = 4, start: datetime = MONDAY, zone: ZoneInfo = UTC_ZONE
) -> list[str]:
    found = islice(turns(parse_rule(rule), start, zone), count)
    return [f"{one:%m-%d %H:%M}" for one in found]


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("FREQ=DAILY", ["01-05 09:30", "01-06 09:30", "01-07 09:30", "01-08 09:30"]),
        ("FREQ=DAILY;INTERVAL=2;COUNT=2", ["01-05 09:30", "01-07 09:30"]),
        ("RRULE:FREQ=HOURLY;INTERVAL=12;COUNT=2", ["01-05 09:30", "01-05 21:30"]),
        ("FREQ=WEEKLY;BYDAY=WE,MO;COUNT=3", ["01-05 09:30", "01-07 09:30", "01-12 09:30"]),
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR",
            ["01-05 09:30", "01-09 09:30", "01-19 09:30", "01-23 09:30"],
        ),
        ("FREQ=DAILY;UNTIL=20260106T235959Z", ["01-05 09:30", "01-06 09:30"]),
        ("FREQ=MONTHLY;COUNT=2", ["01-05 09:30", "02-05 09:30"]),
        ("FREQ=YEARLY;COUNT=2", ["01-05 09:30", "01-05 09:30"]),
    ],
)
def test_the_turns_of_a_rule(rule: str, found: list[str]) -> None:
    assert days(rule) == found


def test_a_month_without_that_day_is_left_out() -> None:
    start = datetime(2026, 1, 31, tzinfo=UTC)
    assert days("FREQ=MONTHLY", 3, start) == ["01-31 00:00", "03-31 00:00", "05-31 00:00"]


def test_a_turn_keeps_its_hour_of_the_clock_when_summer_begins() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 3, 28, 10, 0, tzinfo=berlin)
    assert days("FREQ=DAILY", 2, start, berlin) == ["03-28 09:00", "03-29 08:00"]


def test_the_turn_that_runs_comes_before_the_next_one() -> None:
    rule, hour = parse_rule("FREQ=DAILY"), timedelta(hours=1)
    for now, begins in (
        (MONDAY - timedelta(days=9), MONDAY),
        (MONDAY + timedelta(minutes=59), MONDAY),
        (MONDAY + hour, MONDAY + timedelta(days=1)),
    ):
        assert current_turn(rule, MONDAY, UTC_ZONE, hour, now) == (begins, begins + hour)


def test_after_the_last_turn_there_is_none() -> None:
    rule = parse_rule("FREQ=DAILY;COUNT=1")
    later = MONDAY + timedelta(days=1)
    assert current_turn(rule, MONDAY, UTC_ZONE, timedelta(hours=1), later) is None


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "FREQ=SOMETIMES",
        "INTERVAL=2",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;BYDAY=XX",
        "FREQ=DAILY;X=1",
    ],
)
def test_a_rule_that_is_not_understood_is_refused(rule: str) -> None:
    with pytest.raises(Refusal):
        parse_rule(rule)


def test_durations_end_with_their_unit() -> None:
    assert parse_duration("90m") == timedelta(minutes=90)
    assert parse_duration("2w") == timedelta(days=14)
    for wrong in ("", "0h", "1", "h", "-1h", "1.5h", "30s"):
        with pytest.raises(Refusal):
            parse_duration(wrong)
