"""Monitors: what the server adds and trims, and what it refuses, in the words of the real one."""

from typing import Any

import pytest

from pettwin_pipeline.emulator.refusals import Refusal
from pettwin_pipeline.emulator.resources.monitor_rules import is_grouped, validate_monitor
from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.asking import Answered, ask

METRIC = "avg(last_5m):avg:system.load.1{*} > 2"
LOGS = 'logs("status:error").index("*").rollup("count").by("service").last("5m") > 2'
BOTH_STATES = (
    "alert and alert recovery criteria are such that the monitor can be simultaneously in alert "
    "and alert recovery states"
)
INVALID = "The value provided for parameter 'query' is invalid"


def create(local: LocalDatadog, query: str = METRIC, **more: Any) -> Answered:
    return ask(local, "POST", "/api/v1/monitor", {"type": "metric alert", "query": query, **more})


def test_a_bare_monitor_is_given_what_the_real_one_is_given(local: LocalDatadog) -> None:
    made = create(local).json
    for name in ("id", "created", "created_at", "modified", "creator"):
        assert made.pop(name)
    assert made == {
        "org_id": 1,
        "type": "metric alert",
        "name": METRIC,
        "message": "",
        "tags": [],
        "query": METRIC,
        "options": {
            "thresholds": {"critical": 2.0},
            "notify_no_data": False,
            "notify_audit": False,
            "new_host_delay": 300,
            "include_tags": True,
            "silenced": {},
        },
        "multi": False,
        "deleted": None,
        "priority": None,
        "restricted_roles": None,
        "restriction_policy": None,
        "draft_status": "published",
        "assets": [],
        "overall_state": "No Data",
        "overall_state_modified": None,
    }


def test_text_is_trimmed_and_thresholds_become_floats(local: LocalDatadog) -> None:
    options = {"thresholds": {"critical": 2, "warning": None}, "escalation_message": " up \n"}
    made = create(local, f"  {METRIC}\n", name=" n ", message="\nm ", options=options, priority=0)
    told = made.json
    assert (told["name"], told["message"], told["query"]) == ("n", "m", METRIC)
    assert told["options"]["escalation_message"] == "up"
    assert told["priority"] is None
    assert b'"critical":2.0' in made.content
    assert "warning" not in told["options"]["thresholds"]


def test_thresholds_of_a_service_check_stay_whole(local: LocalDatadog) -> None:
    query = '"app.ok".over("*").by("host").last(4).count_by_status()'
    told = create(
        local, query, type="service check", options={"thresholds": {"critical": 3, "ok": 1}}
    )
    assert told.json["multi"] is True
    assert b'"critical":3,' in told.content


def test_the_answer_to_a_change_names_no_creator_and_a_read_no_policy(
    local: LocalDatadog,
) -> None:
    path = f"/api/v1/monitor/{create(local).json['id']}"
    assert "creator" not in ask(local, "PUT", path, {"name": "x"}).json
    read = ask(local, "GET", path).json
    assert "creator" in read
    assert "restriction_policy" not in read
    assert "assets" in ask(local, "GET", f"{path}?with_assets=true").json
    assert ask(local, "GET", f"{path}?group_states=all").json["state"] == {"groups": {}}


def test_the_same_monitor_twice_is_a_duplicate_and_itself_is_none(local: LocalDatadog) -> None:
    first = create(local, name="one").json
    again = create(local, name="one")
    assert (again.status, again.errors) == (
        400,
        [f"Duplicate of an existing monitor_id:{first['id']} org_id:1"],
    )
    assert create(local, name="two").status == 200
    path = f"/api/v1/monitor/{first['id']}"
    told = {"type": "metric alert", "query": METRIC, "name": "one"}
    assert ask(local, "POST", f"{path}/validate", told).json == {}
    assert ask(local, "PUT", path, told).status == 200
    assert ask(local, "PUT", path, told | {"name": "two"}).status == 400


