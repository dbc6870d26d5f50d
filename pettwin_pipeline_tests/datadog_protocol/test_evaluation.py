"""Queries over points, every value worked out by hand."""

from typing import Final

import pytest

from pettwin_pipeline.datadog_protocol.aggregation import StoredPoint
from pettwin_pipeline.datadog_protocol.evaluation import Asked, evaluate, grid_of
from pettwin_pipeline.datadog_protocol.parsing import parse_formula, parse_metric
from pettwin_pipeline.datadog_protocol.rolling import Grid
from pettwin_pipeline.datadog_protocol.sketches import SketchBuilder
from pettwin_pipeline.errors import QuerySyntaxError
from pettwin_pipeline_tests.datadog_protocol.asking import row, rows
from pettwin_pipeline_tests.datadog_protocol.memory_store import MemoryStore, counter, gauge

NO: Final = None
"""No value."""


TENS = Grid(0, 10, 4)
TWENTIES = Grid(0, 20, 2)


# Time aggregation


def test_points_of_a_bucket_are_averaged_by_default() -> None:
    assert row("avg:a{*}", gauge("a", [1, 3, 5, 8]), TWENTIES) == [2, 6.5]


@pytest.mark.parametrize(
    ("aggregator", "values"),
    [
        ("sum", [4, 13]),
        ("min", [1, 5]),
        ("max", [3, 8]),
        ("count", [2, 2]),
        ("last", [3, 8]),
        ("avg", [2, 6.5]),
    ],
)
def test_a_roll_up_has_its_own_aggregation(aggregator: str, values: list[float]) -> None:
    query = f"avg:a{{*}}.rollup({aggregator}, 20)"
    assert row(query, gauge("a", [1, 3, 5, 8]), TWENTIES) == values


def test_the_longest_roll_up_is_the_length_of_all_buckets() -> None:
    expressions = parse_metric("avg:a{*}.rollup(avg, 60) / avg:b{*}.rollup(sum, 300)")
    assert grid_of(expressions, 0, 3600) == Grid(0, 300, 12)
    assert grid_of(parse_metric("avg:a{*}"), 0, 3600) == Grid(0, 20, 180)
    assert grid_of(parse_metric("avg:a{*}"), 0, 3600, 60) == Grid(0, 60, 60)
    assert grid_of(parse_metric("sum:a{*}.rollup(sum, daily)"), 0, 7 * 86400).buckets == 7


def test_as_count_sums_what_was_counted() -> None:
    assert row("sum:a{*}.as_count()", counter("a", [15, 5, 20, 0]), TWENTIES) == [20, 20]


def test_as_rate_divides_the_sum_by_the_bucket() -> None:
    assert row("sum:a{*}.as_rate()", counter("a", [15, 5, 20, 0]), TWENTIES) == [1, 1]


def test_a_count_of_the_agent_is_per_second_without_a_modifier() -> None:
    assert row("sum:a{*}", counter("a", [15, 5, 20, 0]), TWENTIES) == [1, 1]
    assert row("sum:a{*}", counter("a", [15]), TENS) == [1.5, NO, NO, NO]


def test_neither_as_count_nor_as_rate_touches_gauges() -> None:
    points = gauge("a", [1, 3, 5, 8])
    assert row("avg:a{*}.as_count()", points, TWENTIES) == [2, 6.5]
    assert row("avg:a{*}.as_rate()", points, TWENTIES) == [2, 6.5]


def test_a_count_of_http_is_what_was_sent() -> None:
    points = [StoredPoint("a", (), "count", at, 6.0, 30) for at in (0, 10)]
    assert row("sum:a{*}.as_count()", points, TWENTIES) == [12, NO]
    assert row("sum:a{*}.as_rate()", points, TWENTIES) == [0.6, NO]


# Space aggregation

TWO = [*gauge("a", [1, 2, 3, 4], "host:x", "env:p"), *gauge("a", [5, 4, 3, 2], "host:y", "env:p")]


@pytest.mark.parametrize(
    ("aggregator", "values"),
    [
        ("avg", [3, 3, 3, 3]),
        ("sum", [6, 6, 6, 6]),
        ("min", [1, 2, 3, 2]),
        ("max", [5, 4, 3, 4]),
        ("count", [2, 2, 2, 2]),
    ],
)
def test_series_are_put_together_bucket_by_bucket(aggregator: str, values: list[float]) -> None:
    assert row(f"{aggregator}:a{{*}}", TWO, TENS) == values


