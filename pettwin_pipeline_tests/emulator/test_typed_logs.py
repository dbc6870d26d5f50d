"""datadog-api-client sends, searches and counts logs; every answer parses whole."""

import gzip
from datetime import UTC, datetime
from typing import Any

import pytest
from datadog_api_client.v1.api.logs_api import LogsApi as OldLogsApi
from datadog_api_client.v1.model.http_log import HTTPLog as OldLog
from datadog_api_client.v1.model.http_log_item import HTTPLogItem as OldLogItem
from datadog_api_client.v1.model.logs_list_request import LogsListRequest as OldListRequest
from datadog_api_client.v1.model.logs_list_request_time import LogsListRequestTime
from datadog_api_client.v1.model.logs_sort import LogsSort as OldSort
from datadog_api_client.v2.api.logs_api import LogsApi
from datadog_api_client.v2.model.http_log import HTTPLog
from datadog_api_client.v2.model.http_log_item import HTTPLogItem
from datadog_api_client.v2.model.logs_aggregate_request import LogsAggregateRequest
from datadog_api_client.v2.model.logs_aggregation_function import LogsAggregationFunction
from datadog_api_client.v2.model.logs_compute import LogsCompute
from datadog_api_client.v2.model.logs_compute_type import LogsComputeType
from datadog_api_client.v2.model.logs_group_by import LogsGroupBy
from datadog_api_client.v2.model.logs_list_request import LogsListRequest
from datadog_api_client.v2.model.logs_list_request_page import LogsListRequestPage
from datadog_api_client.v2.model.logs_query_filter import LogsQueryFilter
from datadog_api_client.v2.model.logs_sort import LogsSort

from pettwin_pipeline.emulator.resources.log_store import TOO_OLD
from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.asking import KEYS, ask
from pettwin_pipeline_tests.emulator.statsd import START_S, stand, unread
from pettwin_pipeline_tests.emulator.typed_client import typed, whole

NOW = START_S + 600


@pytest.fixture
def filled(local: LocalDatadog) -> LocalDatadog:
    """Four logs, a minute apart, and a clock that stands behind them."""
    for minute in range(4):
        stand(local, START_S + minute * 60)
        log = HTTPLogItem(
            ddsource="nginx",
            ddtags="env:prod,team:a" if minute % 2 else "env:dev",
            hostname=f"h{minute}",
            service="web",
            message=f"request {minute} failed: time out",
            status="error" if minute == 3 else "info",
            duration=str(minute * 100),
        )
        with typed(local) as client:
            for encoding in ("gzip",) if minute else ("deflate",):
                LogsApi(client).submit_log(HTTPLog([log]), content_encoding=encoding)
    stand(local, NOW)
    return local


def found(client: Any, query: str, **more: Any) -> list[str]:
    body = LogsListRequest(filter=LogsQueryFilter(query=query, _from="now-1h", to="now"), **more)
    return [one.attributes.host for one in whole(LogsApi(client).list_logs(body=body)).data]


@pytest.mark.parametrize(
    ("query", "hosts"),
    [
        ("*", ["h3", "h2", "h1", "h0"]),
        ("env:prod", ["h3", "h1"]),
        ("failed -env:prod", ["h2", "h0"]),
        ('"request 2"', ["h2"]),
        ("service:web status:error", ["h3"]),
        ("source:nginx AND (host:h0 OR host:h1)", ["h1", "h0"]),
        ("@duration:>=200", ["h3", "h2"]),
        ("nothing", []),
    ],
)
def test_logs_are_found_by_text_tags_and_attributes(
    filled: LocalDatadog, query: str, hosts: list[str]
) -> None:
    with typed(filled) as client:
        assert found(client, query) == hosts


def test_logs_are_listed_in_pages_in_both_directions(filled: LocalDatadog) -> None:
    with typed(filled) as client:
        api = LogsApi(client)
        for sort, hosts in (
            (LogsSort.TIMESTAMP_ASCENDING, ["h0", "h1", "h2", "h3"]),
            (LogsSort.TIMESTAMP_DESCENDING, ["h3", "h2", "h1", "h0"]),
        ):
            body = LogsListRequest(
                filter=LogsQueryFilter(query="*", _from="now-1h", to="now"),
                page=LogsListRequestPage(limit=3),
                sort=sort,
            )
            pages = list(api.list_logs_with_pagination(body=body))
            assert [one.attributes.host for one in pages] == hosts
        listed = whole(
            api.list_logs_get(
                filter_query="env:dev",
                filter_from=datetime.fromtimestamp(START_S - 1, UTC),
                filter_to=datetime.fromtimestamp(NOW, UTC),
                page_limit=1,
            )
        )
        assert [one.attributes.host for one in listed.data] == ["h2"]
        assert "page%5Bcursor%5D=" in listed.links.next


def test_a_log_is_told_with_its_fields(filled: LocalDatadog) -> None:
    body = {"filter": {"query": "host:h3", "from": "now-1h"}}
    (log,) = ask(filled, "POST", "/api/v2/logs/events/search", body).json["data"]
    assert log["type"] == "log"
    assert log["attributes"] == {
        "attributes": {"duration": "300"},
        "host": "h3",
        "message": "request 3 failed: time out",
        "service": "web",
        "status": "error",
        "tags": ["source:nginx", "env:prod", "team:a"],
        "timestamp": "2027-01-15T08:03:00.000000Z",
    }


