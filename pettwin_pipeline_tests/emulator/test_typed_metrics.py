"""datadog-api-client drives metrics, their tags and metadata, and queries; answers parse whole."""

import pytest
from datadog_api_client.exceptions import ApiException, NotFoundException
from datadog_api_client.v1.api.metrics_api import MetricsApi as OldMetricsApi
from datadog_api_client.v1.model.metric_metadata import MetricMetadata
from datadog_api_client.v2.api.metrics_api import MetricsApi
from datadog_api_client.v2.model.formula_limit import FormulaLimit
from datadog_api_client.v2.model.metric_intake_type import MetricIntakeType
from datadog_api_client.v2.model.metric_payload import MetricPayload
from datadog_api_client.v2.model.metric_point import MetricPoint
from datadog_api_client.v2.model.metric_resource import MetricResource
from datadog_api_client.v2.model.metric_series import MetricSeries
from datadog_api_client.v2.model.metric_tag_configuration_create_attributes import (
    MetricTagConfigurationCreateAttributes,
)
from datadog_api_client.v2.model.metric_tag_configuration_create_data import (
    MetricTagConfigurationCreateData,
)
from datadog_api_client.v2.model.metric_tag_configuration_create_request import (
    MetricTagConfigurationCreateRequest,
)
from datadog_api_client.v2.model.metric_tag_configuration_metric_types import (
    MetricTagConfigurationMetricTypes,
)
from datadog_api_client.v2.model.metric_tag_configuration_type import MetricTagConfigurationType
from datadog_api_client.v2.model.metric_tag_configuration_update_attributes import (
    MetricTagConfigurationUpdateAttributes,
)
from datadog_api_client.v2.model.metric_tag_configuration_update_data import (
    MetricTagConfigurationUpdateData,
)
from datadog_api_client.v2.model.metric_tag_configuration_update_request import (
    MetricTagConfigurationUpdateRequest,
)
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
from datadog_api_client.v2.model.scalar_formula_request_type import ScalarFormulaRequestType
from datadog_api_client.v2.model.timeseries_formula_query_request import (
    TimeseriesFormulaQueryRequest,
)
from datadog_api_client.v2.model.timeseries_formula_request import TimeseriesFormulaRequest
from datadog_api_client.v2.model.timeseries_formula_request_attributes import (
    TimeseriesFormulaRequestAttributes,
)
from datadog_api_client.v2.model.timeseries_formula_request_type import (
    TimeseriesFormulaRequestType,
)

from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.typed_client import typed, whole

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated:DeprecationWarning")
MANAGED = MetricTagConfigurationType.MANAGE_TAGS


def submit(client: object, *names: str) -> None:
    series = [
        MetricSeries(
            metric=name,
            type=MetricIntakeType.GAUGE,
            points=[MetricPoint(timestamp=1, value=2.0)],
            resources=[MetricResource(name="h1", type="host")],
            tags=["Env:Prod"],
        )
        for name in names
    ]
    for encoding in ("deflate", "gzip", "zstd1"):
        told = MetricsApi(client).submit_metrics(
            body=MetricPayload(series=series), content_encoding=encoding
        )
        assert whole(told).errors == []


def configured(name: str, **told: object) -> MetricTagConfigurationCreateRequest:
    attributes = MetricTagConfigurationCreateAttributes(tags=["env"], **told)
    return MetricTagConfigurationCreateRequest(
        MetricTagConfigurationCreateData(id=name, type=MANAGED, attributes=attributes)
    )


def test_tags_of_a_metric_are_configured_changed_and_forgotten(local: LocalDatadog) -> None:
    gauge = MetricTagConfigurationMetricTypes.GAUGE
    with typed(local) as client:
        api = MetricsApi(client)
        with pytest.raises(NotFoundException, match=r"a\.b not found"):
            api.create_tag_configuration("a.b", body=configured("a.b", metric_type=gauge))
        submit(client, "a.b")
        made = whole(api.create_tag_configuration("a.b", body=configured("a.b", metric_type=gauge)))
        assert made.data.attributes.tags == ["env"]
        with pytest.raises(ApiException, match="409"):
            api.create_tag_configuration("a.b", body=configured("a.b", metric_type=gauge))
        attributes = MetricTagConfigurationUpdateAttributes(tags=["env", "app"])
        update = MetricTagConfigurationUpdateRequest(
            MetricTagConfigurationUpdateData(id="a.b", type=MANAGED, attributes=attributes)
        )
        changed = whole(api.update_tag_configuration("a.b", body=update)).data
        assert changed.attributes.tags == ["env", "app"]
        read = whole(api.list_tag_configuration_by_name("a.b")).data
        assert read.attributes.metric_type == gauge
        api.delete_tag_configuration("a.b")
        with pytest.raises(NotFoundException):
            api.list_tag_configuration_by_name("a.b")


