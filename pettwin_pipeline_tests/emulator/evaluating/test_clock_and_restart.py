"""Rounds follow the clock, forward and back; states outlive the process; a reset forgets all."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pettwin_pipeline.emulator.server import LocalDatadog, running_local_datadog
from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.emulator.monitored import START_S, Scene
from pettwin_pipeline_tests.stack.programs import wait_for

HOT = "avg(last_1m):avg:heat{*} > 30"
BY_HOST = "avg(last_1m):avg:heat{*} by {host} > 30"


def times(scene: Scene) -> list[str]:
    """When each event was, in order."""
    return [one["attributes"]["timestamp"][11:16] for one in scene.events()]


def test_an_advance_evaluates_every_minute_between_in_order(scene: Scene) -> None:
    scene.monitor(HOT)
    ahead = [40.0, 10.0, 40.0, 40.0, 10.0]
    scene.points(ahead, at_s=START_S + 4 * 60)
    scene.advance(300)
    assert times(scene) == ["18:01", "18:02", "18:03", "18:05"]
    assert scene.titles() == ["[Triggered] Too hot", "[Recovered] Too hot"] * 2


def test_an_advance_answers_once_all_is_evaluated(scene: Scene) -> None:
    scene.monitor(HOT)
    told = scene.clock(advance_s=3_605)
    assert told["now"] == "2030-03-17T19:00:05.000000+00:00"
    assert told["evaluated_to"] == "2030-03-17T19:00:00.000000+00:00"


def test_others_are_answered_while_an_advance_is_evaluated(scene: Scene) -> None:
    for number in range(20):
        scene.monitor(HOT, name=str(number))
    thread = threading.Thread(target=lambda: scene.clock(advance_s=86_400))
    thread.start()
    answered = 0
    while thread.is_alive():
        assert ask(scene.local, "GET", "/_local/health").status == 200
        answered += 1
    thread.join()
    assert answered > 1


def test_less_than_a_minute_is_no_round_until_it_is_full(scene: Scene) -> None:
    monitor = scene.monitor(HOT)
    scene.gauge(40)
    scene.advance(59)
    assert scene.state(monitor) == "No Data"
    scene.advance(1)
    assert scene.state(monitor) == "Alert"


def test_a_clock_that_is_set_forward_is_evaluated_once(scene: Scene) -> None:
    options = {"notify_no_data": True, "no_data_timeframe": 10}
    monitor = scene.monitor(HOT, options=options)
    scene.gauge(20)
    scene.advance(60)
    rounds = ask(scene.local, "GET", "/_local/evaluation").json["rounds"]
    scene.clock(at=START_S + 3_600)
    assert ask(scene.local, "GET", "/_local/evaluation").json["rounds"] == rounds + 1
    assert scene.state(monitor) == "No Data"


def test_a_clock_that_is_set_back_goes_on_from_there(scene: Scene) -> None:
    options = {"renotify_interval": 10}
    monitor = scene.monitor(HOT, message="@slack-a", options=options)
    scene.gauge(40)
    scene.advance(60)
    scene.clock(at=START_S - 86_400)  # a day back: nothing waits until that day is over
    scene.at_s = START_S - 86_400
    scene.gauge(40)
    scene.advance(660)
    scene.gauge(10)
    scene.advance(60)
    assert scene.state(monitor) == "OK"
    assert [one["title"] for one in scene.outbox()] == [
        "[Triggered] Too hot",
        "[Re-Triggered] Too hot",
        "[Recovered] Too hot",
    ]


def test_a_clock_that_goes_back_to_the_machines_is_evaluated_on(scene: Scene) -> None:
    monitor = scene.monitor(HOT)
    scene.gauge(40)
    scene.advance(60)
    answer = ask(scene.local, "DELETE", "/_local/clock")
    assert answer.status == 200
    assert answer.json["evaluated_to"] <= answer.json["now"]
    assert scene.state(monitor) == "Alert"


def test_an_advance_of_years_is_a_jump(scene: Scene) -> None:
    scene.monitor(HOT)
    scene.advance(5 * 365 * 86_400)
    assert ask(scene.local, "GET", "/_local/evaluation").json["evaluations"] == 1


def test_a_clock_that_runs_is_evaluated_by_itself(local: LocalDatadog) -> None:
    scene = Scene(local, START_S + 59)
    monitor = scene.monitor(HOT)
    scene.gauge(40)
    scene.clock(at=START_S + 59.5, stand=False)
    wait_for(lambda: scene.state(monitor) == "Alert")


def test_states_outlive_the_process(tmp_path: Path) -> None:
    file, hour_s = tmp_path / "datadog.sqlite", int(time.time()) // 3_600 * 3_600 - 3_600
    with running_local_datadog(path=file, seed=7) as first:
        scene = Scene(first, hour_s)
        options = {"new_group_delay": 0}
        monitor = scene.monitor(BY_HOST, message="@slack-a", options=options)
        scene.gauge(40, "host:a,b")
        scene.gauge(20, "host:c")
        scene.advance(60)
        before = scene.read(monitor)
    with running_local_datadog(path=file, seed=8) as second:
        scene = Scene(second, hour_s + 60)
        assert scene.read(monitor) == before
        scene.gauge(10, "host:a,b")
        scene.advance(60)
        # what was told before the restart is known still: its end is told, once
        assert scene.told() == ["[Triggered on {host:a_b}] Too hot",
                                "[Recovered on {host:a_b}] Too hot"]  # fmt: skip


def test_a_state_that_was_found_on_a_clock_ahead_does_not_wait_for_it(tmp_path: Path) -> None:
    file = tmp_path / "datadog.sqlite"
    with running_local_datadog(path=file, seed=7) as first:
        scene = Scene(first)
        monitor = scene.monitor(HOT)
        scene.gauge(40)
        scene.advance(60)
    with running_local_datadog(path=file, seed=8) as second:  # by the machine's clock, years before
        record = second.state.monitor_states.get(monitor)
        assert record is not None
        assert record.evaluated_s <= second.state.clock.now_s()
        assert record.groups[()].state.since_s <= second.state.clock.now_s()


def test_a_reset_forgets_states_and_outbox(scene: Scene) -> None:
    monitor = scene.monitor(HOT, message="@slack-a")
    scene.gauge(40)
    scene.advance(60)
    assert ask(scene.local, "POST", "/_local/reset").status == 204
    assert scene.outbox() == []
    assert scene.local.state.monitor_states.get(monitor) is None
    scene.clock(at=START_S, stand=True)
    scene.at_s = START_S
    again = scene.monitor(HOT, message="@slack-a")
    scene.advance(120)
    assert scene.state(again) == "No Data"
    assert scene.titles() == []


@pytest.mark.parametrize("what", [("PUT", {"at": START_S}), ("DELETE", None)])
def test_a_clock_that_is_set_ends_an_advance_that_takes_long(
    scene: Scene, what: tuple[str, Any]
) -> None:
    for number in range(30):
        scene.monitor(HOT, name=str(number))
    thread = threading.Thread(target=lambda: scene.clock(advance_s=31 * 86_400))
    thread.start()
    wait_for(lambda: scene.local.state.schedule.evaluated_to_s > START_S + 300)
    method, told = what
    assert ask(scene.local, method, "/_local/clock", told).status == 200
    thread.join()
    assert scene.local.state.schedule.evaluated_to_s < START_S + 31 * 86_400


def test_a_reset_ends_an_advance_that_takes_long(scene: Scene) -> None:
    for number in range(30):
        scene.monitor(HOT, name=str(number))
    thread = threading.Thread(target=lambda: scene.clock(advance_s=31 * 86_400))
    thread.start()
    wait_for(lambda: scene.local.state.schedule.evaluated_to_s > START_S + 300)
    assert ask(scene.local, "POST", "/_local/reset").status == 204
    thread.join()
    again = scene.monitor(HOT)
    assert scene.state(again) == "No Data"


def test_a_monitor_that_cannot_be_evaluated_stops_no_other(scene: Scene) -> None:
    good = scene.monitor(HOT)
    # an SLO that is gone: nothing to evaluate, and no failure
    body: dict[str, Any] = {
        "type": "metric",
        "name": "s",
        "query": {"numerator": "sum:a{*}.as_count()", "denominator": "sum:b{*}.as_count()"},
        "thresholds": [{"timeframe": "7d", "target": 99}],
    }
    slo = ask(scene.local, "POST", "/api/v1/slo", body).json["data"][0]["id"]
    query = f'error_budget("{slo}").over("7d") > 75'
    bad = scene.monitor(query, "slo alert", name="Budget")
    assert ask(scene.local, "DELETE", f"/api/v1/slo/{slo}?force=true").status == 200
    variable = {"data_source": "logs", "name": "a", "compute": {"aggregation": "count"}}
    formula = {"variables": [variable]}
    broken = scene.monitor('formula("a / b").last("5m") > 1', "log alert", options=formula)
    scene.gauge(40)
    scene.advance(60)
    assert (scene.state(good), scene.state(bad)) == ("Alert", "No Data")
    problems = ask(scene.local, "GET", "/_local/evaluation").json["not_evaluated"]
    assert [one["monitor_id"] for one in problems] == [broken]
