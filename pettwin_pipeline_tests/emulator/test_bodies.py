"""Bodies: packed in three ways, within limits, whatever is sent."""

import gzip
import json
import socket
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import psutil
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pettwin_pipeline.emulator.server import LocalDatadog, running_local_datadog
from pettwin_pipeline_tests.emulator.asking import KEYS, ask

SERIES = json.dumps({"series": [{"metric": "a", "points": [[1, 2.0]]}]}).encode()


def raw_deflate(body: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(body) + engine.flush()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "zstd1": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("encoding", PACKED)
def test_a_packed_body_is_unpacked(local: LocalDatadog, encoding: str) -> None:
    headers = {**KEYS, "Content-Encoding": encoding}
    assert ask(local, "POST", "/api/v1/series", PACKED[encoding](SERIES), headers).status == 202


def test_deflate_without_its_frame_is_understood(local: LocalDatadog) -> None:
    headers = {**KEYS, "Content-Encoding": "deflate"}
    assert ask(local, "POST", "/api/v1/series", raw_deflate(SERIES), headers).status == 202


@pytest.mark.parametrize("encoding", PACKED)
def test_a_torn_or_wrong_packed_body_is_refused(local: LocalDatadog, encoding: str) -> None:
    headers = {**KEYS, "Content-Encoding": encoding}
    packed = PACKED[encoding](SERIES)
    for body in (packed[:-5], b"not packed at all", packed[:3]):
        answer = ask(local, "POST", "/api/v1/series", body, headers)
        assert answer.status == 400, body
        assert answer.errors


def test_an_unknown_way_of_packing_is_refused(local: LocalDatadog) -> None:
    headers = {**KEYS, "Content-Encoding": "br"}
    assert ask(local, "POST", "/api/v1/series", SERIES, headers).status == 415


@pytest.mark.parametrize("encoding", PACKED)
def test_a_bomb_is_refused_and_memory_stays_bounded(local: LocalDatadog, encoding: str) -> None:
    process = psutil.Process()
    headers = {**KEYS, "Content-Encoding": encoding}
    bomb = PACKED[encoding](bytes(150_000_000))
    before = process.memory_info().rss
    answer = ask(local, "POST", "/api/v1/monitor", bomb, headers)
    assert (answer.status, answer.errors) == (413, ["Payload too large"])
    assert process.memory_info().rss - before < 100_000_000


def test_a_hundred_megabytes_are_refused_and_thrown_away(local: LocalDatadog) -> None:
    where = urlsplit(local.address)
    process = psutil.Process()
    head = (
        f"POST /api/v1/dashboard HTTP/1.1\r\nHost: {where.netloc}\r\nDD-API-KEY: x\r\n"
        "DD-APPLICATION-KEY: x\r\nContent-Length: 100000000\r\n\r\n"
    )
    before = process.memory_info().rss
    with socket.create_connection((where.hostname, where.port), timeout=30) as connection:
        connection.sendall(head.encode())
        for _ in range(100):
            connection.sendall(b" " * 1_000_000)
        answer = connection.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert process.memory_info().rss - before < 50_000_000
    assert ask(local, "GET", "/_local/health", headers={}).status == 200


def test_a_client_that_goes_away_in_the_middle_is_nothing_to_worry_about(
    local: LocalDatadog,
) -> None:
    where = urlsplit(local.address)
    with socket.create_connection((where.hostname, where.port), timeout=30) as connection:
        connection.sendall(
            b"POST /api/v1/series HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"
        )
    assert ask(local, "GET", "/_local/health", headers={}).status == 200


def test_json_that_is_deep_is_refused(local: LocalDatadog) -> None:
    for depth in (1_000, 100_000):
        nest = b"[" * depth + b"]" * depth
        body = b'{"title":"x","layout_type":"ordered","widgets":' + nest + b"}"
        answer = ask(local, "POST", "/api/v1/dashboard", body)
        assert answer.status == 400, depth
        assert answer.errors


def test_what_is_deep_where_anything_may_be_is_kept_or_refused(local: LocalDatadog) -> None:
    for depth in (50, 300, 900, 990, 2_000):
        nest = b'{"a":' * depth + b"1" + b"}" * depth
        head = b'{"type":"metric alert","query":"avg(last_5m):avg:a{*} > %d","options":' % depth
        body = head + b'{"scheduling_options":' + nest + b"}}"
        assert ask(local, "POST", "/api/v1/monitor", body).status in {200, 400}, depth
        group = b'{"definition":{"type":"group","layout_type":"ordered","widgets":['
        tree = group * depth + b"]}}" * depth
        body = b'{"title":"x","layout_type":"ordered","widgets":[' + tree + b"]}"
        assert ask(local, "POST", "/api/v1/dashboard", body).status in {200, 400}, depth
    assert ask(local, "GET", "/api/v1/monitor").status == 200


@pytest.fixture(scope="module")
def shared_local() -> Iterator[LocalDatadog]:
    with running_local_datadog() as running:
        yield running


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
PLACES = (
    ("POST", "/api/v1/dashboard"),
    ("POST", "/api/v1/monitor"),
    ("POST", "/api/v1/slo"),
    ("POST", "/api/v1/slo/correction"),
    ("POST", "/api/v1/downtime"),
    ("POST", "/api/v2/downtime"),
    ("POST", "/api/v1/events"),
    ("POST", "/api/v2/events"),
    ("POST", "/api/v2/events/search"),
    ("POST", "/api/v1/series"),
    ("POST", "/api/v2/series"),
    ("POST", "/api/v1/check_run"),
    ("POST", "/api/v1/distribution_points"),
    ("POST", "/api/v1/integration/webhooks/configuration/webhooks"),
    ("POST", "/api/v2/monitor/policy"),
    ("POST", "/api/v2/monitor/notification_rule"),
    ("POST", "/api/v2/monitor/template"),
    ("POST", "/api/v2/slo/report"),
    ("POST", "/api/v2/query/timeseries"),
    ("POST", "/api/v2/metrics/tag-indexing-rules"),
    ("PUT", "/api/v1/metrics/a"),
    ("PUT", "/_local/clock"),
    ("POST", "/_local/faults"),
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.sampled_from(PLACES), body=JSON)
def test_whatever_json_comes_is_answered_and_never_with_a_failure_of_ours(
    shared_local: LocalDatadog, place: tuple[str, str], body: object
) -> None:
    method, path = place
    answer = ask(shared_local, method, path, body)
    assert answer.status in {200, 201, 202, 204, 400, 404}
    shared_local.state.faults.clear()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.sampled_from(PLACES), data=st.data())
def test_fields_of_the_right_name_and_the_wrong_type_are_answered(
    shared_local: LocalDatadog, place: tuple[str, str], data: st.DataObject
) -> None:
    names = st.sampled_from(
        ["title", "widgets", "layout_type", "type", "query", "options", "thresholds", "name",
         "data",
         "attributes", "scope", "monitor_identifier", "schedule", "filter", "page", "series",
         "metric", "points", "tags", "text", "policy", "target", "timeframe", "definition"]
    )  # fmt: skip
    body = data.draw(
        st.recursive(
            st.none() | st.integers() | st.sampled_from(["ordered", "metric alert", "a > 1", "7d"]),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6),
            max_leaves=20,
        )
    )
    answer = ask(shared_local, place[0], place[1], body)
    assert answer.status in {200, 201, 202, 204, 400, 404}
    shared_local.state.faults.clear()
