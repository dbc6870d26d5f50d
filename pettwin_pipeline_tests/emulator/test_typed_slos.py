"""datadog-api-client drives SLOs, corrections and reports; its answers parse whole."""

import pytest
from datadog_api_client.exceptions import ApiException, NotFoundException
from datadog_api_client.v1.api.monitors_api import MonitorsApi
from datadog_api_client.v1.api.service_level_objective_corrections_api import (
    ServiceLevelObjectiveCorrectionsApi,
)
from datadog_api_client.v1.api.service_level_objectives_api import ServiceLevelObjectivesApi
from datadog_api_client.v1.model.monitor import Monitor
from datadog_api_client.v1.model.monitor_type import MonitorType
from datadog_api_client.v1.model.service_level_objective import ServiceLevelObjective
from datadog_api_client.v1.model.service_level_objective_query import ServiceLevelObjectiveQuery
from datadog_api_client.v1.model.service_level_objective_request import (
    ServiceLevelObjectiveRequest,
)
from datadog_api_client.v1.model.slo_bulk_delete import SLOBulkDelete
from datadog_api_client.v1.model.slo_correction_category import SLOCorrectionCategory
from datadog_api_client.v1.model.slo_correction_create_data import SLOCorrectionCreateData
from datadog_api_client.v1.model.slo_correction_create_request import SLOCorrectionCreateRequest
from datadog_api_client.v1.model.slo_correction_create_request_attributes import (
    SLOCorrectionCreateRequestAttributes,
)
from datadog_api_client.v1.model.slo_correction_type import SLOCorrectionType
from datadog_api_client.v1.model.slo_correction_update_data import SLOCorrectionUpdateData
from datadog_api_client.v1.model.slo_correction_update_request import SLOCorrectionUpdateRequest
from datadog_api_client.v1.model.slo_correction_update_request_attributes import (
    SLOCorrectionUpdateRequestAttributes,
)
from datadog_api_client.v1.model.slo_threshold import SLOThreshold
from datadog_api_client.v1.model.slo_timeframe import SLOTimeframe
from datadog_api_client.v1.model.slo_type import SLOType
from datadog_api_client.v2.api.service_level_objectives_api import (
    ServiceLevelObjectivesApi as SloReportsApi,
)
from datadog_api_client.v2.model.slo_report_create_request import SloReportCreateRequest
from datadog_api_client.v2.model.slo_report_create_request_attributes import (
    SloReportCreateRequestAttributes,
)
from datadog_api_client.v2.model.slo_report_create_request_data import SloReportCreateRequestData
from datadog_api_client.v2.model.slo_report_interval import SLOReportInterval

from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.typed_client import typed, whole

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Using unstable operation"),
]
COUNTS = ServiceLevelObjectiveQuery(
    numerator="sum:good{*}.as_count()", denominator="sum:all{*}.as_count()"
)
WEEK = SLOThreshold(target=99.5, timeframe=SLOTimeframe.SEVEN_DAYS, warning=99.9)
MONTH = SLOThreshold(target=99.0, timeframe=SLOTimeframe.THIRTY_DAYS)


def objective(name: str = "good", **more: object) -> ServiceLevelObjectiveRequest:
    told = {"type": SLOType.METRIC, "query": COUNTS, "thresholds": [WEEK, MONTH], "tags": ["env:a"]}
    return ServiceLevelObjectiveRequest(name=name, **{**told, **more})


