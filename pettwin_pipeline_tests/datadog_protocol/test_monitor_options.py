"""Options of monitors, and the clock of their evaluation."""

import pytest

from pettwin_pipeline.datadog_protocol.monitor_options import (
    Status,
    Thresholds,
    bucket_s,
    evaluated_every_s,
    notified_group,
    options_of,
)

MINUTE, HOUR = 60, 3600


def test_options_are_read_with_their_units() -> None:
    read = options_of(
        {
            "thresholds": {"critical": 2, "warning": None},
            "no_data_timeframe": 20,
            "renotify_interval": 30,
            "renotify_statuses": ["alert", "no data"],
            "timeout_h": 2,
            "evaluation_delay": 900,
            "threshold_windows": {"trigger_window": "last_15m", "recovery_window": "last_1h"},
            "notify_by": ["*"],
            "silenced": {},
        }
    )
    assert read.thresholds == Thresholds(critical=2.0)
    assert (read.no_data_timeframe_s, read.renotify_interval_s, read.timeout_s) == (
        20 * MINUTE,
        30 * MINUTE,
        2 * HOUR,
    )
    assert read.renotify_statuses == (Status.ALERT, Status.NO_DATA)
    assert (read.trigger_window_s, read.recovery_window_s) == (15 * MINUTE, HOUR)
    assert (read.evaluation_delay_s, read.notify_by) == (900, ("*",))


@pytest.mark.parametrize(
    ("notify_by", "told"),
    [(None, ("env:p", "host:a")), (["env"], ("env:p",)), (["*"], ()), (["x"], ())],
)
def test_a_subset_of_the_tags_is_told(notify_by: list[str] | None, told: tuple[str, ...]) -> None:
    chosen = options_of({"notify_by": notify_by})
    assert notified_group(("env:p", "host:a"), chosen) == told


@pytest.mark.parametrize(
    ("window_s", "every_s"),
    [(300, 60), (24 * HOUR - 1, 60), (24 * HOUR, 600), (48 * HOUR - 1, 600), (48 * HOUR, 1800)],
)
def test_a_monitor_looks_as_often_as_its_window_is_long(window_s: int, every_s: int) -> None:
    assert evaluated_every_s(window_s) == every_s


def test_windows_have_buckets_by_their_unit() -> None:
    assert [bucket_s(unit) for unit in ("m", "h", "d", "mo")] == [60, 600, 3600, 14400]


def test_without_a_timeframe_no_data_is_told_after_twice_the_window() -> None:
    assert options_of({}, window_s=300).no_data_timeframe_s == 600
    assert options_of({"no_data_timeframe": 3}, window_s=300).no_data_timeframe_s == 180
    assert options_of({}).no_data_timeframe_s is None
