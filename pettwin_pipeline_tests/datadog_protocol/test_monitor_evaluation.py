"""What monitors find over their windows, by hand."""

from collections.abc import Sequence

import pytest

from pettwin_pipeline.datadog_protocol.aggregation import StoredPoint
from pettwin_pipeline.datadog_protocol.monitor_evaluation import (
    counts,
    evaluate_metric,
    window_of,
)
from pettwin_pipeline.datadog_protocol.monitor_options import MonitorOptions
from pettwin_pipeline.datadog_protocol.monitor_states import Finding
from pettwin_pipeline.datadog_protocol.monitor_syntax import MetricAlert, Window
from pettwin_pipeline.datadog_protocol.parsing import parse_monitor
from pettwin_pipeline.datadog_protocol.sketches import SketchBuilder
from pettwin_pipeline_tests.datadog_protocol.memory_store import MemoryStore, counter, gauge

PLAIN = MonitorOptions()


def found(
    query: str,
    points: Sequence[StoredPoint],
    now_s: float,
    options: MonitorOptions = PLAIN,
) -> dict[tuple[str, ...], Finding]:
    alert = parse_monitor("query alert", query)
    assert isinstance(alert, MetricAlert)
    return evaluate_metric(alert, MemoryStore(points), now_s, options)


def value(query: str, points: Sequence[StoredPoint], now_s: float) -> float | None:
    (one,) = found(query, points, now_s).values()
    return one.value