def test_a_missing_aggregator_means_avg() -> None:
    assert row("a{*}", TWO, TENS) == [3, 3, 3, 3]


def test_a_group_by_gives_a_row_for_each_combination() -> None:
    assert rows("avg:a{*} by {env,host}", TWO, TENS) == {
        ("env:p", "host:x"): [1, 2, 3, 4],
        ("env:p", "host:y"): [5, 4, 3, 2],
    }


def test_a_series_without_the_key_is_in_the_group_na() -> None:
    points = [*TWO, *gauge("a", [7, 7, 7, 7])]
    found = rows("avg:a{*} by {host}", points, TENS)
    assert found["host:N/A",] == [7, 7, 7, 7]
    assert list(rows("exclude_null(avg:a{*} by {host})", points, TENS)) == [
        ("host:x",),
        ("host:y",),
    ]


def test_a_series_with_two_values_of_a_key_is_in_both_groups() -> None:
    points = gauge("a", [1], "team:a", "team:b")
    assert list(rows("avg:a{*} by {team}", points, TENS)) == [("team:a",), ("team:b",)]


def test_a_scope_leaves_series_out() -> None:
    assert row("avg:a{!host:x}", TWO, TENS) == [5, 4, 3, 2]
    assert rows("avg:a{host:z}", TWO, TENS) == {}
    assert rows("avg:b{*}", TWO, TENS) == {}


def test_percentiles_of_distributions_come_from_merged_sketches() -> None:
    points = []
    for host, values in (("x", range(1, 51)), ("y", range(51, 101))):
        builder = SketchBuilder()
        for value in values:
            builder.add(value)
        points.append(StoredPoint("a", (f"host:{host}",), "distribution", 0, builder.build()))
    over = Grid(0, 10, 2)
    assert row("p95:a{*}", points, over)[0] == pytest.approx(95, rel=0.01)
    assert [row(f"{name}:a{{*}}", points, over) for name in ("avg", "sum", "min", "max")] == [
        [50.5, NO],
        [5050, NO],
        [1, NO],
        [100, NO],
    ]
    assert row("count:a{*}", points, over) == [100, NO]
    assert row("count:a{*}.as_rate()", points, over) == [10, NO]
    assert row("max:a{*}.as_rate()", points, over) == [100, NO]
    assert row("count(v: v>90.5):a{*}", points, over) == [pytest.approx(10, abs=1), NO]
    assert rows("max:a{*} by {host}", points, over) == {
        ("host:x",): [50, NO],
        ("host:y",): [100, NO],
    }


# Interpolation

GAPPED = [*gauge("a", [0, NO, NO, 3], "host:x"), *gauge("a", [10, 10, 10, 10], "host:y")]


def test_several_gauges_are_interpolated_before_they_are_put_together() -> None:
    assert row("sum:a{*}", GAPPED, TENS) == [10, 11, 12, 13]


def test_one_gauge_keeps_its_gaps() -> None:
    assert row("sum:a{host:x}", GAPPED, TENS) == [0, NO, NO, 3]


def test_interpolation_ends_300_seconds_after_the_last_value() -> None:
    minutes = Grid(0, 60, 8)
    points = [
        *gauge("a", [7], "host:x"),
        *gauge("a", [1] * 8, "host:y", step_s=60),
    ]
    assert row("sum:a{*}", points, minutes) == [8, 8, 8, 8, 8, 8, 1, 1]


def test_a_gap_at_the_beginning_is_filled_from_before_the_window() -> None:
    assert row("sum:a{*}", GAPPED, Grid(10, 10, 2)) == [11, 12]


def test_counts_are_not_interpolated() -> None:
    points = [*counter("a", [10, NO, NO, 10], "host:x"), *counter("a", [10] * 4, "host:y")]
    assert row("sum:a{*}.as_count()", points, TENS) == [20, 10, 10, 20]
    assert row("sum:a{*}.as_rate()", points, TENS) == [2, 1, 1, 2]