@pytest.mark.parametrize(
    ("kind", "query", "options", "words"),
    [
        ("log alert", "query", {}, f"{INVALID}: invalid operator specified: "),
        ("metric alert", "system.load.1 > 2", {}, INVALID),
        ("metric alert", "avg(last_5m):avg:a{* > 2", {}, INVALID),
        ("metric alert", "avg(last_5m):avg:a{*}", {}, INVALID),
        ("metric alert", "avg(last_5m):a > 2", {}, INVALID),
        ("metric alert", " ", {}, INVALID),
        ("service check", "app.ok is down", {}, INVALID),
        ("slo alert", "error_budget(abc) > 1", {}, INVALID),
        (
            "metric alert",
            METRIC,
            {"thresholds": {"critical": 85}},
            "Alert threshold (85.0) does not match that used in the query (2.0).",
        ),
        (
            "metric alert",
            METRIC,
            {"thresholds": {"critical": 2, "critical_recovery": 3}},
            BOTH_STATES,
        ),
        (
            "metric alert",
            METRIC.replace(">", "<"),
            {"thresholds": {"critical": 2, "critical_recovery": 1}},
            BOTH_STATES,
        ),
        (
            "query alert",
            "avg(last_4h):anomalies(avg:a{*}, 'basic', 2, alert_window='last_15m') >= 1",
            {"threshold_windows": {"trigger_window": "last_30m"}},
            "alert window query arg must match trigger window monitor option",
        ),
        ("composite", "1 && ", {}, INVALID),
        ("composite", "1 && (2 || 3", {}, INVALID),
        ("composite", " && ".join(map(str, range(11))), {}, None),
    ],
)
def test_what_cannot_be_watched_is_refused(
    kind: str, query: str, options: dict[str, Any], words: str | None
) -> None:
    with pytest.raises(Refusal) as refused:
        validate_monitor(kind, query.strip(), options)
    assert refused.value.status == 400
    if words is not None:
        assert refused.value.errors == [words]


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("metric alert", METRIC),
        ("query alert", "pct_change(avg(last_5m),last_1h):avg:a{b:c} by {d} <= -50.5"),
        ("query alert", "change(max(last_5m),1d_ago):avg:a{*} > 1e3"),
        ("query alert", "min(next_1w):forecast(avg:a{*}, 'linear', 1) <= 0"),
        ("query alert", "avg(current_1mo):sum:a{*}.as_count() == 3"),
        ("query alert", "percentile(last_5m):p95:a{*} > 3"),
        ("query alert", 'avg(last_5m):sum:a{x:"(b"} by {c} / sum:d{*} > 0.5'),
        ("query alert", 'formula("a / b").last("5m") > 124'),
        ("service check", '"http.ok".over("env:a","b:c").exclude("d:e").last(3).count_by_status()'),
        ("service check", '"a".over("*").by("host").last(2).count_by_status()'),
        ("composite", "12 && !(13 || 14)"),
        ("slo alert", 'burn_rate("abc1").over("30d").long_window("1h").short_window("5m") > 14.4'),
        ("slo alert", 'error_budget("abc1").over("7d") > 75'),
        ("log alert", LOGS),
        ("event-v2 alert", 'events("source:a").rollup("count").last("5m") > 0'),
        ("process alert", "processes('x').over('*').rollup('count').last('10m') < 1"),
    ],
)
def test_every_kind_of_monitor_is_taken(kind: str, query: str) -> None:
    validate_monitor(kind, query, {})


def test_equal_recovery_thresholds_and_those_beyond_are_good() -> None:
    validate_monitor(
        "metric alert", METRIC, {"thresholds": {"critical": 2, "critical_recovery": 2}}
    )
    validate_monitor(
        "metric alert", METRIC, {"thresholds": {"critical": 2, "critical_recovery": 1}}
    )


@pytest.mark.parametrize(
    ("query", "grouped"),
    [
        ("avg(last_5m):avg:a{*} by {host} > 1", True),
        ("avg(last_5m):avg:a{*} > 1", False),
        ("avg(last_5m):avg:a{by:x} > 1", False),
        ('logs("x").by("service,env").last("5m") > 2', True),
        ('formula("f").by(job,workspace).last(10d) > 0', True),
        ('logs("x").by().last("5m") > 2', False),
    ],
)
def test_a_query_with_groups_makes_a_multi_alert(query: str, grouped: bool) -> None:
    assert is_grouped(query) is grouped


