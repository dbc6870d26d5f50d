"""The official clients send points and checks, make monitors, and read what became of them."""

from collections.abc import Iterator
from typing import Any

import datadog
import pytest
from datadog import api
from datadog.dogstatsd.base import DogStatsd
from datadog_api_client.v1.api.events_api import EventsApi as OldEventsApi
from datadog_api_client.v1.api.monitors_api import MonitorsApi
from datadog_api_client.v1.api.service_level_objectives_api import ServiceLevelObjectivesApi
from datadog_api_client.v1.model.monitor import Monitor
from datadog_api_client.v1.model.monitor_options import MonitorOptions
from datadog_api_client.v1.model.monitor_thresholds import MonitorThresholds
from datadog_api_client.v1.model.monitor_type import MonitorType
from datadog_api_client.v1.model.service_level_objective_request import (
    ServiceLevelObjectiveRequest,
)
from datadog_api_client.v1.model.slo_threshold import SLOThreshold
from datadog_api_client.v1.model.slo_timeframe import SLOTimeframe
from datadog_api_client.v1.model.slo_type import SLOType
from datadog_api_client.v2.api.events_api import EventsApi
from datadog_api_client.v2.model.events_list_request import EventsListRequest
from datadog_api_client.v2.model.events_query_filter import EventsQueryFilter

from pettwin_pipeline_tests.emulator.monitored import START_S, Scene
from pettwin_pipeline_tests.emulator.typed_client import typed, whole
from pettwin_pipeline_tests.stack.programs import wait_for

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Using unstable operation"),
]
QUERY = "avg(last_1m):avg:heat{*} by {host} > 30"


@pytest.fixture
def _old_client(scene: Scene) -> Iterator[None]:
    datadog.initialize(api_key="any", app_key="any", api_host=scene.local.address)
    yield
    api._api_host = api._api_key = api._application_key = None


def hot(scene: Scene) -> int:
    """A monitor of the typed client whose group host:a is in alert."""
    options = MonitorOptions(new_group_delay=0, thresholds=MonitorThresholds(critical=30.0))
    body = Monitor(
        name="Too hot", type=MonitorType.QUERY_ALERT, query=QUERY, message="m", options=options,
        tags=["team:vets"], priority=2,
    )  # fmt: skip
    with typed(scene.local) as client:
        made = whole(MonitorsApi(client).create_monitor(body=body))
    scene.gauge(40, "host:a")
    scene.gauge(20, "host:b")
    scene.advance(60)
    return int(made.id)


def test_the_typed_client_reads_states_and_groups(scene: Scene) -> None:
    monitor = hot(scene)
    with typed(scene.local) as client:
        monitors = MonitorsApi(client)
        read = whole(monitors.get_monitor(monitor, group_states="all"))
        assert read.overall_state.value == "Alert"
        groups = read.state.groups
        assert {name: one.status.value for name, one in groups.items()} == {
            "host:a": "Alert", "host:b": "OK",
        }  # fmt: skip
        assert groups["host:a"].last_triggered_ts == START_S + 60
        (found,) = whole(monitors.search_monitors(query="status:alert")).monitors
        assert (found.id, found.status.value) == (monitor, "Alert")
        assert found.last_triggered_ts == START_S + 60
        groups = whole(monitors.search_monitor_groups(query="status:Alert")).groups
        assert {one.group: one.status.value for one in groups} == {
            "host:a": "Alert", "host:b": "OK",
        }  # fmt: skip
        assert whole(monitors.search_monitors(query="status:ok")).monitors == []


def test_the_typed_client_finds_what_monitors_wrote(scene: Scene) -> None:
    monitor = hot(scene)
    with typed(scene.local) as client:
        wanted = EventsQueryFilter(query="source:alert", _from=f"{START_S * 1000}")
        found = whole(EventsApi(client).search_events(body=EventsListRequest(filter=wanted)))
        (event,) = found.data
        told = event.attributes.attributes
        assert told.title == "[P2] [Triggered on {host:a}] Too hot"
        assert (told.monitor_id, told.status.value) == (monitor, "error")
        assert told.monitor.name == "Too hot"
        old = whole(OldEventsApi(client).list_events(START_S, START_S + 3_600, sources="alert"))
        assert old.events[0].title == told.title


def test_the_typed_client_reads_the_history_of_a_monitor(scene: Scene) -> None:
    monitor = hot(scene)
    scene.advance(60)
    body = ServiceLevelObjectiveRequest(
        name="Cool",
        type=SLOType.MONITOR,
        monitor_ids=[monitor],
        thresholds=[SLOThreshold(target=99.0, timeframe=SLOTimeframe.SEVEN_DAYS)],
    )
    with typed(scene.local) as client:
        objectives = ServiceLevelObjectivesApi(client)
        slo = whole(objectives.create_slo(body=body)).data[0]
        window = {"from_ts": START_S, "to_ts": START_S + 120}
        history = whole(objectives.get_slo_history(slo.id, **window)).data
        assert history.overall.sli_value == 0.0
        assert history.overall.error_budget_remaining["7d"] == -9900.0
        found = whole(objectives.search_slo(query="Cool")).data.attributes.slos[0]
        assert found.data.attributes.status.state.value == "breached"


@pytest.mark.usefixtures("_old_client")
def test_the_old_client_sends_and_reads(scene: Scene) -> None:
    options = {"thresholds": {"critical": 1, "ok": 1}, "new_group_delay": 0}
    query = '"up".over("*").by("host").last(2).count_by_status()'
    told: dict[str, Any] = {"type": "service check", "name": "up", "message": "m"}
    made = api.Monitor.create(**told, query=query, options=options)
    api.ServiceCheck.check(check="up", host_name="a", status=2, timestamp=scene.at_s)
    scene.advance(60)
    read = api.Monitor.get(made["id"], group_states="all")
    assert read["overall_state"] == "Alert"
    assert read["state"]["groups"]["host:a"]["status"] == "Alert"
    (event,) = api.Event.query(start=START_S, end=START_S + 600, sources="alert")["events"]
    assert event["title"] == "[Triggered on {host:a}] up"


def test_what_dogstatsd_sent_in_the_minute_is_seen_by_its_round(scene: Scene) -> None:
    monitor = scene.monitor("sum(last_5m):sum:bark{*}.as_count() > 4")
    with DogStatsd(port=scene.local.dogstatsd_port, disable_telemetry=True) as client:
        for _ in range(5):
            client.increment("bark")
    wait_for(lambda: scene.local.state.received.counted("samples") == 5)
    scene.advance(60)
    assert scene.state(monitor) == "Alert"
