"""datadog-api-client drives monitors and what is around them; its answers parse whole."""

from datetime import timedelta

import pytest
from datadog_api_client.exceptions import ApiException, NotFoundException
from datadog_api_client.v1.api.downtimes_api import DowntimesApi as OldDowntimesApi
from datadog_api_client.v1.api.monitors_api import MonitorsApi
from datadog_api_client.v1.model.cancel_downtimes_by_scope_request import (
    CancelDowntimesByScopeRequest,
)
from datadog_api_client.v1.model.downtime import Downtime
from datadog_api_client.v1.model.monitor import Monitor
from datadog_api_client.v1.model.monitor_options import MonitorOptions
from datadog_api_client.v1.model.monitor_thresholds import MonitorThresholds
from datadog_api_client.v1.model.monitor_type import MonitorType
from datadog_api_client.v1.model.monitor_update_request import MonitorUpdateRequest
from datadog_api_client.v2.api.downtimes_api import DowntimesApi
from datadog_api_client.v2.api.monitors_api import MonitorsApi as AroundMonitorsApi
from datadog_api_client.v2.model.downtime_create_request import DowntimeCreateRequest
from datadog_api_client.v2.model.downtime_create_request_attributes import (
    DowntimeCreateRequestAttributes,
)
from datadog_api_client.v2.model.downtime_create_request_data import DowntimeCreateRequestData
from datadog_api_client.v2.model.downtime_monitor_identifier_id import DowntimeMonitorIdentifierId
from datadog_api_client.v2.model.downtime_monitor_identifier_tags import (
    DowntimeMonitorIdentifierTags,
)
from datadog_api_client.v2.model.downtime_resource_type import DowntimeResourceType
from datadog_api_client.v2.model.downtime_schedule_recurrence_create_update_request import (
    DowntimeScheduleRecurrenceCreateUpdateRequest,
)
from datadog_api_client.v2.model.downtime_schedule_recurrences_create_request import (
    DowntimeScheduleRecurrencesCreateRequest,
)
from datadog_api_client.v2.model.downtime_update_request import DowntimeUpdateRequest
from datadog_api_client.v2.model.downtime_update_request_attributes import (
    DowntimeUpdateRequestAttributes,
)
from datadog_api_client.v2.model.downtime_update_request_data import DowntimeUpdateRequestData

from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.typed_client import typed, whole

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Using unstable operation"),
]
QUERY = "avg(last_5m):avg:system.load.1{env:prod} by {host} > 4"


def monitor(name: str = "load", query: str = QUERY, **more: object) -> Monitor:
    told = {"type": MonitorType.METRIC_ALERT, "message": "look @webhook-mine", "tags": ["env:prod"]}
    return Monitor(name=name, query=query, **{**told, **more})


