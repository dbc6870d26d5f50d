"""What a monitor is in where nothing comes any more."""

from typing import Any

import pytest

from pettwin_pipeline_tests.emulator.monitored import Scene

HOT = "avg(last_5m):avg:heat{*} > 30"


def silent_after(scene: Scene, value: float, query: str = HOT, **options: Any) -> int:
    """A monitor with one point, whose state has been found."""
    monitor = scene.monitor(query, options=options)
    scene.gauge(value)
    scene.advance(60)
    return monitor


def test_the_last_state_stays_by_default(scene: Scene) -> None:
    monitor = silent_after(scene, 40)
    scene.advance(3_600)
    assert scene.state(monitor) == "Alert"


def test_no_data_is_told_after_its_timeframe(scene: Scene) -> None:
    monitor = silent_after(scene, 20, notify_no_data=True, no_data_timeframe=10)
    # the point is in the window of minutes 1 to 5: ten minutes after the last of them
    scene.advance(13 * 60)
    assert scene.state(monitor) == "OK"
    scene.advance(60)
    assert scene.state(monitor) == "No Data"
    scene.gauge(20)
    scene.advance(60)
    assert scene.state(monitor) == "OK"
    assert scene.told() == []  # nobody is named in the message
    assert scene.titles() == ["[No Data] Too hot", "[Recovered] Too hot"]


@pytest.mark.parametrize(
    ("choice", "state", "titles"),
    [
        ("show_no_data", "No Data", ["[Triggered] Too hot", "[No Data] Too hot"]),
        ("show_and_notify_no_data", "No Data", ["[Triggered] Too hot", "[No Data] Too hot"]),
        ("resolve", "OK", ["[Triggered] Too hot", "[Recovered] Too hot"]),
        ("default", "Alert", ["[Triggered] Too hot"]),
    ],
)
def test_what_is_chosen_for_missing_data_looks_at_the_window(
    scene: Scene, choice: str, state: str, titles: list[str]
) -> None:
    monitor = silent_after(scene, 40, on_missing_data=choice)
    scene.advance(4 * 60)  # minute 5 still sees it
    assert scene.state(monitor) == "Alert"
    scene.advance(60)
    assert scene.state(monitor) == state
    assert scene.titles() == titles


def test_showing_no_data_tells_nobody_and_notifying_does(scene: Scene) -> None:
    options = {"thresholds": {"critical": 30}}
    for choice in ("show_no_data", "show_and_notify_no_data"):
        told = {**options, "on_missing_data": choice}
        scene.monitor(HOT, name=choice, message=f"@slack-{choice}", options=told)
    scene.gauge(20)
    scene.advance(600)
    assert scene.told() == ["[No Data] show_and_notify_no_data"]


def test_what_counts_is_zero_where_nothing_comes(scene: Scene) -> None:
    query = "sum(last_5m):sum:bad{*}.as_count() > 3"
    monitor = scene.monitor(query)
    scene.points([5], name="bad", kind=1)
    scene.advance(60)
    assert scene.state(monitor) == "Alert"
    scene.advance(300)
    assert scene.state(monitor) == "OK"


def test_a_timeout_resolves_while_data_is_missing_alone(scene: Scene) -> None:
    monitor = silent_after(scene, 40, timeout_h=1)
    scene.advance(4 * 60 + 59 * 60)
    assert scene.state(monitor) == "Alert"
    scene.advance(60)
    assert scene.state(monitor) == "OK"


def test_a_timeout_does_not_end_an_alert_that_has_data(scene: Scene) -> None:
    monitor = silent_after(scene, 40, timeout_h=1)
    for _ in range(16):
        scene.advance(300)
        scene.gauge(40)
    scene.advance(60)
    assert scene.state(monitor) == "Alert"


def test_a_group_that_goes_silent_is_told_alone(scene: Scene) -> None:
    options = {"new_group_delay": 0, "notify_no_data": True, "no_data_timeframe": 10}
    monitor = scene.monitor("avg(last_5m):avg:heat{*} by {host} > 30", options=options)
    scene.gauge(20, "host:a")
    for _ in range(16):
        scene.gauge(20, "host:b")
        scene.advance(60)
    assert scene.groups(monitor) == {"host:a": "No Data", "host:b": "OK"}
    assert scene.state(monitor) == "No Data"
