"""Metric monitors through the server: conditions, recovery, groups, cadence, edits."""

from typing import Any

import pytest

from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.emulator.monitored import START_S, Scene

HOT = "avg(last_5m):avg:heat{*} > 30"
BY_HOST = "avg(last_5m):avg:heat{*} by {host} > 30"
AT_ONCE = {"new_group_delay": 0}


def test_a_fresh_monitor_has_no_data_and_stays_so_without_any(scene: Scene) -> None:
    monitor = scene.monitor(HOT)
    scene.advance(600)
    assert scene.state(monitor) == "No Data"
    assert scene.groups(monitor) == {}
    assert scene.titles() == []


def test_the_window_is_averaged_and_compared(scene: Scene) -> None:
    monitor = scene.monitor(HOT)
    scene.points([20, 20, 60, 60])  # their mean is 40
    scene.advance(60)
    assert scene.state(monitor) == "Alert"
    scene.advance(180)  # 60 and 60 are left of the window
    assert scene.state(monitor) == "Alert"
    scene.points([0, 0, 0])  # and 60 of a minute that is still in it: (60 + 0 + 0 + 0) / 4
    scene.advance(60)
    assert scene.state(monitor) == "OK"
    assert scene.titles() == ["[Triggered] Too hot", "[Recovered] Too hot"]


def test_a_value_at_the_threshold_is_no_alert_of_a_strict_comparison(scene: Scene) -> None:
    strict = scene.monitor(HOT, name="strict")
    at_least = scene.monitor(HOT.replace(">", ">="), name="at least")
    scene.gauge(30)
    scene.advance(60)
    assert (scene.state(strict), scene.state(at_least)) == ("OK", "Alert")


@pytest.mark.parametrize(
    ("aggregator", "comparison", "state"),
    [
        ("max", "> 30", "Alert"),  # any of it
        ("min", "> 30", "OK"),  # all of it
        ("max", "< 30", "OK"),
        ("min", "< 30", "Alert"),
        ("sum", "> 69", "Alert"),  # 10 + 60
        ("sum", "> 70", "OK"),
    ],
)
def test_max_and_min_mean_any_and_all(
    scene: Scene, aggregator: str, comparison: str, state: str
) -> None:
    monitor = scene.monitor(f"{aggregator}(last_5m):avg:heat{{*}} {comparison}")
    scene.points([10, 60])
    scene.advance(60)
    assert scene.state(monitor) == state


def test_a_recovery_threshold_holds_an_alert_until_it_is_reached(scene: Scene) -> None:
    options = {"thresholds": {"critical": 30, "critical_recovery": 25}}
    monitor = scene.monitor("avg(last_1m):avg:heat{*} > 30", options=options)
    seen = []
    for value in (31, 28, 26, 25, 28):
        scene.gauge(value)
        scene.advance(60)
        seen.append(scene.state(monitor))
    assert seen == ["Alert", "Alert", "Alert", "OK", "OK"]


def test_a_warning_lies_between(scene: Scene) -> None:
    options = {"thresholds": {"critical": 30, "warning": 20}}
    monitor = scene.monitor("avg(last_1m):avg:heat{*} > 30", options=options, priority=2)
    for value in (25, 35, 25, 10):
        scene.gauge(value)
        scene.advance(60)
    assert scene.state(monitor) == "OK"
    assert scene.titles() == [
        "[P2] [Warn] Too hot",
        "[P2] [Triggered] Too hot",
        "[P2] [Warn] Too hot",
        "[P2] [Recovered] Too hot",
    ]


def test_each_group_has_a_state_and_the_worst_is_the_monitors(scene: Scene) -> None:
    monitor = scene.monitor(BY_HOST, options=AT_ONCE)
    scene.gauge(40, "host:a")
    scene.gauge(20, "host:b")
    scene.gauge(50, "room:3")  # a series without the tag is not seen
    scene.advance(60)
    assert scene.groups(monitor) == {"host:a": "Alert", "host:b": "OK"}
    assert scene.state(monitor) == "Alert"
    assert scene.titles() == ["[Triggered on {host:a}] Too hot"]


