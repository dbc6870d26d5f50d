"""What a search query finds, and what monitors make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.datadog_protocol.monitor_syntax import SearchAlert
from pettwin_pipeline.datadog_protocol.parsing import parse_monitor
from pettwin_pipeline.datadog_protocol.search_alerts import evaluate_search
from pettwin_pipeline.datadog_protocol.searches import search_problem
from pettwin_pipeline.datadog_protocol.searching import Document, parse_search
from pettwin_pipeline.errors import QuerySyntaxError

LOG = Document(
    text="Payment of user 42 failed: card declined (code: 51).",
    tags=("env:prod", "team:a", "canary"),
    fields={"source": "stripe", "service": "web-store", "host": "h1", "status": "error"},
    attributes={
        "http": {"status_code": 502, "url": "/pay/42", "ok": False},
        "usr.name": "Ann",
        "durations": [10, 250],
        "note": "a b",
    },
)


@pytest.mark.parametrize(
    ("query", "finds"),
    [
        ("", True),
        ("*", True),
        ("failed", True),
        ("FAILED", True),
        ("fail", False),
        ("fail*", True),
        ("declin?d", True),
        ("51", True),
        ('"card declined"', True),
        ('"declined card"', False),
        ("failed declined", True),
        ("failed AND nothing", False),
        ("failed OR nothing", True),
        ("-nothing", True),
        ("NOT failed", False),
        ("-failed", False),
        ("nothing OR (failed AND -other)", True),
        ("service:web-store", True),
        ("service:web-*", True),
        ("service:web", False),
        ("source:stripe status:error", True),
        ("status:(warn OR error)", True),
        ("status:(warn OR info)", False),
        ("-status:(warn OR info)", True),
        ("env:prod team:a", True),
        ("env:dev", False),
        ("env:*", True),
        ("region:*", False),
        ("@http.status_code:502", True),
        ("@http.status_code:>=500", True),
        ("@http.status_code:>502", False),
        ("@http.status_code:<600", True),
        ("@http.status_code:[500 TO 599]", True),
        ("@http.status_code:{502 TO 599]", False),
        ("@http.status_code:[* TO 502}", False),
        ("-@http.status_code:[500 TO 599]", False),
        ("@http.status_code:(404 OR 502)", True),
        ("@http.ok:false", True),
        ("@http.url:\\/pay\\/42", True),
        ('@http.url:"/pay/42"', True),
        ("@http.url:/pay/*", True),
        ("@usr.name:ann", True),
        ("@usr.name:*", True),
        ("@usr.age:*", False),
        ("@durations:>200", True),
        ("@durations:10", True),
        ('@note:"a b"', True),
        ("@note:a\\ b", True),
        ("@http.url:>5", False),
        ("env:prod AND (team:b OR (host:h1 AND NOT source:x))", True),
    ],
)
def test_a_query_finds_a_document_or_not(query: str, finds: bool) -> None:
    assert parse_search(query)(LOG) is finds


def test_a_query_that_does_not_close_is_refused() -> None:
    with pytest.raises(QuerySyntaxError, match="column 1: a parenthesis is not closed"):
        parse_search("(a")
    with pytest.raises(QuerySyntaxError, match="50 parentheses"):
        parse_search("(" * 99 + "a" + ")" * 99)


@given(st.text(st.sampled_from('()"\\ aANDORT:-@*?[]{}><5.'), max_size=40))
def test_any_query_finds_or_is_refused(query: str) -> None:
    if search_problem(query) is None:
        assert parse_search(query)(LOG) in {True, False}


def document(host: str, duration: float | None, **tags: str) -> Document:
    attributes = {} if duration is None else {"duration": duration}
    return Document(
        "x", tuple(f"{key}:{value}" for key, value in tags.items()), {"host": host}, attributes
    )


DOCUMENTS = [
    document("h1", 10, env="prod"),
    document("h1", 30, env="prod"),
    document("h2", 50, env="prod"),
    document("h2", None, env="dev"),
]


@pytest.mark.parametrize(
    ("chain", "values"),
    [
        ('.rollup("count")', {(): 3}),
        ('.rollup("count").by("host")', {("host:h1",): 2, ("host:h2",): 1}),
        (
            '.rollup("avg", "@duration").by("host,env")',
            {
                ("host:h1", "env:prod"): 20,
                ("host:h2", "env:prod"): 50,
            },
        ),
        ('.rollup("cardinality", "host")', {(): 2}),
        ('.rollup("max", "@duration")', {(): 50}),
        ('.rollup("pc50", "@duration")', {(): 30}),
        ('.rollup("sum", "@nothing")', {(): None}),
        ('.rollup("count").by("@nothing")', {}),
    ],
)
def test_documents_are_rolled_up_by_group(
    chain: str, values: dict[tuple[str, ...], float | None]
) -> None:
    alert = parse_monitor("log alert", f'logs("env:prod"){chain}.last("5m") > 0')
    assert isinstance(alert, SearchAlert)
    found = evaluate_search(alert, DOCUMENTS)
    assert {group: one.value for group, one in found.items()} == values


def test_a_count_of_nothing_is_zero() -> None:
    alert = parse_monitor("event-v2 alert", 'events("a").rollup("count").last("5m") > 0')
    assert isinstance(alert, SearchAlert)
    assert evaluate_search(alert, [])[()].value == 0
