"""The `datadog` library drives every resource that it knows."""

from collections.abc import Iterator
from typing import Any

import datadog
import pytest
from datadog import api

from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.asking import ask

QUERY = "avg(last_5m):avg:system.load.1{*} > 4"
WIDGET = {"definition": {"type": "note", "content": "hello"}}


@pytest.fixture(autouse=True)
def _initialized(local: LocalDatadog) -> Iterator[None]:
    datadog.initialize(api_key="any", app_key="any", api_host=local.address)
    yield
    api._api_host = api._api_key = api._application_key = None


def monitor(name: str = "load", query: str = QUERY) -> dict[str, Any]:
    made: dict[str, Any] = api.Monitor.create(type="metric alert", query=query, name=name)
    return made


def test_monitors_are_made_changed_muted_and_deleted() -> None:
    assert api.Monitor.validate(type="metric alert", query=QUERY) == {}
    made = monitor()
    assert api.Monitor.get(made["id"])["name"] == "load"
    assert api.Monitor.update(made["id"], query=QUERY, name="new")["name"] == "new"
    assert [one["id"] for one in api.Monitor.get_all(name="ne")] == [made["id"]]
    assert api.Monitor.search(query="new")["metadata"]["total_count"] == 1
    assert api.Monitor.search_groups()["metadata"]["total_count"] == 1
    assert api.Monitor.mute(made["id"], scope="env:a")["options"]["silenced"] == {"env:a": None}
    assert api.Monitor.unmute(made["id"])["options"]["silenced"] == {}
    assert api.Monitor.mute_all()["active"] is True
    assert api.Monitor.search(query="muted:true")["metadata"]["total_count"] == 0
    api.Monitor.unmute_all()
    assert api.Monitor.can_delete(monitor_ids=[made["id"]])["data"] == {"ok": [made["id"]]}
    assert api.Monitor.delete(made["id"]) == {"deleted_monitor_id": made["id"]}


def test_dashboards_and_lists_of_them() -> None:
    made = api.Dashboard.create(title="one", widgets=[WIDGET], layout_type="ordered")
    assert api.Dashboard.get(made["id"]) == made
    api.Dashboard.update(made["id"], title="two", widgets=[WIDGET], layout_type="ordered")
    assert [one["title"] for one in api.Dashboard.get_all()["dashboards"]] == ["two"]
    own = api.DashboardList.create(name="mine")
    item = {"type": "custom_timeboard", "id": made["id"]}
    assert api.DashboardList.v2.add_items(own["id"], dashboards=[item]) == {
        "added_dashboards_to_list": [item]
    }
    assert api.DashboardList.v2.get_items(own["id"])["total"] == 1
    assert api.DashboardList.v2.update_items(own["id"], dashboards=[])["dashboards"] == []
    api.DashboardList.v2.delete_items(own["id"], dashboards=[item])
    assert api.DashboardList.update(own["id"], name="ours")["name"] == "ours"
    assert len(api.DashboardList.get_all()["dashboard_lists"]) == 1
    api.DashboardList.delete(own["id"])
    assert api.Dashboard.delete(made["id"]) == {"deleted_dashboard_id": made["id"]}


def test_slos_are_made_found_and_deleted() -> None:
    # Its bulk_delete and delete_many wrap the body once too often: no server can take them.
    told = {
        "type": "metric",
        "name": "good",
        "query": {"numerator": "sum:good{*}.as_count()", "denominator": "sum:all{*}.as_count()"},
        "thresholds": [{"timeframe": "7d", "target": 99.0}, {"timeframe": "30d", "target": 98.0}],
    }
    (made,) = api.ServiceLevelObjective.create(**told)["data"]
    assert api.ServiceLevelObjective.get(made["id"])["data"]["name"] == "good"
    api.ServiceLevelObjective.update(made["id"], **told, tags=["a:b"])
    found = api.ServiceLevelObjective.get_all(ids=[made["id"]], limit=5)["data"]
    assert [one["tags"] for one in found] == [["a:b"]]
    assert api.ServiceLevelObjective.can_delete(ids=[made["id"]])["data"]["ok"] == [made["id"]]
    assert api.ServiceLevelObjective.delete(made["id"])["data"] == [made["id"]]


def test_downtimes_are_made_and_cancelled_by_their_scope() -> None:
    made = api.Downtime.create(scope="env:prod")
    assert made["scope"] == ["env:prod"]
    assert [one["id"] for one in api.Downtime.get_all(current_only=True)] == [made["id"]]
    assert api.Downtime.update(made["id"], scope="env:prod", message="m")["message"] == "m"
    assert api.Downtime.cancel_downtime_by_scope(scope="env:prod") == {
        "cancelled_ids": [made["id"]]
    }
    assert api.Downtime.get(made["id"])["active"] is False
    api.Downtime.delete(made["id"])


def test_events_metrics_and_checks_are_taken() -> None:
    assert api.Event.create(title="t", text="x", tags=["a:b"])["status"] == "ok"
    (event,) = api.Event.query(start=0, end=2**33, tags=["a:b"])["events"]
    assert api.Event.get(event["id_str"])["event"]["title"] == "t"
    assert api.Metric.send(metric="a.b", points=3, host="h", type="gauge") == {"status": "ok"}
    assert api.Distribution.send(distributions=[{"metric": "d", "points": [(1, [1.0, 2.0])]}])
    assert api.Metric.list(0)["metrics"] == ["a.b", "d"]
    assert api.Metric.query(start=1, end=2, query="avg:a.b{*}")["status"] == "ok"
    assert api.ServiceCheck.check(check="app.ok", host_name="h", status=0) == {"status": "ok"}


def test_a_refusal_is_told_in_datadogs_words() -> None:
    assert api.Monitor.get(1) == {"errors": ["Monitor not found"]}
    first = monitor()
    answer = api.Monitor.create(type="metric alert", query=QUERY, name="load")
    assert answer["errors"] == [f"Duplicate of an existing monitor_id:{first['id']} org_id:1"]


def test_the_key_is_never_kept(local: LocalDatadog) -> None:
    datadog.initialize(api_key="hush-hush", app_key="hush-too", api_host=local.address)
    monitor()
    kept = ask(local, "GET", "/_local/requests").content
    assert b"/api/v1/monitor" in kept
    assert b"hush" not in kept
