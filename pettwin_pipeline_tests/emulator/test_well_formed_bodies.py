"""Bodies of the form that Datadog documents, filled at random: none makes the server fail."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pettwin_pipeline.emulator import schema
from pettwin_pipeline.emulator.resources import ROUTES
from pettwin_pipeline.emulator.server import LocalDatadog, running_local_datadog
from pettwin_pipeline_tests.emulator.asking import ask

TABLE = schema._table()
SERVED = sorted(TABLE["bodies"].keys() & {route.operation for route in ROUTES})
TEXTS = st.sampled_from(
    ["", "*", "a", "env:prod", "avg(last_5m):avg:a{*} > 1", "FREQ=DAILY", "1h", "2026-06-01T12:00Z",
     "<script>", "UTC", "😀", "now-15m", "http://127.0.0.1:9", "sum:a{*}.as_count()", "A_B"]
)  # fmt: skip
SIMPLE = {
    "str": TEXTS,
    "int": st.sampled_from([0, 1, -1, 99, 10**10, 2**63, -(2**70)]),
    "float": st.sampled_from([0.0, -1.5, 99.9, 1e308, 100]),
    "bool": st.booleans(),
    "null": st.none(),
    "object": st.dictionaries(TEXTS, TEXTS, max_size=2),
    "list": st.lists(TEXTS, max_size=2),
    "any": st.none() | TEXTS | st.dictionaries(TEXTS, TEXTS, max_size=2),
}
DEEPEST = 6


def of_types(types: list[Any], depth: int) -> st.SearchStrategy[Any]:
    return st.one_of([of_type(told, depth) for told in types])


def of_type(told: Any, depth: int) -> st.SearchStrategy[Any]:
    if isinstance(told, dict):
        inner = st.deferred(lambda: of_types(told.get("list") or told["map"], depth + 1))
        few = 2 if depth < DEEPEST else 0
        lists = st.lists(inner, max_size=few)
        return lists if "list" in told else st.dictionaries(TEXTS, inner, max_size=few)
    return of_model(told[1:], depth) if told.startswith("#") else SIMPLE[told]


@cache
def of_model(name: str, depth: int) -> st.SearchStrategy[Any]:
    model = TABLE["models"][name]
    if "enum" in model:
        return st.sampled_from(model["enum"])
    if "of" in model:
        return of_types(model["of"], depth)
    if "one_of" in model:
        return st.deferred(lambda: of_types(model["one_of"][:8], depth))
    required = set(model.get("required", ()))
    fields = {field: _deferred(types, depth + 1) for field, types in model["fields"].items()}
    more = {field: one for field, one in fields.items() if field not in required}
    return st.fixed_dictionaries(
        {field: fields[field] for field in required}, optional=more if depth < DEEPEST else {}
    )


def _deferred(types: list[Any], depth: int) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: of_types(types, depth))


@pytest.fixture(scope="module")
def running() -> Iterator[LocalDatadog]:
    with running_local_datadog(seed=1) as local:
        yield local


def existing(local: LocalDatadog) -> list[str]:
    kinds = local.state.storage.counts()
    found = [one for kind in kinds for one in local.state.storage.all(kind)[:1]]
    ids = [one.get("id") or one.get("name") for one in found]
    return [str(one) for one in ids if one and re.fullmatch(r"[\w.-]+", str(one))]


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(operation=st.sampled_from(SERVED), data=st.data())
def test_no_body_of_the_documented_form_makes_the_server_fail(
    running: LocalDatadog, operation: str, data: st.DataObject
) -> None:
    method, path = operation.split()
    body = data.draw(of_types(TABLE["bodies"][operation], 0))
    for _ in range(path.count("{")):
        parts = [*existing(running), "1", "a.b"]
        part = parts[data.draw(st.integers(0, 99)) % len(parts)]
        path = re.sub(r"\{[^}]+\}", part, path, count=1)
    answer = ask(running, method, path, body)
    assert answer.status < 500, (path, body)
    if answer.status >= 400:
        assert "errors" in answer.json