@pytest.mark.parametrize(
    ("fill", "values"),
    [
        ("linear", [0, 1, 2, 3]),
        ("last", [0, 0, 0, 3]),
        ("zero", [0, 0, 0, 3]),
        ("null", [0, NO, NO, 3]),
        ("last, 10", [0, 0, NO, 3]),
        ("linear, 10", [0, 1, NO, 3]),
        ("0", [0, NO, NO, 3]),
        ("20", [0, 1, 2, 3]),
    ],
)
def test_fill_says_how_gaps_are_filled(fill: str, values: list[float | None]) -> None:
    assert row(f"sum:a{{host:x}}.fill({fill})", GAPPED, TENS) == values


def test_fill_null_turns_interpolation_off() -> None:
    assert row("sum:a{*}.fill(null)", GAPPED, TENS) == [10, 10, 10, 13]


def test_default_zero_comes_after_aggregation_and_holds_a_gauge_for_five_minutes() -> None:
    minutes = Grid(0, 60, 10)
    points = gauge("a", [NO, 1], step_s=60)
    assert row("default_zero(avg:a{*})", points, minutes) == [0, 1, 1, 1, 1, 1, 1, 0, 0, 0]


def test_default_zero_of_a_count_is_zero_at_once() -> None:
    points = counter("a", [NO, 5])
    assert row("default_zero(sum:a{*}.as_count())", points, TENS) == [0, 5, 0, 0]


def test_default_zero_of_nothing_is_zero() -> None:
    assert row("default_zero(avg:b{*})", [], TENS) == [0, 0, 0, 0]


# Arithmetic


def test_arithmetic_goes_group_by_group() -> None:
    points = [*TWO, *gauge("b", [2, 2, 2, 2], "host:x"), *gauge("b", [4, 4, 4, 4], "host:z")]
    assert rows("avg:a{*} by {host} / avg:b{*} by {host}", points, TENS) == {
        ("host:x",): [0.5, 1, 1.5, 2]
    }


def test_one_group_without_tags_goes_with_every_other() -> None:
    assert rows("avg:a{*} by {host} - avg:a{*}", TWO, TENS) == {
        ("host:x",): [-2, -1, 0, 1],
        ("host:y",): [2, 1, 0, -1],
    }
    assert rows("10 - avg:a{host:x}", TWO, TENS) == {(): [9, 8, 7, 6]}


def test_groups_match_where_the_tags_of_one_are_among_those_of_the_other() -> None:
    points = [*TWO, *gauge("b", [2, 2, 2, 2], "host:x")]
    found = rows("avg:a{*} by {env,host} * avg:b{*} by {host}", points, TENS)
    assert found == {("env:p", "host:x"): [2, 4, 6, 8]}


def test_what_is_missing_of_a_gauge_is_missing_in_the_result() -> None:
    points = [*gauge("a", [1, NO, 3]), *gauge("b", [1, 1, NO])]
    assert row("avg:a{*} + avg:b{*}", points, TENS) == [2, NO, NO, NO]


def test_what_is_missing_of_a_count_is_zero_beside_another_query() -> None:
    points = [*counter("a", [1, NO, 3]), *counter("b", [4, 4, NO])]
    query = "sum:a{*}.as_count() + sum:b{*}.as_count()"
    assert row(query, points, TENS) == [5, 4, 3, NO]
    assert row("sum:a{*}.as_count() + 1", points, TENS) == [2, NO, 4, NO]


def test_what_is_divided_by_zero_is_missing() -> None:
    points = [*gauge("a", [1, 1]), *gauge("b", [0, 2])]
    assert row("avg:a{*} / avg:b{*}", points, TENS) == [NO, 0.5, NO, NO]


def test_signs_and_precedence() -> None:
    assert row("-avg:a{*} * 2 + 10", gauge("a", [1, 2]), TENS) == [8, 6, NO, NO]


# Formulas


def test_names_of_a_formula_stand_for_queries() -> None:
    names = {
        "q": parse_metric("sum:a{*} by {host}")[0],
        "all": parse_metric("sum:a{*}")[0],
    }
    found = evaluate(parse_formula("q / all * 100"), Asked(MemoryStore(TWO), TENS, names))
    assert found.groups == (("host:x",), ("host:y",))
    assert found.values[0] == pytest.approx([100 / 6, 200 / 6, 50, 400 / 6])


def test_a_name_that_stands_for_nothing_is_an_error_at_its_column() -> None:
    with pytest.raises(QuerySyntaxError, match="there is no query b") as refused:
        evaluate(parse_formula("1 + b"), Asked(MemoryStore(), TENS))
    assert refused.value.column == 5
