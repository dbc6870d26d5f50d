"""What the values of a query are, and what an error says."""

import pytest

from pettwin_pipeline.datadog_protocol import parsing
from pettwin_pipeline.datadog_protocol.monitor_syntax import (
    CheckAlert,
    Comparison,
    Composite,
    FormulaAlert,
    MetricAlert,
    SearchAlert,
    SloAlert,
)
from pettwin_pipeline.datadog_protocol.syntax import (
    Binary,
    Both,
    Call,
    Either,
    In,
    Listed,
    MetricQuery,
    Modifier,
    Negated,
    Not,
    Number,
    Tag,
    Text,
    Threshold,
)
from pettwin_pipeline.errors import QuerySyntaxError


def only(query: str) -> object:
    (expression,) = parsing.parse_metric(query)
    return expression


def test_a_metric_query_has_all_its_parts() -> None:
    assert only("p95:a.b{env:prod} by {host,x.y}.rollup(max, 60).fill(null)") == MetricQuery(
        "a.b",
        Tag("env:prod"),
        "p95",
        ("host", "x.y"),
        (Modifier("rollup", ("max", 60.0)), Modifier("fill", ("null",))),
    )


def test_the_last_modifier_of_a_name_holds() -> None:
    query = only("avg:a{*}.rollup(sum, 60).rollup(max, 300)")
    assert isinstance(query, MetricQuery)
    assert query.modifier("rollup") == Modifier("rollup", ("max", 300.0))
    assert query.modifier("fill") is None


@pytest.mark.parametrize(
    ("scope", "value"),
    [
        ("*", Tag("*")),
        ("a", Tag("a")),
        ("!a:b", Listed((Not(Tag("a:b")),))),
        ("a, !b:c ,$d", Listed((Tag("a"), Not(Tag("b:c")), Tag("$d")))),
        ("NOT a", Not(Tag("a"))),
        ("a AND b OR c", Either((Both((Tag("a"), Tag("b"))), Tag("c")))),
        ("a AND (b OR c)", Both((Tag("a"), Either((Tag("b"), Tag("c")))))),
        ("k IN (a, b*)", In("k", ("a", "b*"))),
        ("k NOT IN (-1,0)", In("k", ("-1", "0"), negated=True)),
        ("a:b,k IN (c,d)", Listed((Tag("a:b"), In("k", ("c", "d"))))),
        ("order:5,android,indiana", Listed((Tag("order:5"), Tag("android"), Tag("indiana")))),
        ("or:1 AND not:2", Both((Tag("or:1"), Tag("not:2")))),
    ],
)
def test_a_scope_is_read_as_it_binds(scope: str, value: object) -> None:
    query = only(f"avg:a{{{scope}}}")
    assert isinstance(query, MetricQuery)
    assert query.scope == value


def test_a_tag_knows_its_key_and_value() -> None:
    assert [(tag.key, tag.value) for tag in (Tag("a:b:c"), Tag("a"), Tag("a:"))] == [
        ("a", "b:c"),
        (None, "a"),
        ("a", ""),
    ]


def test_arithmetic_binds_as_usual_and_signs_belong_to_constants() -> None:
    a, b = MetricQuery("a", aggregator="avg"), MetricQuery("b", aggregator="avg")
    assert only("avg:a{*} - avg:b{*} - 1") == Binary("-", Binary("-", a, b), Number(1))
    assert only("avg:a{*} + avg:b{*} * -2") == Binary("+", a, Binary("*", b, Number(-2)))
    assert only("-avg:a{*} * 2") == Binary("*", Negated(a), Number(2))


def test_a_count_over_a_distribution_holds_its_threshold() -> None:
    assert only("count(v: v<=2.5):a{*}") == MetricQuery(
        "a", aggregator="count", counted=Threshold("<=", 2.5)
    )


def test_keywords_follow_arguments() -> None:
    call = only("anomalies(avg:a{*}, 'basic', 2, direction='above', interval=60)")
    assert isinstance(call, Call)
    assert call.arguments[1:] == (Text("basic"), Number(2))
    assert (call.keyword("direction"), call.keyword("interval")) == (Text("above"), Number(60))
    assert call.keyword("alert_window") is None


def test_columns_are_those_of_the_text() -> None:
    left, right = parsing.parse_metric("avg:a{*},\n  abs(avg:b{*})")
    assert (left.at, right.at) == (1, 13)