def aggregated(client: Any, compute: LogsCompute, *facets: str) -> list[tuple[Any, Any]]:
    body = LogsAggregateRequest(
        compute=[compute],
        filter=LogsQueryFilter(query="*", _from="now-1h", to="now"),
        group_by=[LogsGroupBy(facet=one) for one in facets],
    )
    buckets = whole(LogsApi(client).aggregate_logs(body=body)).data.buckets
    return [(dict(one.by), one.computes["c0"]) for one in buckets]


def test_logs_are_counted_and_measured(filled: LocalDatadog) -> None:
    functions = LogsAggregationFunction
    with typed(filled) as client:
        assert aggregated(client, LogsCompute(functions.COUNT)) == [({}, 4.0)]
        assert aggregated(client, LogsCompute(functions.COUNT), "env", "status") == [
            ({"env": "dev", "status": "info"}, 2.0),
            ({"env": "prod", "status": "error"}, 1.0),
            ({"env": "prod", "status": "info"}, 1.0),
        ]
        longest = LogsCompute(functions.MAX, metric="@duration")
        assert aggregated(client, longest, "env") == [
            ({"env": "dev"}, 200.0),
            ({"env": "prod"}, 300.0),
        ]
        assert aggregated(client, LogsCompute(functions.CARDINALITY, metric="host")) == [({}, 4.0)]
        over_time = LogsCompute(functions.COUNT, type=LogsComputeType.TIMESERIES, interval="2m")
        ((_, points),) = aggregated(client, over_time)
        assert [point.value for point in points.value] == [2.0, 2.0]


def test_the_older_calls_are_understood(local: LocalDatadog) -> None:
    stand(local, NOW)
    with typed(local) as client:
        log = OldLogItem(message="old", ddtags="a:b")
        with pytest.warns(DeprecationWarning, match="submit_log"):
            assert OldLogsApi(client).submit_log(OldLog([log])) == {}
        body = OldListRequest(
            query="a:b",
            sort=OldSort.TIME_DESCENDING,
            time=LogsListRequestTime(
                _from=datetime.fromtimestamp(NOW - 60, UTC), to=datetime.fromtimestamp(NOW, UTC)
            ),
        )
        told = whole(OldLogsApi(client).list_logs(body=body))
        assert [one.content.message for one in told.logs] == ["old"]
        assert told.status == "done"


def test_lines_of_plain_text_are_logs_with_what_the_query_string_says(local: LocalDatadog) -> None:
    stand(local, NOW)
    path = "/api/v2/logs?ddtags=a:b&service=web"
    headers = {**KEYS, "Content-Type": "text/plain"}
    assert ask(local, "POST", path, b"one\n\ntwo\n", headers).status == 202
    body = {"filter": {"query": "service:web a:b", "from": "now-1h"}}
    logs = ask(local, "POST", "/api/v2/logs/events/search", body).json["data"]
    assert {one["attributes"]["message"] for one in logs} == {"one", "two"}


def test_a_time_of_its_own_is_kept_and_one_too_old_is_refused(local: LocalDatadog) -> None:
    stand(local, NOW)
    logs = [
        {"message": "ms", "timestamp": (NOW - 60) * 1000},
        {"message": "s", "timestamp": NOW - 120},
        {"message": "iso", "date": "2027-01-15T08:07:00Z"},
        {"message": "old", "timestamp": (NOW - 19 * 3600) * 1000},
    ]
    assert ask(local, "POST", "/api/v2/logs", logs).status == 202
    assert unread(local) == {TOO_OLD: 1}
    body = {"filter": {"from": "now-1d"}, "sort": "timestamp"}
    told = ask(local, "POST", "/api/v2/logs/events/search", body).json["data"]
    assert [one["attributes"]["message"] for one in told] == ["iso", "s", "ms"]


@pytest.mark.parametrize("body", [b"{", b"", b'["x"]', b"7"])
def test_what_is_no_log_is_refused(local: LocalDatadog, body: bytes) -> None:
    assert ask(local, "POST", "/api/v2/logs", body).status == 400
    assert local.state.timeline.counts() == {}


def test_a_thousand_logs_at_once_are_taken_and_one_more_is_not(local: LocalDatadog) -> None:
    logs = [{"message": "x"}] * 1000
    assert ask(local, "POST", "/api/v2/logs", logs).status == 202
    assert ask(local, "POST", "/api/v2/logs", [*logs, {"message": "x"}]).status == 413
    assert local.state.timeline.counts() == {"log": 1000}


def test_more_than_five_megabytes_of_logs_are_too_large(local: LocalDatadog) -> None:
    packed = gzip.compress(b'{"message": "' + b"x" * 5_300_000 + b'"}')
    headers = {**KEYS, "Content-Encoding": "gzip"}
    assert ask(local, "POST", "/api/v2/logs", packed, headers).status == 413


def test_a_log_of_more_than_a_megabyte_is_cut(local: LocalDatadog) -> None:
    assert ask(local, "POST", "/api/v2/logs", {"message": "x" * 1_500_000}).status == 202
    (log,) = local.state.timeline.between("log")
    assert len(log["message"]) == 1_000_000
