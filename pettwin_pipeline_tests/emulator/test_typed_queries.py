"""datadog-api-client sends points of every kind and asks for them; every answer parses whole."""

from typing import Any

import pytest
from datadog_api_client.exceptions import ApiException
from datadog_api_client.v1.api.metrics_api import MetricsApi as OldMetricsApi
from datadog_api_client.v1.api.service_checks_api import ServiceChecksApi
from datadog_api_client.v1.model.distribution_point import DistributionPoint
from datadog_api_client.v1.model.distribution_points_payload import DistributionPointsPayload
from datadog_api_client.v1.model.distribution_points_series import DistributionPointsSeries
from datadog_api_client.v1.model.metric_metadata import MetricMetadata
from datadog_api_client.v1.model.metrics_payload import MetricsPayload
from datadog_api_client.v1.model.point import Point
from datadog_api_client.v1.model.series import Series
from datadog_api_client.v1.model.service_check import ServiceCheck
from datadog_api_client.v1.model.service_check_status import ServiceCheckStatus
from datadog_api_client.v1.model.service_checks import ServiceChecks
from datadog_api_client.v2.api.metrics_api import MetricsApi
from datadog_api_client.v2.model.events_aggregation import EventsAggregation
from datadog_api_client.v2.model.events_compute import EventsCompute
from datadog_api_client.v2.model.events_data_source import EventsDataSource
from datadog_api_client.v2.model.events_group_by import EventsGroupBy
from datadog_api_client.v2.model.events_query_group_bys import EventsQueryGroupBys
from datadog_api_client.v2.model.events_scalar_query import EventsScalarQuery
from datadog_api_client.v2.model.events_search import EventsSearch
from datadog_api_client.v2.model.metrics_aggregator import MetricsAggregator
from datadog_api_client.v2.model.metrics_data_source import MetricsDataSource
from datadog_api_client.v2.model.metrics_scalar_query import MetricsScalarQuery
from datadog_api_client.v2.model.metrics_timeseries_query import MetricsTimeseriesQuery
from datadog_api_client.v2.model.query_formula import QueryFormula
from datadog_api_client.v2.model.scalar_formula_query_request import ScalarFormulaQueryRequest
from datadog_api_client.v2.model.scalar_formula_request import ScalarFormulaRequest
from datadog_api_client.v2.model.scalar_formula_request_attributes import (
    ScalarFormulaRequestAttributes,
)
from datadog_api_client.v2.model.scalar_formula_request_queries import ScalarFormulaRequestQueries
from datadog_api_client.v2.model.scalar_formula_request_type import ScalarFormulaRequestType
from datadog_api_client.v2.model.timeseries_formula_query_request import (
    TimeseriesFormulaQueryRequest,
)
from datadog_api_client.v2.model.timeseries_formula_request import TimeseriesFormulaRequest
from datadog_api_client.v2.model.timeseries_formula_request_attributes import (
    TimeseriesFormulaRequestAttributes,
)
from datadog_api_client.v2.model.timeseries_formula_request_queries import (
    TimeseriesFormulaRequestQueries,
)
from datadog_api_client.v2.model.timeseries_formula_request_type import (
    TimeseriesFormulaRequestType,
)

from pettwin_pipeline.emulator.resources.check_store import check_runs
from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.emulator.statsd import START_S, stand
from pettwin_pipeline_tests.emulator.typed_client import typed, whole

METRICS = MetricsDataSource.METRICS


@pytest.fixture
def filled(local: LocalDatadog) -> LocalDatadog:
    """Two hosts whose requests were counted, in bytes, a minute long; the clock stands behind."""
    stand(local, START_S + 60)
    with typed(local) as client:
        series = [
            Series(
                metric="net.sent",
                type="count",
                interval=10,
                host=f"h{host}",
                tags=["env:prod"],
                points=[Point([START_S + at, float(host)]) for at in range(0, 60, 10)],
            )
            for host in (1, 2)
        ]
        told = OldMetricsApi(client).submit_metrics(body=MetricsPayload(series))
        assert whole(told).status == "ok"
        metadata = MetricMetadata(unit="byte", per_unit="second", type="count")
        OldMetricsApi(client).update_metric_metadata("net.sent", body=metadata)
    return local


