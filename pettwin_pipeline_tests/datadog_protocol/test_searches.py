"""The outline of a search query."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.datadog_protocol.searches import search_problem


@pytest.mark.parametrize(
    "query",
    [
        "",
        "*",
        "service:web -env:dev @http.status_code:>=500",
        "a AND (b OR NOT c)",
        "NOT a",
        '"AND OR" x',
        '@msg:"a \\" (b"',
        r"a\(b",
        "@x:[1 TO 5] @y:{a TO b}",
        "@status:(a OR b) AND -@z:(c)",
        "ORDER ANDROID",
        "@t:<=0",
    ],
)
def test_a_fine_outline(query: str) -> None:
    assert search_problem(query) is None


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ("AND a", 0),
        ("a AND", 2),
        ("a OR OR b", 5),
        ("a NOT", 2),
        ("(a OR b", 0),
        ("a) b", 1),
        ("a ()", 3),
        ("(a OR )", 6),
        ('a "b', 2),
    ],
)
def test_a_broken_outline(query: str, at: int) -> None:
    problem = search_problem(query)
    assert problem is not None
    assert problem[0] == at


@given(st.text(st.sampled_from('()"\\ aANDORT:-'), max_size=30))
def test_any_text_has_an_answer(query: str) -> None:
    problem = search_problem(query)
    assert problem is None or 0 <= problem[0] <= len(query)