def test_a_monitor_lives_through_its_calls(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = MonitorsApi(client)
        whole(api.validate_monitor(body=monitor()))
        made = whole(api.create_monitor(body=monitor()))
        assert made.multi is True
        assert made.options.thresholds.critical == 4.0
        read = whole(api.get_monitor(made.id, group_states="all", with_downtimes=True))
        assert (read.name, read.query, read.overall_state.value) == ("load", QUERY, "No Data")
        assert [one.id for one in whole(api.list_monitors(tags="env:prod"))] == [made.id]
        assert whole(api.list_monitors(monitor_tags="env:dev")) == []
        options = MonitorOptions(thresholds=MonitorThresholds(critical=5.0, warning=3.0))
        update = MonitorUpdateRequest(query=QUERY.replace("4", "5"), options=options)
        changed = whole(api.update_monitor(made.id, body=update))
        assert changed.options.thresholds.warning == 3.0
        assert changed.name == "load"
        whole(api.validate_existing_monitor(made.id, body=monitor()))
        assert whole(api.check_can_delete_monitor([made.id])).data.ok == [made.id]
        assert whole(api.delete_monitor(made.id)).deleted_monitor_id == made.id
        with pytest.raises(NotFoundException, match="Monitor not found"):
            api.get_monitor(made.id)


def test_search_counts_and_pages(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = MonitorsApi(client)
        for number in range(3):
            api.create_monitor(body=monitor(f"load {number}"))
        found = whole(api.search_monitors(query='tag:"env:prod"', per_page=2, page=1))
        assert [one.name for one in found.monitors] == ["load 2"]
        assert found.metadata.total_count == 3
        assert found.metadata.page_count == 2
        assert found.monitors[0].metrics == ["system.load.1"]
        assert [(one.name, one.count) for one in found.counts.status.value] == [("No Data", 3)]
        groups = whole(api.search_monitor_groups(query="status:ok"))
        assert groups.groups == []
        assert len(whole(api.search_monitor_groups()).groups) == 3


def test_a_list_of_many_goes_on_page_by_page(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = MonitorsApi(client)
        for number in range(5):
            api.create_monitor(body=monitor(str(number)))
        assert len(list(api.list_monitors_with_pagination(page_size=2))) == 5


def in_downtime(**told: object) -> DowntimeCreateRequest:
    kind = DowntimeResourceType.DOWNTIME
    attributes = DowntimeCreateRequestAttributes(**told)
    return DowntimeCreateRequest(DowntimeCreateRequestData(attributes=attributes, type=kind))


def test_a_downtime_silences_its_monitor_until_it_is_cancelled(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = DowntimesApi(client)
        made = MonitorsApi(client).create_monitor(body=monitor())
        body = in_downtime(
            scope="env:prod", monitor_identifier=DowntimeMonitorIdentifierId(monitor_id=made.id)
        )
        downtime = whole(api.create_downtime(body=body)).data
        assert downtime.attributes.status.value == "active"
        matches = whole(api.list_monitor_downtimes(made.id))
        assert [one.id for one in matches.data] == [downtime.id]
        read = whole(MonitorsApi(client).get_monitor(made.id, with_downtimes=True))
        assert read.options.silenced == {"env:prod": None}
        assert [one.scope for one in read.matching_downtimes] == [["env:prod"]]
        api.cancel_downtime(downtime.id)
        gone = whole(api.get_downtime(downtime.id, include="created_by,monitor"))
        assert gone.data.attributes.status.value == "canceled"
        assert whole(api.list_downtimes()).data == []
        assert whole(api.list_monitor_downtimes(made.id)).data == []


def test_a_recurring_downtime_shows_its_next_turn(local: LocalDatadog) -> None:
    turn = DowntimeScheduleRecurrenceCreateUpdateRequest(
        duration="1h", rrule="FREQ=DAILY;INTERVAL=1"
    )
    body = in_downtime(
        scope="env:(prod OR dev)",
        monitor_identifier=DowntimeMonitorIdentifierTags(monitor_tags=["*"]),
        schedule=DowntimeScheduleRecurrencesCreateRequest(
            recurrences=[turn], timezone="Asia/Tokyo"
        ),
    )
    with typed(local) as client:
        api = DowntimesApi(client)
        schedule = whole(api.create_downtime(body=body)).data.attributes.schedule
        lasts = schedule.current_downtime.end - schedule.current_downtime.start
        assert lasts == timedelta(hours=1)
        assert schedule.timezone == "Asia/Tokyo"


def test_a_downtime_is_changed_in_part(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = DowntimesApi(client)
        tags = DowntimeMonitorIdentifierTags(monitor_tags=["team:a"])
        made = api.create_downtime(body=in_downtime(scope="*", monitor_identifier=tags)).data
        update = DowntimeUpdateRequest(
            DowntimeUpdateRequestData(
                attributes=DowntimeUpdateRequestAttributes(message="longer"),
                id=made.id,
                type=DowntimeResourceType.DOWNTIME,
            )
        )
        changed = whole(api.update_downtime(made.id, body=update)).data.attributes
        assert changed.message == "longer"
        assert changed.monitor_identifier.monitor_tags == ["team:a"]
        assert changed.modified > made.attributes.modified


def test_downtimes_of_the_first_version_are_spoken_too(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = OldDowntimesApi(client)
        made = whole(api.create_downtime(body=Downtime(scope=["env:prod"], message="m")))
        assert made.active is True
        assert [one.id for one in whole(api.list_downtimes())] == [made.id]
        changed = whole(api.update_downtime(made.id, body=Downtime(scope=["env:dev"])))
        assert changed.scope == ["env:dev"]
        assert changed.message == "m"
        scope = CancelDowntimesByScopeRequest(scope="env:dev")
        assert whole(api.cancel_downtimes_by_scope(body=scope)).cancelled_ids == [made.id]
        assert whole(api.get_downtime(made.id)).canceled is not None
        with pytest.raises(ApiException):
            api.cancel_downtimes_by_scope(body=scope)


def test_nothing_is_around_monitors_at_first(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = AroundMonitorsApi(client)
        assert whole(api.list_monitor_config_policies()).data == []
        assert whole(api.get_monitor_notification_rules()).data == []
        assert whole(api.list_monitor_user_templates()).data == []
