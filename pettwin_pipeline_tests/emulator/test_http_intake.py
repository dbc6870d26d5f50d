"""Metrics and checks over HTTP: what is taken, what is refused, what is kept of it."""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import zstandard
from datadog import api, initialize

from pettwin_pipeline.datadog_protocol.payloads import TOO_NEW, TOO_OLD
from pettwin_pipeline.emulator.resources.check_store import check_runs
from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.asking import KEYS, ask
from pettwin_pipeline_tests.emulator.statsd import START_S, asked, row, stand, unread

NOW = START_S + 5


@pytest.fixture
def standing(local: LocalDatadog) -> LocalDatadog:
    """One whose clock stands."""
    stand(local, NOW)
    return local


def v1(*points: tuple[int, float], **more: Any) -> dict[str, Any]:
    return {"series": [{"metric": "a", "points": [list(one) for one in points], **more}]}


def v2(*points: tuple[int, float], **more: Any) -> dict[str, Any]:
    told = [{"timestamp": at, "value": value} for at, value in points]
    return {"series": [{"metric": "a", "points": told, **more}]}


def post(local: LocalDatadog, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    answer = ask(local, "POST", path, body, {**KEYS, **headers})
    return answer.status, json.loads(answer.content)


def test_series_are_taken_with_the_recorded_answers(standing: LocalDatadog) -> None:
    assert post(standing, "/api/v1/series", v1((START_S, 1))) == (202, {"status": "ok"})
    assert post(standing, "/api/v2/series", v2((START_S + 1, 2))) == (202, {"errors": []})
    assert row(standing, "avg:a{*}.rollup(avg, 1)", START_S, START_S + 5) == {0: 1, 1: 2}


def test_points_are_stored_as_they_are(standing: LocalDatadog) -> None:
    body = v1((START_S - 3, 10), (START_S, 20), type="count", interval=15)
    post(standing, "/api/v1/series", body)
    assert row(standing, "sum:a{*}.as_count()", START_S - 10, START_S + 10) == {-3: 10, 0: 20}
    rate = row(standing, "sum:a{*}.as_rate().rollup(sum, 10)", START_S - 10, START_S + 10)
    assert rate == {-10: 1, 0: 2}


def test_a_rate_over_http_stands_for_its_interval(standing: LocalDatadog) -> None:
    post(standing, "/api/v1/series", v1((START_S, 3), type="rate", interval=20))
    assert row(standing, "sum:a{*}.as_count()", START_S, START_S + 10) == {0: 60}
    assert row(standing, "sum:a{*}", START_S, START_S + 10) == {0: 3}


def test_the_later_of_two_posts_of_the_same_second_holds(standing: LocalDatadog) -> None:
    for value in (1, 2, 3):
        post(standing, "/api/v2/series", v2((START_S, value)))
    assert row(standing, "avg:a{*}", START_S, START_S + 5) == {0: 3}


def test_hosts_devices_and_resources_are_tags(standing: LocalDatadog) -> None:
    post(standing, "/api/v1/series", v1((START_S, 1), host="H1", device="d1", tags=["X:y"]))
    resources = [{"type": "host", "name": "h2"}, {"type": "rack", "name": "r2"}]
    post(standing, "/api/v2/series", v2((START_S, 2), resources=resources))
    found = asked(standing, "avg:a{*} by {host,device,rack,x}", START_S, START_S + 5)
    assert found == {
        "host:h1,device:d1,rack:N/A,x:y": {0: 1},
        "host:h2,device:N/A,rack:r2,x:N/A": {0: 2},
    }


def test_distribution_points_are_sketches_that_add_up(standing: LocalDatadog) -> None:
    for values in ([1, 2, 3], [14]):
        body = {"series": [{"metric": "d", "points": [[START_S + 3, values]], "tags": ["a:b"]}]}
        assert post(standing, "/api/v1/distribution_points", body) == (202, {"status": "ok"})
    found = {
        name: row(standing, f"{name}:d{{a:b}}", START_S, START_S + 5)
        for name in ("count", "sum", "avg", "min", "max")
    }
    assert [one[0] for one in found.values()] == [4, 20, 5, 1, 14]


def test_points_too_old_or_too_new_are_left_out_and_shown(standing: LocalDatadog) -> None:
    times = [NOW - 3601, NOW - 3600, NOW + 600, NOW + 601]
    for path, body in (
        ("/api/v1/series", v1(*((at, 1.0) for at in times))),
        ("/api/v2/series", v2(*((at, 1.0) for at in times))),
    ):
        assert post(standing, path, body)[0] == 202
    assert unread(standing) == {TOO_OLD: 2, TOO_NEW: 2}
    newest = ask(standing, "GET", "/_local/unread", headers={}).json["newest"]
    assert {one["by"] for one in newest} == {"/api/v1/series", "/api/v2/series"}
    found = row(standing, "avg:a{*}.rollup(avg, 10)", NOW - 3700, NOW + 700)
    assert sorted(found) == [-3600, 600]


def test_a_metric_all_of_whose_points_were_too_old_is_known_all_the_same(
    standing: LocalDatadog,
) -> None:
    post(standing, "/api/v1/series", v1((1, 1), tags=["x:y"]))
    answer = ask(standing, "GET", "/api/v2/metrics/a/all-tags").json
    assert answer["data"]["attributes"]["tags"] == ["x:y"]
    assert asked(standing, "avg:a{*}") == {}


@pytest.mark.parametrize(
    "body",
    [
        v2((START_S, 1), surprise=1),
        v2((START_S, 1), type="gauge"),
        {"series": [{"metric": "a", "points": [{"timestamp": START_S, "value": 1, "x": 1}]}]},
        {"series": [{"metric": "a", "points": [{"timestamp": "now", "value": 1}]}]},
        {"series": "a"},
        {},
        [],
    ],
)
def test_v2_refuses_unknown_fields_and_types_given_as_strings(
    standing: LocalDatadog, body: Any
) -> None:
    status, told = post(standing, "/api/v2/series", body)
    assert status == 400
    assert told["errors"]
    assert standing.state.points.metrics() == []


@pytest.mark.parametrize(
    ("path", "packed", "unpacked"),
    [("/api/v1/series", 3_200_000, 62_000_000), ("/api/v2/series", 512_000, 5_242_880)],
)
def test_too_large_bodies_are_413(
    standing: LocalDatadog, path: str, packed: int, unpacked: int
) -> None:
    assert post(standing, path, b" " * (packed + 1))[0] == 413
    bomb = gzip.compress(b" " * (unpacked + 1), 9)
    assert len(bomb) < packed
    assert post(standing, path, bomb, **{"Content-Encoding": "gzip"})[0] == 413


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("zstd", zstandard.ZstdCompressor().compress),
        ("zstd1", zstandard.ZstdCompressor().compress),
    ],
)
def test_bodies_may_be_packed(standing: LocalDatadog, encoding: str, pack: Any) -> None:
    body = pack(json.dumps(v2((START_S, 7))).encode())
    assert post(standing, "/api/v2/series", body, **{"Content-Encoding": encoding})[0] == 202
    assert row(standing, "avg:a{*}", START_S, START_S + 5) == {0: 7}


