"""Service checks: runs in a row, groups, silence."""

from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.emulator.monitored import Scene

QUERY = '"up".over("*").by("host").last(3).count_by_status()'
LIMITS = {"thresholds": {"critical": 2, "warning": 1, "ok": 2}, "new_group_delay": 0}


def run(scene: Scene, *statuses: int, host: str = "host:a") -> None:
    for status in statuses:
        scene.check(status, host, message=f"it was {status}")
        scene.advance(60)


def test_so_many_runs_in_a_row_make_a_state(scene: Scene) -> None:
    monitor = scene.monitor(QUERY, "service check", options=LIMITS)
    seen = []
    for status in (0, 2, 2, 0, 2, 0, 0):
        run(scene, status)
        seen.append(scene.state(monitor))
    assert seen == ["OK", "OK", "Alert", "Alert", "Alert", "Alert", "OK"]


def test_each_group_counts_its_own_runs_and_what_is_excluded_is_not_seen(scene: Scene) -> None:
    query = '"up".over("env:prod").exclude("host:c").by("host").last(2).count_by_status()'
    monitor = scene.monitor(query, "service check", options=LIMITS)
    for host in ("host:a", "host:b", "host:c"):
        scene.check(2 if host != "host:b" else 0, host, "env:prod")
    scene.check(2, "host:d", "env:dev")
    scene.advance(60)
    for host in ("host:a", "host:c"):
        scene.check(2, host, "env:prod")
    scene.advance(60)
    assert scene.groups(monitor) == {"host:a": "Alert", "host:b": "OK"}


def test_a_message_tells_what_the_latest_run_said(scene: Scene) -> None:
    message = "{{host.name}}: {{check_message}} @slack-a"
    scene.monitor(QUERY, "service check", message=message, options=LIMITS)
    run(scene, 2, 2)
    (entry,) = scene.outbox()
    assert entry["text"] == "a: it was 2 @slack-a"


def test_a_check_that_is_silent_has_no_data_after_its_timeframe(scene: Scene) -> None:
    options = {**LIMITS, "notify_no_data": True, "no_data_timeframe": 5}
    monitor = scene.monitor(QUERY, "service check", options=options)
    run(scene, 0)  # at minute 0
    scene.advance(3 * 60)
    assert scene.state(monitor) == "OK"
    scene.advance(60)
    assert scene.state(monitor) == "No Data"
    run(scene, 0)
    assert scene.state(monitor) == "OK"


def test_a_check_keeps_its_state_where_nobody_asked_for_no_data(scene: Scene) -> None:
    monitor = scene.monitor(QUERY, "service check", options=LIMITS)
    run(scene, 2, 2)
    scene.advance(7_200)
    assert scene.state(monitor) == "Alert"


def test_a_share_of_groups_can_be_watched(scene: Scene) -> None:
    query = '"up".over("*").by("host").last(1).pct_by_status()'
    monitor = scene.monitor(query, "service check", options={"thresholds": {"critical": 50}})
    for host, status in (("a", 2), ("b", 0), ("c", 0)):
        scene.check(status, f"host:{host}")
    scene.advance(60)
    assert scene.state(monitor) == "OK"  # a third
    scene.check(2, "host:b")
    scene.advance(60)
    assert scene.state(monitor) == "Alert"  # two of three


def test_checks_of_dogstatsd_and_of_http_are_one(scene: Scene) -> None:
    monitor = scene.monitor(QUERY, "service check", options=LIMITS)
    run(scene, 2)
    body = {"check": "up", "status": 2, "tags": [], "host_name": "a", "timestamp": scene.at_s}
    assert ask(scene.local, "POST", "/api/v1/check_run", body).status == 202
    scene.advance(60)
    assert scene.groups(monitor) == {"host:a": "Alert"}


def test_each_set_of_tags_may_be_its_own_group(scene: Scene) -> None:
    query = '"up".over("*").by("*").last(2).count_by_status()'
    options = {"thresholds": {"critical": 1}, "new_group_delay": 0}
    monitor = scene.monitor(query, "service check", options=options)
    scene.check(2, "host:a", "room:x")
    scene.check(0, "host:a", "room:y")
    scene.advance(60)
    assert scene.groups(monitor) == {"host:a,room:x": "Alert", "host:a,room:y": "OK"}
