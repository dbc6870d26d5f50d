"""SLOs: burn rates and budgets as alerts, histories of counts, slices and monitors."""

from typing import Any

import pytest

from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.emulator.monitored import START_S, Scene


def slo(scene: Scene, kind: str = "metric", **more: Any) -> str:
    body: dict[str, Any] = {
        "type": kind,
        "name": "s",
        "thresholds": [{"timeframe": "7d", "target": 90.0, "warning": 95.0}],
    }
    if kind == "metric":
        query = {"numerator": "sum:good{*}.as_count()", "denominator": "sum:all{*}.as_count()"}
        body["query"] = query
    answer = ask(scene.local, "POST", "/api/v1/slo", body | more)
    assert answer.status == 200, answer.content
    return str(answer.json["data"][0]["id"])


def counted(scene: Scene, good: float, total: float) -> None:
    scene.points([good], name="good", kind=1)
    scene.points([total], name="all", kind=1)


def history(scene: Scene, slo_id: str, from_s: int, to_s: int, more: str = "") -> Any:
    path = f"/api/v1/slo/{slo_id}/history?from_ts={from_s}&to_ts={to_s}{more}"
    answer = ask(scene.local, "GET", path)
    assert answer.status == 200, answer.content
    return answer.json["data"]


def test_a_budget_alert_compares_what_is_gone(scene: Scene) -> None:
    # of 100 ten may be bad
    query = f'error_budget("{slo(scene)}").over("7d") > 75'
    monitor = scene.monitor(query, "slo alert")
    counted(scene, 93, 100)  # 7 of 10: 70 %
    scene.advance(60)
    assert scene.state(monitor) == "OK"
    counted(scene, 91, 100)  # 16 of 20: 80 %; looked at every half hour
    scene.advance(1_800)
    assert scene.state(monitor) == "Alert"


def test_a_burn_rate_must_be_reached_in_both_windows(scene: Scene) -> None:
    slo_id = slo(scene)
    query = f'burn_rate("{slo_id}").over("7d").long_window("1h").short_window("5m") > 4'
    monitor = scene.monitor(query, "slo alert")
    scene.points([40], name="good", kind=1, at_s=START_S - 1_800)
    scene.points([100], name="all", kind=1, at_s=START_S - 1_800)
    counted(scene, 10, 10)  # long: 60 of 110 bad, a rate of 5.45; short: none
    scene.advance(60)
    assert scene.state(monitor) == "OK"
    counted(scene, 0, 20)  # long 80 of 130: 6.15; short 20 of 30: 6.67
    scene.advance(60)
    assert scene.state(monitor) == "Alert"
    scene.advance(360)  # nothing in the short window any more
    assert scene.state(monitor) == "OK"


def test_the_history_of_counts(scene: Scene) -> None:
    slo_id = slo(scene)
    counted(scene, 95, 100)
    scene.advance(60)
    counted(scene, 97, 100)
    found = history(scene, slo_id, START_S - 600, START_S + 600, "&target=80")
    assert found["overall"]["sli_value"] == 96.0
    left = found["overall"]["error_budget_remaining"]
    assert left == {"7d": pytest.approx(60.0), "custom": pytest.approx(80.0)}
    series = found["series"]
    assert (series["numerator"]["sum"], series["denominator"]["sum"]) == (192.0, 200.0)
    assert len(series["times"]) == len(series["numerator"]["values"])


def test_what_a_correction_takes_out_does_not_count(scene: Scene) -> None:
    slo_id = slo(scene)
    counted(scene, 0, 100)
    scene.advance(600)
    counted(scene, 99, 100)
    assert history(scene, slo_id, START_S, START_S + 1_200)["overall"]["sli_value"] == 49.5
    attributes = {"slo_id": slo_id, "category": "Deployment", "start": START_S, "end": START_S + 60}
    body = {"data": {"type": "correction", "attributes": attributes}}
    assert ask(scene.local, "POST", "/api/v1/slo/correction", body).status == 200
    assert history(scene, slo_id, START_S, START_S + 1_200)["overall"]["sli_value"] == 99.0


