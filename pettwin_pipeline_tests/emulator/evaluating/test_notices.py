"""What is told: events, entries of the outbox, who is meant."""

from typing import Any

import pytest

from pettwin_pipeline.emulator.evaluating.notifying import kind_of
from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.emulator.monitored import START_S, Scene

HOT = "avg(last_1m):avg:heat{*} > 30"
BY_HOST = "avg(last_1m):avg:heat{*} by {host,room} > 30"


def alert(scene: Scene, query: str = HOT, *tags: str, **more: Any) -> int:
    monitor = scene.monitor(query, **more)
    scene.gauge(40, *tags)
    scene.advance(60)
    return monitor


def test_a_message_has_its_variables_and_blocks(scene: Scene) -> None:
    message = (
        "{{#is_alert}}{{value}} {{{comparator}}} {{threshold}} in {{room.name}}{{/is_alert}}"
        "{{#is_recovery}}after {{triggered_duration_sec}} s{{/is_recovery}} @slack-a"
    )
    alert(scene, BY_HOST, "host:a", "room:x", message=message, options={"new_group_delay": 0})
    scene.advance(60)
    scene.gauge(10, "host:a", "room:x")
    scene.advance(60)
    assert [one["text"] for one in scene.outbox()] == [
        "40 > 30 in x @slack-a",
        "after 120 s @slack-a",
    ]


def test_variables_are_escaped_with_two_braces_and_raw_with_three(scene: Scene) -> None:
    query = '"up".over("*").by("host").last(2).count_by_status()'
    message = "{{check_message}} {{{check_message}}} @slack-a"
    options = {"thresholds": {"critical": 1}, "new_group_delay": 0}
    scene.monitor(query, "service check", name="<b>&", message=message, options=options)
    scene.check(2, "host:a", message="<i>&")
    scene.advance(60)
    (entry,) = scene.outbox()
    assert entry["title"] == "[Triggered on {host:a}] <b>&"
    assert entry["text"] == "&lt;i&gt;&amp; <i>& @slack-a"


def test_every_handle_is_an_entry_of_its_kind(scene: Scene) -> None:
    handles = "@slack-ops @pagerduty-night @vet@example.org @all @webhook-none @nobody"
    alert(scene, message=f"m {handles} @slack-ops")
    shown = {one["handle"]: (one["kind"], one["status"]) for one in scene.outbox(kind="slack")}
    assert shown == {"slack-ops": ("slack", "kept")}
    kinds = [one["kind"] for one in scene.outbox()]
    assert kinds == ["slack", "pagerduty", "email", "all", "webhook", "other"]


@pytest.mark.parametrize(
    ("handle", "kind"),
    [
        ("slack-team-ops", "slack"),
        ("opsgenie-x", "opsgenie"),
        ("teams-y", "teams"),
        ("a@b.org", "email"),
        ("here", "all"),
        ("webhook-x", "webhook"),
        ("somebody", "other"),
    ],
)
def test_a_handle_has_a_kind(handle: str, kind: str) -> None:
    assert kind_of(handle) == kind


def test_an_event_is_found_by_its_source_monitor_and_group(scene: Scene) -> None:
    options = {"new_group_delay": 0}
    monitor = alert(scene, BY_HOST, "host:a", "room:x", tags=["team:vets"], options=options)
    (event,) = scene.events("source:alert status:error host:a room:x team:vets")
    told = event["attributes"]["attributes"]
    assert told["monitor_id"] == told["monitor"]["id"] == monitor
    assert told["monitor_groups"] == ["host:a", "room:x"]
    assert told["timestamp"] == (START_S + 60) * 1000
    assert scene.events("source:alert host:b") == []
    path = f"/api/v1/events?start={START_S}&end={START_S + 3600}&sources=alert"
    (old,) = ask(scene.local, "GET", path).json["events"]
    assert (old["title"], old["alert_type"]) == (
        "[Triggered on {host:a,room:x}] Too hot", "error",
    )  # fmt: skip


def test_groups_that_come_to_the_same_are_told_once(scene: Scene) -> None:
    options = {"new_group_delay": 0, "notify_by": ["room"]}
    scene.monitor(BY_HOST, message="{{room.name}} @slack-a", options=options)
    for host, room in (("a", "x"), ("b", "x"), ("c", "y")):
        scene.gauge(40, f"host:{host}", f"room:{room}")
    scene.advance(60)
    assert scene.told() == ["[Triggered on {room:x}] Too hot", "[Triggered on {room:y}] Too hot"]
    assert len(scene.titles()) == 3


def test_a_simple_notice_for_all_groups(scene: Scene) -> None:
    options = {"new_group_delay": 0, "notify_by": ["*"]}
    scene.monitor(BY_HOST, message="@slack-a", options=options)
    for host in "ab":
        scene.gauge(40, f"host:{host}", "room:x")
    scene.advance(60)
    assert scene.told() == ["[Triggered] Too hot"]


def test_titles_may_leave_their_tags_out(scene: Scene) -> None:
    options = {"new_group_delay": 0, "include_tags": False}
    alert(scene, BY_HOST, "host:a", "room:x", message="@slack-a", options=options)
    assert scene.told() == ["[Triggered] Too hot"]


def test_a_draft_is_evaluated_and_tells_nobody(scene: Scene) -> None:
    monitor = alert(scene, message="@slack-a", draft_status="draft")
    assert scene.state(monitor) == "Alert"
    assert scene.told() == []


def test_a_notification_rule_adds_recipients_to_monitors_with_its_tags(scene: Scene) -> None:
    attributes = {"name": "vets", "filter": {"tags": ["team:vets"]}, "recipients": ["slack-vets"]}
    body = {"data": {"type": "monitor-notification-rule", "attributes": attributes}}
    assert ask(scene.local, "POST", "/api/v2/monitor/notification_rule", body).status == 200
    scene.monitor(HOT, tags=["team:vets"], name="ours")
    scene.monitor(HOT, tags=["team:other"], name="theirs")
    scene.gauge(40)
    scene.advance(60)
    assert [(one["handle"], one["title"]) for one in scene.outbox()] == [
        ("slack-vets", "[Triggered] ours")
    ]


def test_the_outbox_goes_on_page_by_page(scene: Scene) -> None:
    for number in range(5):
        scene.monitor(HOT, name=f"n{number}", message="@slack-a")
    scene.gauge(40)
    scene.advance(60)
    first = ask(scene.local, "GET", "/_local/outbox?count=3").json
    assert first["counts"] == {"kept": 5}
    before = first["notifications"][-1]["number"]
    rest = ask(scene.local, "GET", f"/_local/outbox?count=3&before={before}").json
    titles = [one["title"] for one in (*first["notifications"], *rest["notifications"])]
    assert titles == [f"[Triggered] n{number}" for number in (4, 3, 2, 1, 0)]
    assert ask(scene.local, "DELETE", "/_local/outbox").status == 204
    assert scene.outbox() == []
