"""Generated queries of every form, for properties: what hypothesis may draw."""

from hypothesis import strategies as st

from pettwin_pipeline.datadog_protocol.functions import FUNCTIONS
from pettwin_pipeline.datadog_protocol.syntax import (
    COMPARATORS,
    Argument,
    Binary,
    Both,
    Call,
    Either,
    Expression,
    In,
    Listed,
    MetricQuery,
    Modifier,
    Named,
    Negated,
    Not,
    Number,
    Scope,
    Tag,
    Text,
    Threshold,
)

words = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
metrics = st.builds(".".join, st.lists(words, min_size=1, max_size=3))
plain = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs", "Cc"]), max_size=8)
values = st.from_regex(r"[\w*./\-]{1,6}", fullmatch=True) | plain.filter(bool)
numbers = st.builds(
    Number, st.floats(allow_nan=False, allow_infinity=False) | st.integers(-99, 99).map(float)
)
tags = st.builds(
    Tag,
    st.just("*")
    | words.map("${}".format)
    | st.builds("{}:{}".format, words, plain.map(str.strip))
    | plain.filter(lambda text: bool(text.strip()) and "'" not in text),
)
memberships = st.builds(
    In, words, st.lists(values, min_size=1, max_size=3).map(tuple), st.booleans()
)
listed = (
    st.lists(tags | memberships | st.builds(Not, tags), min_size=2, max_size=4)
    .map(lambda parts: Listed(tuple(parts)))
    .filter(lambda scope: len(scope.parts) > 1)
) | st.builds(Not, tags).map(lambda part: Listed((part,)))


def _combined(inner: st.SearchStrategy[Scope]) -> st.SearchStrategy[Scope]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.builds(Both, several) | st.builds(Either, several) | st.builds(Not, inner)


boolean: st.SearchStrategy[Scope] = st.recursive(tags | memberships, _combined, max_leaves=5)
scopes = listed | boolean
modifiers = st.sampled_from(
    [
        Modifier("as_count"),
        Modifier("as_rate"),
        Modifier("weighted"),
        Modifier("rollup", ("avg", 60.0)),
        Modifier("rollup", (3600.0,)),
        Modifier("rollup", ("max",)),
        Modifier("rollup", ("sum", "daily", "12am", "Europe/Paris")),
        Modifier("fill", ("linear", 900.0)),
        Modifier("fill", ("null",)),
        Modifier("fill", (0.0,)),
    ]
)
thresholds = st.builds(
    Threshold, st.sampled_from(COMPARATORS), st.integers(-999, 999).map(lambda value: value / 4)
)


def _metric_query(  # noqa: PLR0917 - as st.builds gives them
    metric: str,
    scope: Scope,
    threshold: Threshold | None,
    by: list[str],
    chain: list[Modifier],
    aggregator: str | None,
) -> MetricQuery:
    counted = "count" if threshold else aggregator
    return MetricQuery(metric, scope, counted, tuple(by), tuple(chain), threshold)


metric_queries = st.builds(
    _metric_query,
    metrics,
    scopes,
    st.none() | thresholds,
    st.lists(words, max_size=3),
    st.lists(modifiers, max_size=3),
    st.sampled_from([None, "avg", "sum", "min", "max", "count", "p95", "p99.9"]),
)
PLAIN = sorted(
    name
    for name, one in FUNCTIONS.items()
    if one.required == 1 == len(one.parameters) and one.in_monitors
)


def expressions(leaves: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    """Arithmetic and functions over the leaves."""

    def wider(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        several: st.SearchStrategy[Expression] = st.builds(
            Binary, st.sampled_from(["+", "-", "*", "/"]), inner, inner
        )
        called: st.SearchStrategy[Expression] = st.builds(
            Call, st.sampled_from(PLAIN), st.tuples(inner)
        )
        topped: st.SearchStrategy[Expression] = inner.map(_top)
        negated: st.SearchStrategy[Expression] = inner.filter(
            lambda one: not isinstance(one, Number)
        ).map(Negated)
        return several | called | topped | negated | inner.map(_anomalies)

    return st.recursive(leaves | numbers, wider, max_leaves=6)


def _top(query: Expression) -> Expression:
    arguments: tuple[Argument, ...] = (query, Number(5), Text("mean"), Text("desc"))
    return Call("top", arguments)


def _anomalies(query: Expression) -> Expression:
    arguments: tuple[Argument, ...] = (query, Text("basic"), Number(2))
    return Call("anomalies", arguments, (("direction", Text("both")), ("interval", Number(60))))


formulas = expressions(words.map(Named))
queries = st.tuples(metric_queries, st.lists(expressions(metric_queries), max_size=2)).map(
    lambda drawn: (drawn[0], *drawn[1])
)