def test_a_composite_holds_monitors_that_exist_and_no_composites(local: LocalDatadog) -> None:
    one, two = create(local, name="one").json["id"], create(local, name="two").json["id"]
    both = create(local, f"{one} && !{two}", type="composite", name="both").json
    assert both["multi"] is False
    for query in (f"{one} && 4", f"{one} || {both['id']}"):
        refused = create(local, query, type="composite", name="x")
        assert refused.errors == ["Some monitor IDs are invalid"]
    circle = ask(local, "PUT", f"/api/v1/monitor/{both['id']}", {"query": f"{one} && {both['id']}"})
    assert circle.status == 400
    used = f"monitor [{one},one] is referenced in composite monitors: [{both['id']},both]"
    assert ask(local, "DELETE", f"/api/v1/monitor/{one}").errors == [used]
    free = ask(local, "GET", f"/api/v1/monitor/can_delete?monitor_ids={one},{both['id']}")
    assert free.status == 409
    assert free.json == {"data": {"ok": [both["id"]]}, "errors": {str(one): [used]}}
    assert ask(local, "DELETE", f"/api/v1/monitor/{one}?force=true").status == 200


def test_the_kind_of_a_monitor_stays(local: LocalDatadog) -> None:
    path = f"/api/v1/monitor/{create(local).json['id']}"
    assert ask(local, "PUT", path, {"type": "query alert", "query": METRIC}).status == 200
    assert ask(local, "PUT", path, {"type": "log alert", "query": LOGS}).status == 400


def test_states_of_groups_and_statuses_are_checked(local: LocalDatadog) -> None:
    path = f"/api/v1/monitor/{create(local).json['id']}"
    refused = ask(local, "GET", f"{path}?group_states=x")
    assert (refused.status, refused.errors) == (400, ["Invalid group_state filters."])
    assert ask(local, "GET", f"{path}?group_states=alert,no%20data").status == 200
    for place in ("search", "groups/search"):
        refused = ask(local, "GET", f"/api/v1/monitor/{place}?query=status:notastatus")
        words = "Query parsing error: 'notastatus' is not a valid monitor status"
        assert refused.errors == [words]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["errors", "load"]),
        ("load", ["load"]),
        ("type:log", ["errors"]),
        ('type:"metric alert"', ["load"]),
        ("-type:metric", ["errors"]),
        ("tag:env:a", ["load"]),
        ('tag:"env:a"', ["load"]),
        ("env:a", ["load"]),
        ('status:"no data"', ["errors", "load"]),
        ("muted:true", []),
        ("metric:system.load.1", ["load"]),
        ("load tag:env:b", []),
        ("notification:pager", ["errors"]),
    ],
)
def test_search_finds_by_words_and_fields(
    local: LocalDatadog, query: str, names: list[str]
) -> None:
    create(local, name="load", tags=["env:a"])
    create(local, LOGS, type="log alert", name="errors", message="@webhook-pager")
    asked = query.replace(" ", "%20").replace('"', "%22")
    found = ask(local, "GET", f"/api/v1/monitor/search?query={asked}").json
    assert [one["name"] for one in found["monitors"]] == names


@pytest.mark.parametrize("path", ["/api/v1/monitor/0", "/api/v1/monitor/x", "/api/v1/monitor/-1"])
def test_a_monitor_that_is_not_there_is_not_found(local: LocalDatadog, path: str) -> None:
    for method, body in (("GET", None), ("PUT", {"name": "x"}), ("DELETE", None)):
        answer = ask(local, method, path, body)
        assert (answer.status, answer.errors) == (404, ["Monitor not found"])


def test_where_a_query_is_wrong_is_told_beside_datadogs_words(local: LocalDatadog) -> None:
    refused = create(local, "avg(last_5m):avg:a{*} by {host > 1")
    assert refused.errors == [INVALID]
    assert refused.headers["x-local-reason"].startswith("column ")
    refused = create(local, "avg(last_5m):nosuchfunction(avg:a{*}) > 1")
    assert refused.errors == [INVALID]


def test_a_query_outside_the_grammar_is_refused_with_its_column(local: LocalDatadog) -> None:
    answer = ask(local, "GET", "/api/v1/query?from=1&to=2&query=avg:a%7B*%7D%20%2B")
    assert answer.status == 400
    assert answer.errors[0].startswith("Error parsing query: \n unable to parse avg:a{*} +: ")
    assert "(line 1, column " in answer.errors[0]


@pytest.mark.parametrize("path", ["/api/v1/query?query=avg:a%7B*%7D&", "/api/v1/events?"])
@pytest.mark.parametrize("second", ["", "--5", "soon", "1.5"])
def test_a_second_that_is_none_is_refused(local: LocalDatadog, path: str, second: str) -> None:
    for name in ("from", "start"):
        path += f"{name}={second}&"
    assert ask(local, "GET", path + "to=2&end=2").status == 400
