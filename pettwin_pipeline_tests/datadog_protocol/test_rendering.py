"""Whatever is printed reads the same again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.datadog_protocol import parsing
from pettwin_pipeline.datadog_protocol.monitor_syntax import (
    AllOf,
    AnyOf,
    Change,
    Combination,
    Comparison,
    Composite,
    MetricAlert,
    Monitor,
    SearchAlert,
    Step,
    Unless,
    Window,
)
from pettwin_pipeline.datadog_protocol.rendering import render, render_metric, render_monitor
from pettwin_pipeline.datadog_protocol.searches import search_problem
from pettwin_pipeline.datadog_protocol.syntax import COMPARATORS, Expression, Text
from pettwin_pipeline_tests.datadog_protocol import expressions as drawn

comparisons = st.builds(
    Comparison,
    st.sampled_from(COMPARATORS),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
alerts = st.builds(
    MetricAlert,
    st.sampled_from(["avg", "sum", "min", "max"]),
    st.sampled_from(["last_5m", "last_4h", "last_1d", "last_1w"]).map(Window),
    drawn.metric_queries | drawn.metric_queries.map(lambda query: query),
    comparisons,
    st.none()
    | st.builds(
        Change, st.sampled_from(["change", "pct_change"]), st.sampled_from(["last_1h", "30m_ago"])
    ),
)
searches = st.builds(
    SearchAlert,
    st.just("logs"),
    st.text().filter(lambda query: search_problem(query) is None),
    st.just((Step("rollup", (Text("count"),)), Step("last", (Text("5m"),)))),
    comparisons,
)


def _wider(inner: st.SearchStrategy[Combination]) -> st.SearchStrategy[Combination]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.builds(AllOf, several) | st.builds(AnyOf, several) | st.builds(Unless, inner)


combinations: st.SearchStrategy[Combination] = st.recursive(
    st.builds(Monitor, st.integers(1, 99)), _wider, max_leaves=8
)


@given(drawn.queries)
def test_metric_queries_read_back(queries: tuple[Expression, ...]) -> None:
    assert parsing.parse_metric(render_metric(queries)) == queries


@given(drawn.formulas)
def test_formulas_read_back(formula: Expression) -> None:
    assert parsing.parse_formula(render(formula)) == formula


@given(alerts)
def test_metric_monitors_read_back(alert: MetricAlert) -> None:
    assert parsing.parse_monitor("metric alert", render_monitor(alert)) == alert


@given(searches)
def test_searches_read_back_whatever_is_searched(alert: SearchAlert) -> None:
    assert parsing.parse_monitor("log alert", render_monitor(alert)) == alert


@given(combinations.filter(lambda one: not isinstance(one, Monitor)))
def test_composites_read_back(combination: Combination) -> None:
    composite = Composite(combination)
    assert parsing.parse_monitor("composite", render_monitor(composite)) == composite


@pytest.mark.parametrize(
    ("query", "printed"),
    [
        ("avg:a{ * }  by{host , env} . as_count()", "avg:a{*} by {host,env}.as_count()"),
        ("(avg:a{*}+avg:b{*})*2", "(avg:a{*} + avg:b{*}) * 2"),
        ("avg:a{*} - (avg:b{*} - 1)", "avg:a{*} - (avg:b{*} - 1)"),
        ("avg:a{*} * (2 / avg:b{*})", "avg:a{*} * (2 / avg:b{*})"),
        ("-(avg:a{*} + 1)", "-(avg:a{*} + 1)"),
        ("avg:a{x:'y z'}", 'avg:a{x:"y z"}'),
        ("avg:a{(x:1 or y:2) and not z:3}", "avg:a{(x:1 OR y:2) AND NOT z:3}"),
        ('top(avg:a{*},10,"mean","desc")', "top(avg:a{*}, 10, 'mean', 'desc')"),
    ],
)
def test_a_query_is_printed_in_one_way(query: str, printed: str) -> None:
    assert render_metric(parsing.parse_metric(query)) == printed
