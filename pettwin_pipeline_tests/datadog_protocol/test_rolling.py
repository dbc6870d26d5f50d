"""Buckets: how long, where they sit, and what is in them."""

import numpy as np
import pytest

from pettwin_pipeline.datadog_protocol.rolling import Grid, default_interval_s, grid, roll

HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("span_s", "interval_s"),
    [
        (20 * 60, 5),
        (HOUR, 20),
        (4 * HOUR, 60),
        (DAY, 300),
        (2 * DAY, 600),
        (7 * DAY, 3600),
        (30 * DAY, 4 * HOUR),
    ],
)
def test_the_default_length_of_a_bucket_follows_the_window(span_s: int, interval_s: int) -> None:
    assert default_interval_s(span_s) == interval_s


def test_a_day_has_288_buckets_and_twenty_minutes_240() -> None:
    assert grid(10 * DAY, 11 * DAY) == Grid(10 * DAY, 300, 288)
    assert grid(0, 20 * 60) == Grid(0, 5, 240)


def test_buckets_sit_on_multiples_and_none_begins_before_the_window() -> None:
    assert grid(7, 7 + 20 * 60) == Grid(10, 5, 240)
    assert grid(301.5, 301.5 + DAY) == Grid(600, 300, 288)


def test_a_roll_up_that_is_asked_for_is_kept_up_to_1500_buckets() -> None:
    assert grid(0, HOUR, 60) == Grid(0, 60, 60)
    assert grid(0, DAY, 3600) == Grid(0, 3600, 24)
    assert grid(0, 30 * DAY, 20) == Grid(0, 1800, 1440)


def test_a_window_that_is_empty_or_turned_around_has_no_bucket() -> None:
    assert grid(100, 100).buckets == 0
    assert grid(100, 50).buckets == 0


def test_points_are_rolled_up_by_series() -> None:
    times = np.array([5, 10, 14, 19, 30])
    rolled = roll([(times, np.array([9.0, 1, 4, 3, 7])), (times[:0], np.empty(0))], Grid(10, 10, 2))
    assert rolled.count.tolist() == [[3, 0], [0, 0]]
    for array, inside in (
        (rolled.total, 8),
        (rolled.low, 1),
        (rolled.high, 4),
        (rolled.last, 3),
    ):
        assert array[0, 0] == inside
        assert np.isnan(array[0, 1])
        assert np.isnan(array[1]).all()
