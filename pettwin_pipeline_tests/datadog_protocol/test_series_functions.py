"""Functions of queries, every value worked out by hand."""

from typing import Final

import numpy as np
import pytest

from pettwin_pipeline.datadog_protocol.rolling import Grid
from pettwin_pipeline_tests.datadog_protocol.asking import frame, row, rows
from pettwin_pipeline_tests.datadog_protocol.memory_store import gauge

NO: Final = None
"""No value."""
TENS = Grid(0, 10, 4)


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("abs(avg:a{*} - 10)", [9, 6, 6, NO]),
        ("log2(avg:a{*})", [0, 2, 4, NO]),
        ("log10(avg:a{*} * 0)", [NO, NO, NO, NO]),
        ("cumsum(avg:a{*})", [1, 5, 21, NO]),
        ("integral(avg:a{*})", [0, 30, 150, NO]),
        ("per_second(avg:a{*})", [NO, 0.3, 1.2, NO]),
        ("per_minute(avg:a{*})", [NO, 18, 72, NO]),
        ("per_hour(avg:a{*})", [NO, 1080, 4320, NO]),
        ("derivative(avg:a{*})", [NO, 0.3, 1.2, NO]),
        ("diff(avg:a{*})", [NO, 3, 12, NO]),
        ("monotonic_diff(0 - avg:a{*})", [NO, NO, NO, NO]),
        ("throughput(avg:a{*})", [0.1, 0.4, 1.6, NO]),
        ("dt(avg:a{*})", [NO, 10, 10, NO]),
        ("round(avg:a{*} / 3)", [0, 1, 5, NO]),
        ("clamp_min(avg:a{*}, 4)", [4, 4, 16, NO]),
        ("clamp_max(avg:a{*}, 4)", [1, 4, 4, NO]),
        ("cutoff_min(avg:a{*}, 4)", [NO, 4, 16, NO]),
        ("cutoff_max(avg:a{*}, 4)", [1, 4, NO, NO]),
        ("default(avg:a{*}, 9)", [1, 4, 16, 9]),
        ("max(avg:a{*}, 5)", [5, 5, 16, 5]),
        ("min(avg:a{*}, 5)", [1, 4, 5, 5]),
        ("pow(avg:a{*}, 2)", [1, 16, 256, NO]),
        ("ewma_3(avg:a{*})", [1, 2.5, 9.25, NO]),
        ("median_3(avg:a{*})", [1, 2.5, 4, NO]),
        ("rollingavg_5(avg:a{*})", [1, 2.5, 7, NO]),
        ("moving_rollup(avg:a{*}, 20, 'max')", [1, 4, 16, 16]),
        ("moving_rollup(avg:a{*}, 20)", [1, 2.5, 10, 16]),
        ("rollup(avg:a{*}, 'sum', 20)", [5, NO, 16, NO]),
        ("reduce(avg:a{*}, 'max')", [16, 16, 16, 16]),
        ("reduce(avg:a{*}, 'count')", [3, 3, 3, 3]),
        ("timeshift(avg:a{*}, -10)", [NO, 1, 4, 16]),
        ("timeshift(avg:a{*}, 10)", [4, 16, NO, NO]),
        ("trend_line(avg:a{*} * 0 + 7)", [7, 7, 7, 7]),
        ("count_not_null(avg:a{*})", [1, 1, 1, 0]),
        ("count_nonzero(avg:a{*} - 4)", [1, 0, 1, 0]),
    ],
)
def test_a_function_does_what_is_documented(query: str, values: list[float | None]) -> None:
    assert row(query, gauge("a", [1, 4, 16]), TENS) == values


def test_differences_reach_over_gaps() -> None:
    points = gauge("a", [1, NO, 7, 6])
    assert row("diff(avg:a{*})", points, TENS) == [NO, NO, 6, -1]
    assert row("monotonic_diff(avg:a{*})", points, TENS) == [NO, NO, 6, NO]
    assert row("per_second(avg:a{*})", points, TENS) == [NO, NO, 0.3, -0.1]
    assert row("dt(avg:a{*})", points, TENS) == [NO, NO, 20, 10]


def test_counting_functions_count_groups() -> None:
    points = [*gauge("a", [0, 1], "host:x"), *gauge("a", [2, NO], "host:y")]
    assert row("count_nonzero(avg:a{*} by {host})", points, TENS) == [1, 1, 0, 0]
    assert row("count_not_null(avg:a{*} by {host})", points, TENS) == [2, 1, 0, 0]


