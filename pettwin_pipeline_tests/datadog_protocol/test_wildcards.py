"""Wildcards against the obvious regular expression."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.datadog_protocol.wildcards import wildcard


@pytest.mark.parametrize(
    ("pattern", "text", "like"),
    [
        ("a*", "abc", True),
        ("*c", "abc", True),
        ("a*c", "ac", True),
        ("ab*bc", "abc", False),
        ("*", "", True),
        ("**", "x", True),
        ("", "", True),
        ("", "a", False),
        ("a?c", "a?c", True),
        ("a?c", "abc", False),
        (r"a\*c", "a*c", True),
        (r"a\*c", "abc", False),
        ("a.c", "abc", False),
        ("a*\n", "a\n\n", True),
    ],
)
def test_a_pattern_is_like_a_whole_text(pattern: str, text: str, like: bool) -> None:
    assert wildcard(pattern)(text) is like


letters = st.text(st.sampled_from("ab*?"), max_size=8)


@given(letters, st.text(st.sampled_from("ab"), max_size=8))
def test_it_finds_what_a_regular_expression_finds(pattern: str, text: str) -> None:
    expected = re.fullmatch(re.sub(r"\*+", ".*", pattern.replace("?", ".")), text)
    assert wildcard(pattern, questions=True)(text) is (expected is not None)


def test_many_stars_are_no_trouble() -> None:
    assert not wildcard("*a" * 40 + "*b")("a" * 5000)