# A minute at 1, 2, 3, 4 and 5.
RISING = gauge("a", [1 + place // 6 for place in range(30)])


@pytest.mark.parametrize(("aggregator", "expected"), [("avg", 3), ("min", 1), ("max", 5)])
def test_values_of_the_window_are_put_together(aggregator: str, expected: float) -> None:
    assert value(f"{aggregator}(last_5m):avg:a{{*}} > 0", RISING, 300) == expected


def test_only_the_window_counts() -> None:
    assert value("avg(last_2m):avg:a{*} > 0", RISING, 300) == 4.5
    assert value("avg(last_2m):avg:a{*} > 0", RISING, 120) == 1.5


def test_an_evaluation_delay_moves_the_window_back() -> None:
    (one,) = found(
        "avg(last_2m):avg:a{*} > 0", RISING, 300, MonitorOptions(evaluation_delay_s=180)
    ).values()
    assert one.value == 1.5


def test_a_week_in_minutes_is_looked_at_in_coarser_buckets() -> None:
    points = gauge("a", [2] * 1008, step_s=600)
    (one,) = found("avg(last_10080m):avg:a{*} > 0", points, 7 * 86400).values()
    assert (one.value, one.full) == (2, True)


def test_each_group_is_found_for_itself_and_none_without_the_tag() -> None:
    points = [
        *gauge("a", [1] * 30, "host:x"),
        *gauge("a", [2] * 30, "host:y"),
        *gauge("a", [9] * 30),
    ]
    groups = found("avg(last_5m):avg:a{*} by {host} > 0", points, 300)
    assert {group: one.value for group, one in groups.items()} == {("host:x",): 1, ("host:y",): 2}


def test_no_data_in_the_window_is_no_value() -> None:
    assert value("avg(last_5m):avg:a{*} > 0", RISING, 3000) is None
    assert found("avg(last_5m):avg:b{*} > 0", RISING, 300) == {}


# 3 % of errors in each minute, but for one minute with many requests and none.
ERRORS = counter("e", [*([3] + [0] * 5) * 4, *[0] * 6])
REQUESTS = counter("r", [*([100] + [0] * 5) * 4, *([100] * 6)])


def test_with_as_count_both_are_summed_over_the_window_before_they_are_divided() -> None:
    query = "sum(last_5m):100 * sum:e{*}.as_count() / sum:r{*}.as_count() > 10"
    assert value(query, [*ERRORS, *REQUESTS], 300) == pytest.approx(100 * 12 / 1000)


def test_with_as_rate_a_sum_over_ratios_is_no_ratio() -> None:
    query = "sum(last_5m):100 * sum:e{*}.as_rate() / sum:r{*}.as_rate() > 10"
    assert value(query, [*ERRORS, *REQUESTS], 300) == pytest.approx(12)


def test_a_query_counts_where_it_has_as_count_or_as_rate() -> None:
    for modifier, expected in ((".as_count()", True), (".as_rate()", True), ("", False)):
        alert = parse_monitor("query alert", f"sum(last_5m):sum:a{{*}}{modifier} > 0")
        assert isinstance(alert, MetricAlert)
        assert counts(alert.expression) is expected


def test_a_percentile_is_that_of_the_whole_window() -> None:
    points = []
    for place in range(5):
        builder = SketchBuilder()
        for number in range(place * 20 + 1, place * 20 + 21):
            builder.add(number)
        points.append(StoredPoint("a", (), "distribution", place * 60, builder.build()))
    query = "percentile(last_5m):p95:a{*} > 0"
    assert value(query, points, 300) == pytest.approx(95, rel=0.01)


def test_a_change_is_what_is_more_than_before() -> None:
    points = gauge("a", [100] * 60 + [150] * 60, step_s=60)
    for shift in ("last_1h", "1h_ago"):
        assert value(f"change(avg(last_5m),{shift}):avg:a{{*}} > 0", points, 7200) == 50
        assert value(f"pct_change(avg(last_5m),{shift}):avg:a{{*}} > 0", points, 7200) == 50
    assert value("pct_change(avg(last_5m),last_1h):avg:a{*} > 0", points, 3600) is None


def test_a_percentage_of_zero_is_nothing() -> None:
    points = gauge("a", [0] * 60 + [150] * 60, step_s=60)
    assert value("pct_change(avg(last_5m),last_1h):avg:a{*} > 0", points, 7200) is None


@pytest.mark.parametrize(
    ("minutes", "full"),
    [
        ([1] * 10, True),
        ([1] + [None] * 3 + [1] * 6, True),
        ([1] + [None] * 4 + [1] * 5, False),
        ([None] + [1] * 9, False),
        ([1] * 7 + [None] * 3, True),
    ],
)
def test_a_full_window_begins_with_data_and_has_at_most_three_empty_buckets(
    minutes: list[float | None], full: bool
) -> None:
    (one,) = found("avg(last_10m):avg:a{*} > 0", gauge("a", minutes, step_s=60), 600).values()
    assert one.full is full


def test_windows_end_now_or_began_with_the_calendar() -> None:
    now = 1_700_000_000  # Tuesday 2023-11-14, 22:13:20 UTC
    assert window_of(Window("last_5m"), now) == (now - 300, now)
    assert window_of(Window("next_1w"), now) == (now, now + 604800)
    assert window_of(Window("current_1h"), now) == (now - 800, now)
    assert window_of(Window("current_1d"), now) == (now - 800 - 22 * 3600, now)
    assert window_of(Window("current_1mo"), now) == (1_698_796_800, now)


def test_anomalies_are_the_share_of_the_trigger_window_outside() -> None:
    values: list[float | None] = [10 + place % 3 for place in range(600)]
    values[-5:] = [99] * 5
    query = (
        "avg(last_4h):anomalies(avg:a{*}, 'basic', 3, direction='above', "
        "alert_window='last_10m', interval=60) >= 1"
    )
    assert value(query, gauge("a", values, step_s=60), 36000) == 0.5
    below = query.replace("above", "below")
    assert value(below, gauge("a", values, step_s=60), 36000) == 0


def test_an_outlier_is_one_and_the_others_zero() -> None:
    points = []
    for place, host in enumerate("abcde"):
        level = 100 if host == "c" else 10 + place / 10
        points += gauge("a", [level] * 30, f"host:{host}", step_s=60)
    query = "avg(last_30m):outliers(avg:a{*} by {host}, 'dbscan', 7) > 0"
    groups = found(query, points, 1800)
    assert {group[0]: one.value for group, one in groups.items()} == {
        "host:a": 0,
        "host:b": 0,
        "host:c": 1,
        "host:d": 0,
        "host:e": 0,
    }


def test_a_forecast_finds_what_is_to_come() -> None:
    points = gauge("a", [float(hour) for hour in range(168)], step_s=3600)
    query = "max(next_1d):forecast(avg:a{*}, 'linear', 1, interval='60m', history='1w') >= 5"
    assert value(query, points, 168 * 3600) == pytest.approx(191, abs=0.5)
