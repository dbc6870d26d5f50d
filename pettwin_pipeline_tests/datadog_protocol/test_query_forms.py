"""Forms of real dashboards and monitors, one a line in two files beside this one.

`queries_that_are_fine.tsv` has kind and query, `queries_that_are_broken.tsv` the column of the
error before them.
"""

from pathlib import Path

import pytest

from pettwin_pipeline.datadog_protocol import parsing
from pettwin_pipeline.datadog_protocol.rendering import render_any
from pettwin_pipeline.errors import QuerySyntaxError

HERE = Path(__file__).parent
FINE = (HERE / "queries_that_are_fine.tsv").read_text("utf-8").splitlines()
BROKEN = (HERE / "queries_that_are_broken.tsv").read_text("utf-8").splitlines()


@pytest.mark.parametrize("line", FINE)
def test_a_fine_query_is_read_and_printed_so_that_it_reads_the_same(line: str) -> None:
    kind, _, query = line.partition("\t")
    read = parsing.parse(kind, query)
    assert parsing.parse(kind, render_any(read)) == read


@pytest.mark.parametrize("line", BROKEN)
def test_a_broken_query_is_refused_at_its_column(line: str) -> None:
    column, kind, query = line.split("\t")
    with pytest.raises(QuerySyntaxError) as refused:
        parsing.parse(kind, query)
    assert (refused.value.column, bool(refused.value.problem)) == (int(column), True)


def test_every_kind_has_a_fine_form() -> None:
    fine = {line.partition("\t")[0] for line in FINE}
    assert fine == set(parsing.KINDS)


@pytest.mark.parametrize("kind", parsing.KINDS)
def test_nothing_is_no_query_of_any_kind(kind: str) -> None:
    for nothing in ("", "  ", "\n"):
        with pytest.raises(QuerySyntaxError, match="there is no query"):
            parsing.parse(kind, nothing)


def test_an_unknown_kind_is_not_a_wrong_query() -> None:
    with pytest.raises(ValueError, match="no monitor of type weather"):
        parsing.parse("weather", "avg:a{*}")


def test_a_query_longer_than_any_is_refused_unread() -> None:
    with pytest.raises(QuerySyntaxError, match="at most 65536 characters"):
        parsing.parse_metric("avg:a{*} + " * 6000)


def test_parentheses_alone_nest_nothing() -> None:
    deep = "(" * 20_000 + "avg:a{*}" + ")" * 20_000
    assert parsing.parse_metric(deep) == parsing.parse_metric("avg:a{*}")


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("metric", "abs(" * 5000 + "avg:a{*}" + ")" * 5000),
        ("metric", "-" * 20_000 + "avg:a{*}"),
        ("metric", " + ".join(["avg:a{*}"] * 5000)),
        ("metric", "avg:a{" + "NOT " * 10_000 + "b}"),
        ("formula", "abs(" * 5000 + "a" + ")" * 5000),
        ("query alert", "avg(last_5m):" + "-" * 20_000 + "avg:a{*} > 1"),
        ("composite", "1 && " + "!" * 20_000 + "2"),
    ],
)
def test_deep_nesting_is_refused_before_anything_calls_itself(kind: str, query: str) -> None:
    with pytest.raises(QuerySyntaxError, match="128 levels"):
        parsing.parse(kind, query)


def test_ninety_terms_are_read() -> None:
    query = " + ".join(["avg:a{*}"] * 90)
    assert render_any(parsing.parse_metric(query)) == query


@pytest.mark.parametrize(
    "query", ["9" * 400, "avg:a{*} * 1e999", f"count(v: v<={'9' * 400}):a{{*}}"]
)
def test_a_number_beyond_all_bounds_is_refused(query: str) -> None:
    with pytest.raises(QuerySyntaxError, match="too large"):
        parsing.parse_metric(query)