def test_slices_are_good_where_the_condition_holds_or_nothing_is_known(scene: Scene) -> None:
    query = {
        "formulas": [{"formula": "a"}],
        "queries": [{"data_source": "metrics", "name": "a", "query": "avg:heat{*}"}],
    }
    told = {"comparator": "<", "threshold": 30, "query": query}
    slo_id = slo(scene, "time_slice", sli_specification={"time_slice": told})
    # slices of 300 s: 20, 40, none, 20
    for minute, value in ((0, 20.0), (5, 40.0), (15, 20.0)):
        scene.gauge(value, at_s=START_S - 1_200 + minute * 60)
    found = history(scene, slo_id, START_S - 1_200, START_S)
    assert found["overall"]["sli_value"] == 75.0


def uptime(scene: Scene) -> tuple[int, str]:
    """A monitor, ten minutes of which four were bad, and an SLO of it."""
    monitor = scene.monitor("avg(last_1m):avg:heat{*} > 30")
    for value in (10, 10, 40, 40, 40, 40, 10, 10, 10, 10, 10):
        scene.gauge(value)
        scene.advance(60)
    return monitor, slo(scene, "monitor", monitor_ids=[monitor])


def test_the_uptime_of_a_monitor_is_the_time_that_it_did_not_alert(scene: Scene) -> None:
    monitor, slo_id = uptime(scene)
    # known from minute 1 on, in alert from minute 3 to minute 7
    found = history(scene, slo_id, START_S, START_S + 660)
    assert found["overall"]["sli_value"] == pytest.approx(60.0)
    turns = [[START_S + 60, 0], [START_S + 180, 1], [START_S + 420, 0]]
    assert found["overall"]["history"] == turns
    (of_it,) = found["monitors"]
    assert (of_it["name"], of_it["history"]) == ("Too hot", turns)
    assert history(scene, slo_id, START_S, START_S + 120)["overall"]["sli_value"] == 100.0
    assert history(scene, slo_id, START_S - 600, START_S)["overall"]["sli_value"] is None
    assert scene.read(monitor)["overall_state"] == "OK"


def test_all_groups_must_be_up(scene: Scene) -> None:
    query = "avg(last_1m):avg:heat{*} by {host} > 30"
    monitor = scene.monitor(query, options={"new_group_delay": 0})
    for a, b in ((10, 10), (40, 10), (10, 40), (10, 10), (10, 10)):
        scene.gauge(a, "host:a")
        scene.gauge(b, "host:b")
        scene.advance(60)
    both = slo(scene, "monitor", monitor_ids=[monitor])
    one = slo(scene, "monitor", name="a", monitor_ids=[monitor], groups=["host:a"])
    window = START_S + 60, START_S + 300
    assert history(scene, both, *window)["overall"]["sli_value"] == pytest.approx(50.0)
    assert history(scene, one, *window)["overall"]["sli_value"] == pytest.approx(75.0)


def test_a_search_and_a_status_tell_how_an_slo_stands(scene: Scene) -> None:
    slo_id = slo(scene)
    counted(scene, 92, 100)
    scene.advance(60)
    found = ask(scene.local, "GET", "/api/v1/slo/search?query=s").json
    told = found["data"]["attributes"]["slos"][0]["data"]["attributes"]
    assert (told["status"]["sli"], told["status"]["state"]) == (92.0, "warning")
    (overall,) = told["overall_status"]
    assert overall["error_budget_remaining"] == pytest.approx(20.0)
    assert overall["raw_error_budget_remaining"] == {"unit": "events", "value": pytest.approx(2.0)}
    path = f"/api/v2/slo/{slo_id}/status?from_ts={START_S}&to_ts={START_S + 60}"
    status = ask(scene.local, "GET", path).json["data"]["attributes"]
    assert (status["sli"], status["state"]) == (92.0, "warning")
