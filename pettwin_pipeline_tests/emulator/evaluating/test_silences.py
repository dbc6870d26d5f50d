"""Downtimes and mutes keep people from being told; states and events go on. Telling again."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.emulator.monitored import Scene

NAMED = {"message": "m @slack-a"}
BY_HOST = "avg(last_1m):avg:heat{*} by {host} > 30"
AT_ONCE = {"new_group_delay": 0}


def watched(scene: Scene, **more: Any) -> int:
    """A monitor of the minute before, with somebody to tell."""
    return scene.monitor("avg(last_1m):avg:heat{*} > 30", **{**NAMED, **more})


def minute(scene: Scene, value: float, *tags: str) -> None:
    scene.gauge(value, *tags)
    scene.advance(60)


def downtime(scene: Scene, ends_in_s: int | None = None, **more: Any) -> str:
    """One of v2 that has begun."""
    attributes: dict[str, Any] = {"scope": "*", "monitor_identifier": {"monitor_tags": ["*"]}}
    if ends_in_s is not None:
        end = datetime.fromtimestamp(scene.at_s + ends_in_s, UTC)
        attributes["schedule"] = {"start": None, "end": end.isoformat()}
    body = {"data": {"type": "downtime", "attributes": {**attributes, **more}}}
    answer = ask(scene.local, "POST", "/api/v2/downtime", body)
    assert answer.status == 200, answer.content
    return str(answer.json["data"]["id"])


def test_states_and_events_go_on_under_a_downtime_and_nobody_is_told(scene: Scene) -> None:
    monitor = watched(scene)
    downtime(scene, monitor_identifier={"monitor_id": monitor})
    minute(scene, 40)
    assert scene.state(monitor) == "Alert"
    minute(scene, 10)
    assert scene.state(monitor) == "OK"
    assert scene.titles() == ["[Triggered] Too hot", "[Recovered] Too hot"]
    assert scene.told() == []


def test_the_first_recovery_of_an_alert_that_was_told_before_is_told(scene: Scene) -> None:
    watched(scene)
    minute(scene, 40)
    downtime(scene)
    minute(scene, 10)
    minute(scene, 40)
    minute(scene, 10)  # of an alert that nobody heard of
    assert scene.told() == ["[Triggered] Too hot", "[Recovered] Too hot"]


def test_a_downtime_may_mute_the_first_recovery_too(scene: Scene) -> None:
    watched(scene)
    minute(scene, 40)
    downtime(scene, mute_first_recovery_notification=True)
    minute(scene, 10)
    assert scene.told() == ["[Triggered] Too hot"]


def test_what_is_still_wrong_when_a_downtime_ends_is_told_then(scene: Scene) -> None:
    watched(scene)
    downtime(scene, ends_in_s=180)
    for _ in range(4):
        minute(scene, 40)
    assert scene.told() == ["[Triggered] Too hot"]
    assert [one["at"][11:16] for one in scene.outbox()] == ["18:03"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, []),  # as is usual, only where it expired
        ({"notify_end_types": ["canceled"]}, ["[Triggered] Too hot"]),
        ({"notify_end_types": ["canceled"], "notify_end_states": ["warn"]}, []),
    ],
)
def test_a_downtime_says_what_is_told_when_it_is_cancelled(
    scene: Scene, more: dict[str, Any], told: list[str]
) -> None:
    watched(scene)
    name = downtime(scene, **more)
    minute(scene, 40)
    assert ask(scene.local, "DELETE", f"/api/v2/downtime/{name}").status == 204
    minute(scene, 40)
    minute(scene, 40)
    assert scene.told() == told


def test_a_downtime_is_for_its_groups_alone(scene: Scene) -> None:
    scene.monitor(BY_HOST, options=AT_ONCE, **NAMED)
    downtime(scene, scope="host:a OR host:c")
    for host in "abc":
        scene.gauge(40, f"host:{host}")
    scene.advance(60)
    assert scene.told() == ["[Triggered on {host:b}] Too hot"]


def test_a_downtime_for_the_scope_of_a_query_is_for_its_monitor(scene: Scene) -> None:
    query = "avg(last_1m):avg:heat{env:prod} > 30"
    scene.monitor(query, **NAMED)
    scene.monitor(query.replace("prod", "dev"), name="Dev", **NAMED)
    downtime(scene, scope="env:prod")
    scene.gauge(40, "env:prod")
    scene.gauge(40, "env:dev")
    scene.advance(60)
    assert scene.told() == ["[Triggered] Dev"]


def test_a_downtime_of_v1_with_a_recurrence_holds_in_each_turn(scene: Scene) -> None:
    watched(scene)
    body = {"scope": "*", "start": scene.at_s, "end": scene.at_s + 600}
    body["recurrence"] = {"type": "days", "period": 1}
    assert ask(scene.local, "POST", "/api/v1/downtime", body).status == 200
    scene.advance(86_400)
    minute(scene, 40)
    assert scene.told() == []
    scene.advance(3_600)
    minute(scene, 10)
    minute(scene, 40)
    assert scene.told()[-1] == "[Triggered] Too hot"


def test_a_recurring_downtime_of_v2_holds_in_a_later_turn(scene: Scene) -> None:
    watched(scene)
    start = datetime.fromtimestamp(scene.at_s, UTC).replace(tzinfo=None).isoformat()
    once = {"duration": "10m", "rrule": "FREQ=DAILY;INTERVAL=1", "start": start}
    downtime(scene, schedule={"recurrences": [once], "timezone": "UTC"})
    scene.advance(2 * 86_400)
    minute(scene, 40)
    assert scene.told() == []


def test_a_mute_holds_until_its_end_for_its_scope(scene: Scene) -> None:
    monitor = scene.monitor(BY_HOST, options=AT_ONCE, **NAMED)
    path = f"/api/v1/monitor/{monitor}/mute?scope=host:a&end={scene.at_s + 180}"
    assert ask(scene.local, "POST", path).status == 200
    for _ in range(3):
        for host in "ab":
            scene.gauge(40, f"host:{host}")
        scene.advance(60)
    assert scene.told() == ["[Triggered on {host:b}] Too hot", "[Triggered on {host:a}] Too hot"]


def test_a_group_that_is_silenced_is_shown_so(scene: Scene) -> None:
    scene.monitor(BY_HOST, options=AT_ONCE, **NAMED)
    downtime(scene, scope="host:a")
    for host in "ab":
        scene.gauge(40, f"host:{host}")
    scene.advance(60)
    found = ask(scene.local, "GET", "/api/v1/monitor/groups/search").json
    shown = {one["group"]: (one["status"], one["muted"]) for one in found["groups"]}
    assert shown == {"host:a": ("Alert", True), "host:b": ("Alert", False)}
    assert found["counts"]["status"] == [{"count": 2, "name": "Alert"}]


def test_an_alert_that_stays_is_told_again_so_often(scene: Scene) -> None:
    options = {
        "renotify_interval": 10,
        "renotify_occurrences": 2,
        "escalation_message": "still {{value}} @slack-b",
    }
    watched(scene, options=options)
    for _ in range(60):
        minute(scene, 40)
    entries = scene.outbox()
    assert [one["title"] for one in entries] == [
        "[Triggered] Too hot",
        "[Re-Triggered] Too hot",
        "[Re-Triggered] Too hot",
    ]
    assert [one["at"][11:16] for one in entries] == ["18:01", "18:11", "18:21"]
    assert [one["handle"] for one in entries] == ["slack-a", "slack-b", "slack-b"]
    assert entries[1]["text"] == "still 40 @slack-b"


def test_telling_again_ends_after_thirty_hours(scene: Scene) -> None:
    watched(scene, options={"renotify_interval": 600})
    minute(scene, 40)
    scene.advance(60 * 3_600)  # silent, and so in alert still
    assert [one["at"][8:16] for one in scene.outbox()] == ["17T18:01", "18T04:01", "18T14:01",
                                                           "19T00:01"]  # fmt: skip