def test_groups_can_be_asked_by_their_state(scene: Scene) -> None:
    monitor = scene.monitor(BY_HOST, options=AT_ONCE)
    scene.gauge(40, "host:a")
    scene.gauge(20, "host:b")
    scene.advance(60)
    path = f"/api/v1/monitor/{monitor}?group_states=alert,warn"
    groups = ask(scene.local, "GET", path).json["state"]["groups"]
    assert groups == {
        "host:a": {
            "name": "host:a",
            "status": "Alert",
            "last_triggered_ts": START_S + 60,
            "last_notified_ts": START_S + 60,
        }
    }


def test_a_new_group_is_given_a_minute_before_it_may_alert(scene: Scene) -> None:
    monitor = scene.monitor(BY_HOST)
    scene.gauge(40, "host:a")
    scene.advance(60)
    assert scene.groups(monitor) == {"host:a": "OK"}
    scene.advance(60)
    assert scene.groups(monitor) == {"host:a": "Alert"}


def test_an_evaluation_delay_moves_the_window_back(scene: Scene) -> None:
    monitor = scene.monitor("avg(last_1m):avg:heat{*} > 30", options={"evaluation_delay": 120})
    scene.gauge(40)  # at minute 0: looked at in minute 3, which sees 0 to 1
    seen = []
    for _ in range(4):
        scene.advance(60)
        seen.append(scene.state(monitor))
    assert seen == ["No Data", "No Data", "Alert", "Alert"]


def test_a_window_that_must_be_full_is_not_looked_at_before(scene: Scene) -> None:
    options = {"require_full_window": True}
    monitor = scene.monitor("avg(last_10m):avg:heat{*} > 30", options=options)
    scene.points([50] * 5)  # of ten minutes five are empty, the first among them
    scene.advance(60)
    assert scene.state(monitor) == "OK"
    scene.points([50] * 10)
    scene.advance(60)
    assert scene.state(monitor) == "Alert"


@pytest.mark.parametrize(
    ("query", "value", "state"),
    [
        ("change(avg(last_1m),last_5m):avg:heat{*} > 10", 31.0, "Alert"),  # 31 - 20
        ("change(avg(last_1m),last_5m):avg:heat{*} > 10", 30.0, "OK"),
        ("pct_change(avg(last_1m),5m_ago):avg:heat{*} > 50", 31.0, "Alert"),  # 11 of 20: 55 %
        ("pct_change(avg(last_1m),5m_ago):avg:heat{*} > 50", 30.0, "OK"),
    ],
)
def test_a_change_is_against_a_time_ago(scene: Scene, query: str, value: float, state: str) -> None:
    monitor = scene.monitor(query)
    scene.gauge(20, at_s=START_S - 300)
    scene.gauge(value)
    scene.advance(60)
    assert scene.state(monitor) == state


def test_counts_are_summed_before_they_are_divided(scene: Scene) -> None:
    ratio = "sum:bad{*}.as_count() / sum:all{*}.as_count()"
    monitor = scene.monitor(f"sum(last_5m):{ratio} > 0.15")
    # by minute 1/2 and 0/8: the mean of the ratios is 0.25, that of all is 0.1
    scene.points([1, 0], name="bad", kind=1)
    scene.points([2, 8], name="all", kind=1)
    scene.advance(60)
    assert scene.state(monitor) == "OK"
    scene.points([2], name="bad", kind=1)  # 3 of 15
    scene.points([5], name="all", kind=1)
    scene.advance(60)
    assert scene.state(monitor) == "Alert"


def evaluations(scene: Scene) -> int:
    return int(ask(scene.local, "GET", "/_local/evaluation").json["evaluations"])


@pytest.mark.parametrize(
    ("window", "in_an_hour"), [("last_5m", 60), ("last_4h", 60), ("last_1d", 6), ("last_2d", 2)]
)
def test_longer_windows_are_evaluated_less_often(
    scene: Scene, window: str, in_an_hour: int
) -> None:
    scene.monitor(f"avg({window}):avg:heat{{*}} > 30")
    scene.advance(60)  # a new one at once
    before = evaluations(scene)
    scene.advance(3_600)
    assert evaluations(scene) - before == in_an_hour


def test_what_is_asked_anew_is_evaluated_in_the_next_minute(scene: Scene) -> None:
    monitor = scene.monitor("avg(last_2d):avg:heat{*} > 30")
    scene.gauge(20)
    scene.advance(60)
    assert scene.state(monitor) == "OK"
    edited = {"query": "avg(last_2d):avg:heat{*} > 10", "options": {"thresholds": {"critical": 10}}}
    assert ask(scene.local, "PUT", f"/api/v1/monitor/{monitor}", edited).status == 200
    scene.advance(60)
    assert scene.state(monitor) == "Alert"