def test_a_query_of_v1_parses_whole(filled: LocalDatadog) -> None:
    with typed(filled) as client:
        told = whole(
            OldMetricsApi(client).query_metrics(
                START_S, START_S + 60, "sum:net.sent{env:prod} by {host}.as_count().rollup(sum, 60)"
            )
        )
    assert [(one.scope, one.pointlist[0].value) for one in told.series] == [
        ("host:h1,env:prod", [START_S * 1000.0, 6.0]),
        ("host:h2,env:prod", [START_S * 1000.0, 12.0]),
    ]
    unit, per = told.series[0].unit
    assert (unit.name, unit.family, unit.short_name, per.name) == ("byte", "bytes", "B", "second")
    assert told.group_by == ["host"]


def timeseries(client: Any, formulas: list[str], queries: dict[str, str], **more: Any) -> Any:
    attributes = TimeseriesFormulaRequestAttributes(
        formulas=[QueryFormula(formula=one) for one in formulas],
        _from=START_S * 1000,
        to=(START_S + 60) * 1000,
        queries=TimeseriesFormulaRequestQueries(
            [
                MetricsTimeseriesQuery(data_source=METRICS, query=text, name=name)
                for name, text in queries.items()
            ]
        ),
        **more,
    )
    kind = TimeseriesFormulaRequestType.TIMESERIES_REQUEST
    request = TimeseriesFormulaRequest(attributes=attributes, type=kind)
    body = TimeseriesFormulaQueryRequest(request)
    return whole(MetricsApi(client).query_timeseries_data(body=body)).data.attributes


def test_a_timeseries_with_formulas_parses_whole(filled: LocalDatadog) -> None:
    queries = {"a": "sum:net.sent{*} by {host}.as_count()", "b": "sum:net.sent{*}.as_count()"}
    with typed(filled) as client:
        told = timeseries(client, ["a", "a / b * 100"], queries, interval=30_000)
    assert [time.value if hasattr(time, "value") else time for time in told.times.value] == [
        START_S * 1000,
        (START_S + 30) * 1000,
    ]
    rows = [
        (one.query_index, one.group_tags.value, values.value)
        for one, values in zip(told.series.value, told.values.value, strict=True)
    ]
    third, two_thirds = pytest.approx([100 / 3] * 2), pytest.approx([200 / 3] * 2)
    assert rows == [
        (0, ["host:h1"], [3.0, 3.0]),
        (0, ["host:h2"], [6.0, 6.0]),
        (1, ["host:h1"], third),
        (1, ["host:h2"], two_thirds),
    ]
    assert told.series.value[0].unit[0].name == "byte"
    assert told.series.value[2].unit is None


def test_gaps_of_a_timeseries_parse_whole(filled: LocalDatadog) -> None:
    with typed(filled) as client:
        told = timeseries(client, ["a"], {"a": "sum:net.sent{*}.as_count()"}, interval=5_000)
    (row,) = told.values.value
    assert row.value[:4] == [3.0, None, 3.0, None]