@pytest.mark.parametrize(
    ("query", "hosts"),
    [
        ("top(Q, 2, 'mean', 'desc')", "zy"),
        ("top(Q, 2, 'mean', 'asc')", "xy"),
        ("top(Q, 9, 'max', 'desc')", "zyx"),
        ("top(Q, 1, 'last', 'asc')", "z"),
        ("top(Q, 1, 'l2norm', 'asc')", "x"),
        ("top5(Q)", "zyx"),
        ("bottom5_max(Q)", "xyz"),
        ("top5_last(Q)", "yxz"),
    ],
)
def test_top_picks_and_orders_groups(query: str, hosts: str) -> None:
    points = [
        *gauge("a", [1, 1, 1], "host:x"),
        *gauge("a", [2, 2, 2], "host:y"),
        *gauge("a", [9, 9, 0], "host:z"),
        *gauge("a", [5], "host:silent", start_s=999),
    ]
    found = rows(query.replace("Q", "avg:a{*} by {host}"), points, TENS)
    assert [group[0] for group in found] == [f"host:{host}" for host in hosts]


def test_before_functions_show_what_was_at_the_times_of_now() -> None:
    day = 86400
    points = gauge("a", [1, 2, 3, 4], start_s=0)
    assert row("day_before(avg:a{*})", points, TENS.shifted(day)) == [1, 2, 3, 4]
    assert row("hour_before(avg:a{*})", points, TENS.shifted(3600)) == [1, 2, 3, 4]
    assert row("week_before(avg:a{*})", points, TENS.shifted(7 * day)) == [1, 2, 3, 4]
    assert row("month_before(avg:a{*})", points, TENS.shifted(28 * day)) == [1, 2, 3, 4]
    assert row("calendar_shift(avg:a{*}, '-1d', 'UTC')", points, TENS.shifted(day)) == [1, 2, 3, 4]


def test_a_calendar_month_has_the_days_of_that_month() -> None:
    march = Grid(1_709_251_200, 10, 1)  # 2024-03-01, 00:00 UTC; February had 29 days
    points = gauge("a", [5], start_s=march.start_s - 29 * 86400)
    assert row("calendar_shift(avg:a{*}, '-1mo', 'UTC')", points, march) == [5]


def test_groups_can_be_put_together_once_more() -> None:
    points = [
        *gauge("a", [1, 1], "env:p", "host:x"),
        *gauge("a", [3, 5], "env:p", "host:y"),
        *gauge("a", [7, 7], "env:q", "host:z"),
    ]
    query = "avg:a{*} by {env,host}"
    over = Grid(0, 10, 2)
    assert rows(f"sum({query}, {{env}})", points, over) == {("env:p",): [4, 6], ("env:q",): [7, 7]}
    assert rows(f"max({query}, {{*}})", points, over) == {(): [7, 7]}
    assert rows(f"percentile({query}, 'p50', {{*}})", points, over) == {(): [3, 5]}


def test_trends_go_through_the_values() -> None:
    points = gauge("a", [1, 2, 3, 40, 5, 6, 7, 8])
    over = Grid(0, 10, 8)
    straight = row("trend_line(avg:a{*})", gauge("a", [1, 2, 3, 4, 5, 6, 7, 8]), over)
    assert straight == pytest.approx([1, 2, 3, 4, 5, 6, 7, 8])
    robust = row("robust_trend(avg:a{*})", points, over)
    assert robust == pytest.approx([1, 2, 3, 4, 5, 6, 7, 8], abs=0.5)


def test_a_step_is_two_constants() -> None:
    points = gauge("a", [1, 1.1, 0.9, 1, 9, 9.1, 8.9, 9])
    found = row("piecewise_constant(avg:a{*})", points, Grid(0, 10, 8))
    assert found == pytest.approx([1] * 4 + [9] * 4)


def test_autosmooth_takes_noise_away() -> None:
    dice = np.random.default_rng(1)
    noisy = np.sin(np.arange(240) / 20) * 5 + dice.normal(0, 1, 240)
    found = frame("autosmooth(avg:a{*})", gauge("a", noisy.tolist()), Grid(0, 10, 240)).values[0]
    assert np.std(np.diff(found)) < np.std(np.diff(noisy)) / 2