def test_percentiles_are_for_distributions_alone(local: LocalDatadog) -> None:
    kinds = MetricTagConfigurationMetricTypes
    with typed(local) as client:
        api = MetricsApi(client)
        submit(client, "a", "b")
        body = configured("a", metric_type=kinds.DISTRIBUTION, include_percentiles=True)
        assert whole(api.create_tag_configuration("a", body=body)).data.attributes
        wrong = configured("b", metric_type=kinds.GAUGE, include_percentiles=True)
        with pytest.raises(ApiException, match="400"):
            api.create_tag_configuration("b", body=wrong)


def test_metrics_are_listed_in_pages_configured_or_not(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = MetricsApi(client)
        submit(client, "a", "b", "c")
        body = configured("b", metric_type=MetricTagConfigurationMetricTypes.COUNT)
        api.create_tag_configuration("b", body=body)
        assert [one.id for one in whole(api.list_tag_configurations()).data] == ["a", "b", "c"]
        page = whole(api.list_tag_configurations(page_size=2))
        assert [one.id for one in page.data] == ["a", "b"]
        rest = api.list_tag_configurations(
            page_size=2, page_cursor=page.meta.pagination.next_cursor
        )
        assert [one.id for one in whole(rest).data] == ["c"]
        only = whole(api.list_tag_configurations(filter_configured=True)).data
        assert [one.id for one in only] == ["b"]


def test_what_is_known_of_a_metric_is_told(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = MetricsApi(client)
        submit(client, "a.b")
        known = whole(api.list_tags_by_metric_name("a.b")).data.attributes.tags
        assert known == ["env:prod", "host:h1"]
        assert whole(api.list_volumes_by_metric_name("a.b")).data.attributes.distinct_volume == 1
        assert whole(api.list_active_metric_configurations("a.b")).data.id == "a.b"
        estimate = whole(api.estimate_metrics_output_series("a.b", filter_groups="env"))
        assert estimate.data.attributes.estimated_output_series == 1
        assert whole(api.list_metric_assets("a.b")).data.relationships.dashboards.data == []


def test_metadata_are_kept_for_a_metric(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = OldMetricsApi(client)
        with pytest.raises(NotFoundException):
            api.get_metric_metadata("a.b")
        submit(client, "a.b")
        told = MetricMetadata(description="how many", unit="byte", per_unit="second", type="count")
        assert whole(api.update_metric_metadata("a.b", body=told)).unit == "byte"
        read = whole(api.get_metric_metadata("a.b"))
        assert (read.description, read.per_unit, read.type) == ("how many", "second", "count")
        assert whole(api.list_metrics("metrics:a.")).results.metrics == ["a.b"]
        assert whole(api.list_active_metrics(0)).metrics == ["a.b"]
        assert whole(api.query_metrics(1, 2, "avg:a.b{*}")).series == []


def test_queries_that_find_nothing_keep_their_form(local: LocalDatadog) -> None:
    now_ms = int(local.state.clock.now_s() * 1000)
    formulas = [QueryFormula(formula="a", limit=FormulaLimit(count=10))]
    metrics, query = MetricsDataSource.METRICS, "avg:a.b{*}"
    scalar = ScalarFormulaQueryRequest(
        ScalarFormulaRequest(
            attributes=ScalarFormulaRequestAttributes(
                formulas=formulas,
                _from=now_ms - 1000,
                to=now_ms,
                queries=[
                    MetricsScalarQuery(
                        aggregator=MetricsAggregator.AVG,
                        data_source=metrics,
                        query=query,
                        name="a",
                    )
                ],
            ),
            type=ScalarFormulaRequestType.SCALAR_REQUEST,
        )
    )
    series = TimeseriesFormulaQueryRequest(
        TimeseriesFormulaRequest(
            attributes=TimeseriesFormulaRequestAttributes(
                formulas=formulas,
                _from=now_ms - 1000,
                to=now_ms,
                queries=[MetricsTimeseriesQuery(data_source=metrics, query=query, name="a")],
            ),
            type=TimeseriesFormulaRequestType.TIMESERIES_REQUEST,
        )
    )
    with typed(local) as client:
        api = MetricsApi(client)
        columns = whole(api.query_scalar_data(body=scalar)).data.attributes.columns
        assert [(one.name, one.values) for one in columns] == [("a", [])]
        assert len(whole(api.query_timeseries_data(body=series)).data.attributes.series.value) == 0