def test_a_scalar_with_groups_parses_whole(filled: LocalDatadog) -> None:
    event = {"title": "t", "text": "x", "tags": ["team:a"], "date_happened": START_S + 30}
    assert ask(filled, "POST", "/api/v1/events", event).status == 202
    queries = [
        MetricsScalarQuery(
            aggregator=MetricsAggregator.SUM,
            data_source=METRICS,
            query="sum:net.sent{*} by {host}.as_count()",
            name="a",
        ),
        EventsScalarQuery(
            compute=EventsCompute(aggregation=EventsAggregation.COUNT),
            data_source=EventsDataSource.EVENTS,
            name="e",
            search=EventsSearch(query="team:a"),
            group_by=EventsQueryGroupBys([EventsGroupBy(facet="team")]),
        ),
    ]

    def columns(formula: str) -> list[tuple[str, Any]]:
        attributes = ScalarFormulaRequestAttributes(
            formulas=[QueryFormula(formula=formula)],
            _from=START_S * 1000,
            to=(START_S + 60) * 1000,
            queries=ScalarFormulaRequestQueries(queries),
        )
        kind = ScalarFormulaRequestType.SCALAR_REQUEST
        body = ScalarFormulaQueryRequest(ScalarFormulaRequest(attributes=attributes, type=kind))
        with typed(filled) as client:
            told = whole(MetricsApi(client).query_scalar_data(body=body)).data.attributes.columns
        return [(one.name, one.values) for one in told]

    assert columns("a / 2") == [("host", [["h1"], ["h2"]]), ("a / 2", [3.0, 6.0])]
    assert columns("e") == [("team", [["a"]]), ("e", [1.0])]


def test_distributions_and_checks_of_the_typed_client_are_kept(local: LocalDatadog) -> None:
    stand(local, START_S)
    with typed(local) as client:
        points = [DistributionPoint([float(START_S), [1.0, 2.0, 6.0]])]
        series = DistributionPointsSeries(metric="d", points=points, host="h1", tags=["a:b"])
        body = DistributionPointsPayload(series=[series])
        told = OldMetricsApi(client).submit_distribution_points(body=body)
        assert whole(told).status == "ok"
        check = ServiceCheck(
            check="up", host_name="h1", status=ServiceCheckStatus.CRITICAL, tags=["a:b"]
        )
        assert whole(ServiceChecksApi(client).submit_service_check(body=ServiceChecks([check])))
        found = whole(OldMetricsApi(client).query_metrics(START_S, START_S + 10, "avg:d{host:h1}"))
        assert found.series[0].pointlist[0].value == [START_S * 1000.0, 3.0]
        with pytest.raises(ApiException, match="unable to parse"):
            OldMetricsApi(client).query_metrics(START_S, START_S + 10, "avg:d{host:h1")
    (run,) = check_runs(local.state, "up")
    assert (run.status, run.host, run.tags) == (2, "h1", ("a:b",))


def test_what_is_known_of_a_metric_with_points_parses_whole(filled: LocalDatadog) -> None:
    with typed(filled) as client:
        timeseries(client, ["a"], {"a": "sum:net.sent{env:prod} by {host}"})
        api = MetricsApi(client)
        volumes = whole(api.list_volumes_by_metric_name("net.sent"))
        assert volumes.data.attributes.distinct_volume == 2
        active = whole(api.list_active_metric_configurations("net.sent")).data.attributes
        assert active.active_tags == ["env", "host"]
        tags = whole(api.list_tags_by_metric_name("net.sent")).data.attributes.tags
        assert tags == ["env:prod", "host:h1", "host:h2"]
        listed = whole(OldMetricsApi(client).list_active_metrics(START_S, host="h2"))
        assert listed.metrics == ["net.sent"]
        estimate = whole(api.estimate_metrics_output_series("net.sent"))
        assert estimate.data.attributes.estimated_output_series == 2


def test_expressions_without_unit_or_aggregation_parse_whole(filled: LocalDatadog) -> None:
    query = "net.sent{*}, sum:net.sent{*} / sum:nothing{*}, sum:net.sent{*} * 2, abs(net.sent{*})"
    with typed(filled) as client:
        told = whole(OldMetricsApi(client).query_metrics(START_S, START_S + 10, query))
        assert [(one.query_index, one.pointlist[0].value[1]) for one in told.series] == [
            (0, 1.5),
            (2, 6.0),
            (3, 1.5),
        ]
        OldMetricsApi(client).update_metric_metadata("net.sent", body=MetricMetadata(unit="cat"))
        told = whole(OldMetricsApi(client).query_metrics(START_S, START_S + 10, "net.sent{*}"))
        assert told.series[0].unit[0].name == "cat"
