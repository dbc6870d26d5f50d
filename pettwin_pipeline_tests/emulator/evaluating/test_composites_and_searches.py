"""Composites after what they name; counts of logs and events; formulas."""

from typing import Any

from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.emulator.monitored import Scene

AT_ONCE = {"new_group_delay": 0}


def pair(scene: Scene, by: str = "") -> tuple[int, int]:
    """One that watches heat, one that watches noise."""
    hot = f"avg(last_5m):avg:heat{{*}}{by} > 30"
    loud = f"avg(last_5m):avg:noise{{*}}{by} > 30"
    return scene.monitor(hot, options=AT_ONCE), scene.monitor(loud, options=AT_ONCE, name="Loud")


def test_a_composite_sees_the_states_of_its_own_minute(scene: Scene) -> None:
    hot, loud = pair(scene)
    both = scene.monitor(f"{hot} && {loud}", "composite", name="Both")
    either = scene.monitor(f"{hot} || !{loud}", "composite", name="Either")
    scene.gauge(40)
    scene.gauge(10, name="noise")
    scene.advance(60)
    assert (scene.state(both), scene.state(either)) == ("OK", "Alert")
    scene.gauge(90, name="noise")
    scene.advance(60)
    assert (scene.state(both), scene.state(either)) == ("Alert", "Alert")


def test_groups_of_a_composite_are_those_in_common(scene: Scene) -> None:
    hot, loud = pair(scene, " by {host}")
    both = scene.monitor(f"{hot} && {loud}", "composite", options=AT_ONCE, name="Both")
    for host, name in (("a", "heat"), ("b", "heat"), ("b", "noise"), ("c", "noise")):
        scene.gauge(40, f"host:{host}", name=name)
    scene.advance(60)
    assert scene.groups(both) == {"host:b": "Alert"}


def test_a_message_of_a_composite_tells_the_values_of_its_parts(scene: Scene) -> None:
    hot, loud = pair(scene)
    message = "{{a.value}} and {{b.value}} @slack-a"
    scene.monitor(f"{hot} && {loud}", "composite", name="Both", message=message)
    scene.gauge(40)
    scene.gauge(90, name="noise")
    scene.advance(60)
    (entry,) = scene.outbox()
    assert entry["text"] == "40 and 90 @slack-a"


def test_composites_of_composites_and_of_themselves_are_refused(scene: Scene) -> None:
    hot, loud = pair(scene)
    both = scene.monitor(f"{hot} && {loud}", "composite", name="Both")
    body: dict[str, Any] = {"type": "composite", "query": f"{both} || {hot}", "name": "n"}
    refused = ask(scene.local, "POST", "/api/v1/monitor", body)
    assert (refused.status, refused.errors) == (400, ["Some monitor IDs are invalid"])
    # nor can one become part of itself later, neither by its query nor by the type of its part
    for monitor, told in (
        (both, {"query": f"{both} && {hot}"}),
        (hot, {"type": "composite", "query": f"{both} && {loud}"}),
        (hot, {"type": "composite", "query": f"{hot} && {loud}"}),
    ):
        assert ask(scene.local, "PUT", f"/api/v1/monitor/{monitor}", told).status == 400
    scene.gauge(40)
    scene.gauge(90, name="noise")
    scene.advance(60)
    assert scene.state(both) == "Alert"


def test_a_part_that_was_deleted_counts_as_no_data(scene: Scene) -> None:
    hot, loud = pair(scene)
    told = {"notify_no_data": True, "no_data_timeframe": 2}
    both = scene.monitor(f"{hot} && {loud}", "composite", name="Both", options=told)
    scene.gauge(40)
    scene.gauge(90, name="noise")
    scene.advance(60)
    assert ask(scene.local, "DELETE", f"/api/v1/monitor/{loud}?force=true").status == 200
    scene.advance(180)
    assert scene.state(both) == "No Data"


def log(scene: Scene, **told: Any) -> None:
    body = [{"message": "m", "ddtags": "env:prod", **told}]
    assert ask(scene.local, "POST", "/api/v2/logs", body).status == 202


def test_logs_of_a_window_are_counted_by_group(scene: Scene) -> None:
    query = 'logs("status:error").index("*").rollup("count").by("service").last("5m") > 2'
    monitor = scene.monitor(query, "log alert", options=AT_ONCE)
    for service, count in (("web", 3), ("mail", 2)):
        for _ in range(count):
            log(scene, service=service, status="error")
    log(scene, service="web", status="info")
    scene.advance(60)
    assert scene.groups(monitor) == {"service:mail": "OK", "service:web": "Alert"}
    scene.advance(240)  # the window of minute 5 does not reach back to minute 0 any more
    assert scene.groups(monitor) == {"service:mail": "OK", "service:web": "OK"}


def test_no_logs_at_all_are_a_count_of_zero(scene: Scene) -> None:
    query = 'logs("heartbeat").index("*").rollup("count").last("5m") < 1'
    monitor = scene.monitor(query, "log alert")
    scene.advance(60)
    assert scene.state(monitor) == "Alert"
    log(scene, message="heartbeat")
    scene.advance(60)
    assert scene.state(monitor) == "OK"


def test_a_measure_of_logs_is_watched(scene: Scene) -> None:
    query = 'logs("*").index("*").rollup("max", "@took").last("5m") > 100'
    monitor = scene.monitor(query, "log alert")
    log(scene, took=90)
    scene.advance(60)
    assert scene.state(monitor) == "OK"
    log(scene, took=101)
    scene.advance(60)
    assert scene.state(monitor) == "Alert"


def test_events_are_counted_and_no_monitor_counts_its_own(scene: Scene) -> None:
    query = 'events("source:alert").rollup("count").last("5m") > 0'
    monitor = scene.monitor(query, "event-v2 alert", name="Any alert")
    scene.monitor("avg(last_5m):avg:heat{*} > 30")
    scene.gauge(40)
    scene.advance(60)
    scene.advance(60)
    assert scene.state(monitor) == "Alert"
    scene.advance(600)  # its own event is no reason to stay
    assert scene.state(monitor) == "OK"


def test_a_formula_puts_queries_over_logs_together(scene: Scene) -> None:
    def variable(name: str, search: str) -> dict[str, Any]:
        told = {"compute": {"aggregation": "count"}, "search": {"query": search}}
        return {"data_source": "logs", "name": name, "indexes": ["*"], "group_by": [], **told}

    options = {"variables": [variable("bad", "status:error"), variable("all", "*")]}
    query = 'formula("bad / all * 100").last("5m") > 25'
    monitor = scene.monitor(query, "log alert", options=options)
    for status in ("error", "info", "info", "info"):
        log(scene, status=status)
    scene.advance(60)
    assert scene.state(monitor) == "OK"  # one of four
    log(scene, status="error")
    scene.advance(60)
    assert scene.state(monitor) == "Alert"  # two of five


def test_what_is_not_kept_here_is_not_evaluated_and_says_so(scene: Scene) -> None:
    query = 'rum("*").rollup("count").last("5m") > 2'
    monitor = scene.monitor(query, "rum alert")
    scene.advance(120)
    assert scene.state(monitor) == "No Data"
    told = ask(scene.local, "GET", "/_local/evaluation").json["not_evaluated"]
    assert told == [{"monitor_id": monitor, "why": "rum are not kept here"}]