def test_a_change_monitor() -> None:
    alert = parsing.parse_monitor("query alert", "pct_change(avg(last_5m),1h_ago):avg:a{*} < -50")
    assert isinstance(alert, MetricAlert)
    assert alert.change is not None
    assert (alert.change.kind, alert.change.shift_s) == ("pct_change", 3600)
    assert (alert.aggregator, alert.window.seconds) == ("avg", 300)
    assert alert.comparison == Comparison("<", -50)


@pytest.mark.parametrize(
    ("window", "kind", "seconds"),
    [
        ("last_90m", "last", 5400),
        ("last_1w", "last", 604800),
        ("current_1mo", "current", 2592000),
    ],
)
def test_windows_have_a_length(window: str, kind: str, seconds: int) -> None:
    alert = parsing.parse_monitor("metric alert", f"avg({window}):avg:a{{*}} > 1")
    assert isinstance(alert, MetricAlert)
    assert (alert.window.kind, alert.window.seconds) == (kind, seconds)


def test_a_dynamic_threshold_holds_nothing_by_itself() -> None:
    alert = parsing.parse_monitor("metric alert", "avg(last_5m):avg:a{*} > threshold")
    assert isinstance(alert, MetricAlert)
    assert (alert.comparison.holds(5), alert.comparison.holds(5, 4)) == (False, True)


def test_a_service_check() -> None:
    alert = parsing.parse_monitor(
        "service check", '"a.b".over("env:x","y").by("host",env).last(3).count_by_status()'
    )
    assert isinstance(alert, CheckAlert)
    assert (alert.check, alert.last) == ("a.b", 3)
    assert alert.texts("over") == ("env:x", "y")
    assert alert.texts("by") == ("host", "env")
    assert alert.texts("exclude") == ()


def test_a_log_search() -> None:
    alert = parsing.parse_monitor(
        "log alert", r'logs("a:\"b c\" -d").rollup("avg", "@x").by("@y,host").last("4h") >= 2'
    )
    assert isinstance(alert, SearchAlert)
    assert (alert.query, alert.by, alert.window_s) == ('a:"b c" -d', ("@y", "host"), 14400)


def test_an_error_within_a_formula_counts_from_the_start_of_the_query() -> None:
    with pytest.raises(QuerySyntaxError) as refused:
        parsing.parse_monitor("log alert", 'formula("a + foo(b)").last("5m") > 5')
    assert refused.value.column == 14


def test_a_formula_of_a_monitor_is_an_expression() -> None:
    alert = parsing.parse_monitor("rum alert", 'formula("query1 * 2").last("5m") > 5')
    assert isinstance(alert, FormulaAlert)
    assert alert.formula == parsing.parse_formula("query1 * 2")


def test_a_burn_rate() -> None:
    alert = parsing.parse_monitor(
        "slo alert", 'burn_rate("x").over("30d").short_window("5m").long_window("1h") > 14.4'
    )
    assert alert == SloAlert("burn_rate", "x", "30d", Comparison(">", 14.4), "1h", "5m")


def test_a_composite_names_each_monitor_once() -> None:
    alert = parsing.parse_monitor("composite", "7 && (8 || !7)")
    assert isinstance(alert, Composite)
    assert alert.monitor_ids == (7, 8)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("avg:a", "unexpected ':a'; a metric is followed by {scope}"),
        ("a", "a has no scope: a metric is followed by {...}"),
        ("avg:a{*", "the query ends too early; expected ,, AND, IN, NOT, OR, }"),
        ("avg:a{*} by {host}.rollup(mean)", ".rollup() knows no aggregator mean"),
        ("mean:a{*}", "there is no aggregator mean"),
        ("foo(avg:a{*})", "there is no function foo"),
        ("abs(avg:a{*}, 1)", "abs takes 1 argument, not 2"),
        ("top(avg:a{*}, 5, 'x', 'asc')", "top takes one of 'mean'"),
        ("avg:a{*}.foo()", "there is no modifier .foo()"),
        ("avg:a{b AND !c}", "do not mix"),
        ("avg:a{*} 5", "unexpected '5'"),
    ],
)
def test_an_error_says_what_to_do(query: str, problem: str) -> None:
    with pytest.raises(QuerySyntaxError) as refused:
        parsing.parse_metric(query)
    assert problem in refused.value.problem
    assert str(refused.value).startswith(f"column {refused.value.column}: ")