def test_checks_are_kept_with_the_newest_first(standing: LocalDatadog) -> None:
    body = [
        {"check": "up", "status": 0, "timestamp": NOW - 60, "host_name": "h1", "tags": ["a:b"]},
        {"check": "up", "status": 2, "timestamp": NOW - 30, "host_name": "h1", "message": "no"},
        {"check": "up", "status": 1, "timestamp": NOW - 601},
        {"check": "other", "status": 3},
    ]
    assert post(standing, "/api/v1/check_run", body) == (202, {"status": "ok"})
    told = [(one.status, one.timestamp_s, one.host) for one in check_runs(standing.state, "up")]
    assert told == [(2, NOW - 30, "h1"), (0, NOW - 60, "h1")]
    assert [one.name for one in check_runs(standing.state)] == ["other", "up", "up"]
    assert post(standing, "/api/v1/check_run", {"check": "up", "status": 4})[0] == 400


def test_units_come_with_points_and_are_told_by_queries(standing: LocalDatadog) -> None:
    post(standing, "/api/v2/series", v2((START_S, 1), unit="millisecond"))
    path = f"/api/v1/query?from={START_S}&to={START_S + 10}&query=avg:a%7B*%7D"
    (series,) = ask(standing, "GET", path).json["series"]
    assert (series["unit"][0]["name"], series["unit"][1]) == ("millisecond", None)


@pytest.fixture
def old_client(standing: LocalDatadog) -> Iterator[LocalDatadog]:
    """The `datadog` client, pointed at it."""
    initialize(
        api_key="any",
        app_key="any",
        api_host=standing.address,
        hostname_from_config=False,
        mute=False,
    )
    yield standing
    api._api_host = api._api_key = api._application_key = None
    api._mute = True


def test_the_older_client_sends_and_asks(old_client: LocalDatadog) -> None:
    told = api.Metric.send(metric="a", points=[(START_S, 4)], host="h1", tags=["x:y"])
    assert told == {"status": "ok"}
    points = [(START_S, [1, 2, 3])]
    assert api.Distribution.send(distributions=[{"metric": "d", "points": points}]) == {
        "status": "ok"
    }
    check = api.ServiceCheck.check(check="up", host_name="h1", status=0, timestamp=NOW)
    assert check == {"status": "ok"}
    found = api.Metric.query(start=START_S, end=START_S + 10, query="avg:a{host:h1}")
    assert found["series"][0]["pointlist"] == [[START_S * 1000.0, 4.0]]
    assert api.Metric.list(START_S)["metrics"] == ["a", "d"]
    event = api.Event.create(title="t", text="x", tags=["a:b"], date_happened=NOW)
    assert api.Event.get(int(event["event"]["id_str"]))["event"]["title"] == "t"
    assert len(api.Event.query(start=NOW - 10, end=NOW + 10)["events"]) == 1