def edit(scene: Scene, monitor: int, **told: Any) -> None:
    answer = ask(scene.local, "PUT", f"/api/v1/monitor/{monitor}", told)
    assert answer.status == 200, answer.content


def test_a_monitor_that_groups_by_something_else_begins_anew(scene: Scene) -> None:
    monitor = scene.monitor(BY_HOST, options=AT_ONCE)
    scene.gauge(40, "host:a", "room:3")
    scene.advance(60)
    edit(scene, monitor, query=BY_HOST.replace("host", "room"))
    scene.advance(60)
    assert scene.groups(monitor) == {"room:3": "Alert"}


def test_a_deleted_monitor_says_nothing_more_and_its_state_is_gone(scene: Scene) -> None:
    monitor = scene.monitor(HOT)
    scene.gauge(40)
    scene.advance(60)
    assert ask(scene.local, "DELETE", f"/api/v1/monitor/{monitor}").status == 200
    scene.advance(600)
    assert scene.titles() == ["[Triggered] Too hot"]
    assert scene.local.state.monitor_states.get(monitor) is None
    assert scene.local.state.monitor_states.changes(monitor, scene.at_s) == []


def test_two_monitors_that_differ_in_their_name_alone_both_alert(scene: Scene) -> None:
    scene.monitor(HOT, name="one")
    scene.monitor(HOT, name="two")
    body = {"type": "query alert", "query": HOT, "name": "two", "message": "m"}
    assert (
        "Duplicate of an existing monitor_id"
        in (ask(scene.local, "POST", "/api/v1/monitor", body).errors[0])
    )
    scene.gauge(40)
    scene.advance(60)
    assert sorted(scene.titles()) == ["[Triggered] one", "[Triggered] two"]


def test_groups_are_dropped_a_day_after_their_last_data(scene: Scene) -> None:
    monitor = scene.monitor(BY_HOST, options=AT_ONCE)
    scene.gauge(20, "host:a")
    scene.advance(60)
    scene.gauge(20, "host:b", at_s=scene.at_s)
    scene.advance(86_400 - 360)
    assert set(scene.groups(monitor)) == {"host:a", "host:b"}
    scene.advance(660)
    assert scene.groups(monitor) == {}
    assert scene.state(monitor) == "No Data"


def test_an_anomaly_is_a_share_of_points_outside_the_band(scene: Scene) -> None:
    query = (
        "avg(last_1h):anomalies(avg:heat{*}, 'basic', 2, direction='both', "
        "alert_window='last_15m', interval=60, count_default_zero='true') >= 1"
    )
    options = {"threshold_windows": {"trigger_window": "last_15m", "recovery_window": "last_15m"}}
    monitor = scene.monitor(query, options=options)
    scene.points([20.0 + place % 2 for place in range(60)])  # steady
    scene.advance(60)
    assert scene.state(monitor) == "OK"
    for _ in range(15):
        scene.gauge(500)
        scene.advance(60)
    assert scene.state(monitor) == "Alert"


def test_an_outlier_is_the_group_that_is_unlike_the_others(scene: Scene) -> None:
    query = "avg(last_30m):outliers(avg:heat{*} by {host}, 'dbscan', 2) > 0"
    monitor = scene.monitor(query, options=AT_ONCE)
    for host, value in (("a", 20.0), ("b", 20.5), ("c", 19.5), ("d", 90.0)):
        scene.points([value] * 30, f"host:{host}")
    scene.advance(60)
    assert scene.groups(monitor)["host:d"] == "Alert"
    assert {scene.groups(monitor)[f"host:{one}"] for one in "abc"} == {"OK"}


def test_a_forecast_tells_before_it_comes(scene: Scene) -> None:
    query = "max(next_1h):forecast(avg:heat{*}, 'linear', 1, interval='5m', history='1h') >= 90"
    monitor = scene.monitor(query)
    # an hour of 0 to 59, one more a minute: 119 in an hour
    scene.points([float(place) for place in range(60)])
    scene.advance(60)
    assert scene.state(monitor) == "Alert"