def test_an_slo_lives_through_its_calls(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = ServiceLevelObjectivesApi(client)
        made = whole(api.create_slo(body=objective())).data[0]
        assert [one.target_display for one in made.thresholds] == ["99.5", "99."]
        assert (made.timeframe.value, made.target_threshold) == ("7d", 99.5)
        read = whole(api.get_slo(made.id, with_configured_alert_ids=True)).data
        assert read.configured_alert_ids == []
        body = ServiceLevelObjective(
            name="better", type=SLOType.METRIC, thresholds=[WEEK], query=COUNTS
        )
        changed = whole(api.update_slo(made.id, body=body)).data[0]
        assert (changed.name, changed.created_at) == ("better", made.created_at)
        assert [one.id for one in whole(api.list_slos(query="bett")).data] == [made.id]
        assert whole(api.list_slos(tags_query="env:a")).data == []
        assert whole(api.check_can_delete_slo(made.id)).data.ok == [made.id]
        assert whole(api.delete_slo(made.id)).data == [made.id]
        with pytest.raises(NotFoundException, match="SLO not found"):
            api.get_slo(made.id)


def test_an_slo_of_a_monitor_holds_the_monitor_and_takes_its_tags(local: LocalDatadog) -> None:
    with typed(local) as client:
        api, monitors = ServiceLevelObjectivesApi(client), MonitorsApi(client)
        query = "avg(last_5m):avg:system.load.1{*} > 4"
        watch = Monitor(name="m", type=MonitorType.METRIC_ALERT, query=query, tags=["team:x"])
        monitor_id = monitors.create_monitor(body=watch).id
        body = ServiceLevelObjectiveRequest(
            name="up", type=SLOType.MONITOR, monitor_ids=[monitor_id], thresholds=[WEEK]
        )
        slo = whole(api.create_slo(body=body)).data[0]
        assert slo.monitor_tags == ["team:x"]
        with pytest.raises(ApiException, match="is referenced in slos"):
            monitors.delete_monitor(monitor_id)
        monitors.delete_monitor(monitor_id, force="true")


def test_search_finds_by_name_and_tag_and_tells_facets(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = ServiceLevelObjectivesApi(client)
        for number in range(3):
            api.create_slo(body=objective(f"good {number}"))
        found = whole(api.search_slo(query="env:a", page_size=2, include_facets=True))
        names = [one.data.attributes.name for one in found.data.attributes.slos]
        assert names == ["good 0", "good 1"]
        assert found.meta.pagination.total == 3
        facets = found.data.attributes.facets
        assert [(one.name, one.count) for one in facets.env_tags] == [("env:a", 3)]


def test_timeframes_are_deleted_one_by_one_until_nothing_is_left(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = ServiceLevelObjectivesApi(client)
        made = api.create_slo(body=objective()).data[0]
        first = SLOBulkDelete(**{made.id: [SLOTimeframe.SEVEN_DAYS]})
        assert whole(api.delete_slo_timeframe_in_bulk(body=first)).data.updated == [made.id]
        left = whole(api.get_slo(made.id)).data
        assert (left.timeframe.value, left.target_threshold) == ("30d", 99.0)
        rest = SLOBulkDelete(**{made.id: [SLOTimeframe.THIRTY_DAYS]})
        assert whole(api.delete_slo_timeframe_in_bulk(body=rest)).data.deleted == [made.id]


def test_a_correction_belongs_to_its_slo(local: LocalDatadog) -> None:
    with typed(local) as client:
        slo = ServiceLevelObjectivesApi(client).create_slo(body=objective()).data[0]
        api = ServiceLevelObjectiveCorrectionsApi(client)
        attributes = SLOCorrectionCreateRequestAttributes(
            category=SLOCorrectionCategory.DEPLOYMENT, slo_id=slo.id, start=100, end=200
        )
        kind = SLOCorrectionType.CORRECTION
        body = SLOCorrectionCreateRequest(SLOCorrectionCreateData(type=kind, attributes=attributes))
        made = whole(api.create_slo_correction(body=body)).data
        assert whole(api.get_slo_correction(made.id)).data.attributes.slo_id == slo.id
        change = SLOCorrectionUpdateRequestAttributes(description="longer", end=300)
        update = SLOCorrectionUpdateRequest(SLOCorrectionUpdateData(type=kind, attributes=change))
        assert whole(api.update_slo_correction(made.id, body=update)).data.attributes.end == 300
        assert len(whole(api.list_slo_correction()).data) == 1
        corrections = ServiceLevelObjectivesApi(client).get_slo_corrections(slo.id)
        assert [one.id for one in whole(corrections).data] == [made.id]
        api.delete_slo_correction(made.id)
        assert whole(api.list_slo_correction()).data == []


def test_the_history_of_an_slo_that_nothing_is_known_of_is_empty(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = ServiceLevelObjectivesApi(client)
        slo = api.create_slo(body=objective()).data[0]
        history = whole(api.get_slo_history(slo.id, from_ts=1000, to_ts=2000)).data
        assert history.overall.sli_value is None
        assert history.series.numerator.values == []
        with pytest.raises(ApiException, match="from_ts must be before to_ts"):
            api.get_slo_history(slo.id, from_ts=2000, to_ts=1000)
        status = SloReportsApi(client).get_slo_status(slo.id, from_ts=1000, to_ts=2000)
        assert whole(status).data.attributes.state == "no_data"


def test_a_report_is_there_as_soon_as_it_is_asked_for(local: LocalDatadog) -> None:
    attributes = SloReportCreateRequestAttributes(
        query="*", from_ts=1_690_848_000, to_ts=1_693_526_400, interval=SLOReportInterval.WEEKLY
    )
    with typed(local) as client:
        slo = ServiceLevelObjectivesApi(client).create_slo(body=objective("=1+1,x")).data[0]
        api = SloReportsApi(client)
        body = SloReportCreateRequest(SloReportCreateRequestData(attributes=attributes))
        report = whole(api.create_slo_report_job(body=body)).data.id
        assert whole(api.get_slo_report_job_status(report)).data.attributes.status.value == (
            "completed"
        )
        lines = api.get_slo_report(report).splitlines()
        assert lines[0].startswith("id,slo_type,name,target,export_error,2023-08-01,2023-08-08")
        assert lines[1].startswith(f'{slo.id},metric,"\'=1+1,x",99.5')
