"""Scopes over tags: what they hold for, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.emulator.refusals import Refusal
from pettwin_pipeline.emulator.resources.tag_scopes import check_scope, scope_holds

TAGS = {"env:prod", "host:a1", "team:x"}


@pytest.mark.parametrize(
    ("scope", "holds"),
    [
        ("*", True),
        ("env:prod", True),
        ("env:dev", False),
        ("env:prod,team:x", True),
        ("env:prod,team:y", False),
        ("env:prod AND team:x", True),
        ("env:prod team:y", False),
        ("env:dev OR team:x", True),
        ("env:dev OR env:prod AND team:y", False),
        ("(env:dev OR env:prod) AND team:x", True),
        ("env:(dev OR prod)", True),
        ("env:(dev OR stage)", False),
        ("NOT env:dev", True),
        ("!env:prod", False),
        ("-env:prod", False),
        ("host:a*", True),
        ('team:"x"', True),
        ("env IN (dev, prod)", True),
        ("env NOT IN (dev, prod)", False),
        ("env NOT IN (dev) AND team:x", True),
    ],
)
def test_a_scope_holds_or_not(scope: str, holds: bool) -> None:
    assert scope_holds(scope, TAGS) is holds


@pytest.mark.parametrize("scope", ["BAD_SCOPE", "env:a AND b", "env:a, b", "(env:a OR b)"])
def test_a_word_without_a_key_is_refused(scope: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_scope(scope)
    assert refused.value.errors == ["All values must have a key"]


@pytest.mark.parametrize(
    "scope",
    ["", " ", "(env:a", "env:a)", "AND", "env:a OR", "NOT", "env IN a", "env IN (a", "(" * 99],
)
def test_what_is_not_well_formed_is_refused(scope: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_scope(scope)
    assert refused.value.errors == ["Invalid scope parameter"]


@given(st.text(alphabet='ab:*(),!-" AND OR NOT IN', max_size=40))
def test_whatever_is_written_holds_or_is_refused(scope: str) -> None:
    try:
        scope_holds(scope, {"a:b"})
    except Refusal as refusal:
        assert refusal.status == 400  # noqa: PT017 - most texts are refused, and some hold
