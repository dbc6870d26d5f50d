"""Reads with odd parameters: none makes the server fail."""

import urllib.parse
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettwin_pipeline.emulator.resources import ROUTES
from pettwin_pipeline.emulator.server import LocalDatadog, running_local_datadog
from pettwin_pipeline_tests.emulator.asking import ask

READS = sorted(route.path for route in ROUTES if route.method == "GET")
NAMES = st.sampled_from(
    ["page", "page_size", "per_page", "page[limit]", "page[offset]", "page[size]", "page[number]",
     "page[cursor]", "filter[from]", "filter[to]", "filter[query]", "sort", "query", "q", "from",
     "to", "start", "end", "ids", "monitor_ids", "name", "tags", "group_states", "include",
     "limit", "offset", "id_offset", "tags_query", "from_ts", "to_ts", "count", "priority"]
)  # fmt: skip
VALUES = st.sampled_from(
    ["", "0", "1", "-1", "9" * 20, "x", "true", "now-15m", "now-999999999mo", "2020-13-45", "\x00",
     "%00", '"', "(((", "a:b", "*", "-a", "status:ok", 'tag:"a b"', "😀", "1e309", "a.b",
     "eyJhZnRlciI6MX0", "AND", "../..", "m"]
)  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[LocalDatadog]:
    with running_local_datadog(seed=1) as local:
        told = {"type": "metric alert", "query": "avg(last_5m):avg:a{*} > 1", "name": "m"}
        ask(local, "POST", "/api/v1/monitor", told)
        ask(local, "POST", "/api/v1/events", {"title": "t", "text": "x"})
        ask(local, "POST", "/api/v1/series", {"series": [{"metric": "a.b", "points": [[1, 1]]}]})
        yield local


@settings(max_examples=300, deadline=None)
@given(
    path=st.sampled_from(READS),
    parts=st.lists(VALUES, min_size=2, max_size=2),
    query=st.dictionaries(NAMES, VALUES, max_size=4),
)
def test_no_parameter_makes_a_read_fail(
    running: LocalDatadog, path: str, parts: list[str], query: dict[str, str]
) -> None:
    for part in parts:
        begin, _, rest = path.partition("{")
        if rest:
            path = begin + urllib.parse.quote(part or "z", safe="") + rest.partition("}")[2]
    answer = ask(running, "GET", f"{path}?{urllib.parse.urlencode(query)}")
    assert answer.status in {200, 400, 404, 405, 409}
