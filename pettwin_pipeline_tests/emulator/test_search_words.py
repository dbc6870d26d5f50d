"""The search language of events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.emulator.refusals import Refusal
from pettwin_pipeline.emulator.resources.search_words import Record, parse_search

RECORD = Record(
    text="Deployed checkout 1.2 to production",
    tags=frozenset({"env:prod", "service:web-store", "canary"}),
    facts={"source": "api", "status": "error", "host": "i-42"},
    attributes={"http": {"status_code": 503}, "usr.name": "Ann", "list": ["a", "b"]},
)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", True),
        ("*", True),
        ("deployed", True),
        ("DEPLOYED production", True),
        ("rolled", False),
        ('"checkout 1.2"', True),
        ('"1.2 checkout"', False),
        ("check*", True),
        ("env:prod", True),
        ("env:PROD", True),
        ("env:pro", False),
        ("env:pr*", True),
        ("service:web*", True),
        ("canary", True),
        ("tags:canary", True),
        ("source:api status:error host:i-42", True),
        ("status:(warn OR error)", True),
        ("-status:error", False),
        ("NOT status:info", True),
        ("env:dev OR env:prod", True),
        ("env:dev OR env:prod AND rolled", False),
        ("(env:dev OR env:prod) AND deployed", True),
        ("@http.status_code:503", True),
        ("@http.status_code:[500 TO 599]", True),
        ("@http.status_code:[200 TO 299]", False),
        ("@http.status_code:>=503", True),
        ("@http.status_code:>503", False),
        ("@usr.name:ann", True),
        ("@list:b", True),
        ("@nothing:*", False),
    ],
)
def test_a_query_finds_or_not(query: str, found: bool) -> None:
    assert parse_search(query)(RECORD) is found


@pytest.mark.parametrize("query", ["(env:prod", "env:prod)", '"open'])
def test_what_is_no_query_is_refused(query: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_search(query)
    assert refused.value.status == 400


@given(st.text(alphabet='ab:*()[]@-"\\ <>=ANDORTN', max_size=40))
def test_whatever_is_searched_is_answered_or_refused(query: str) -> None:
    try:
        parse_search(query)(RECORD)
    except Refusal as refusal:
        assert refusal.status == 400  # noqa: PT017 - most texts find nothing, and some are refused
