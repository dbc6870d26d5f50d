"""The local plane: health, reset, clock, faults, and the requests as they came."""

from pettwin_pipeline.emulator.faults import LONGEST_DELAY_S
from pettwin_pipeline.emulator.kept_requests import LARGEST_BODY, MOST, KeptRequest, KeptRequests
from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.asking import Answered, ask

MONITOR = {"type": "metric alert", "query": "avg(last_5m):avg:a{*} > 1", "name": "m"}


def post(local: LocalDatadog, path: str, body: object = None) -> Answered:
    return ask(local, "POST", path, body, {})


def test_health_says_what_it_is_not(local: LocalDatadog) -> None:
    answer = ask(local, "GET", "/_local/health", headers={})
    assert answer.status == 200
    assert "not Datadog" in answer.json["is"]


def test_reset_forgets_everything(local: LocalDatadog) -> None:
    ask(local, "POST", "/api/v1/monitor", MONITOR)
    ask(local, "PUT", "/_local/clock", {"at": "2030-01-01"}, {})
    assert post(local, "/_local/reset").status == 204
    assert ask(local, "GET", "/api/v1/monitor").json == []
    assert ask(local, "GET", "/_local/clock", headers={}).json["ahead_s"] < 1
    assert local.state.requests.newest(10)[0]["method"] == "GET"


def test_what_is_made_carries_the_time_of_the_clock_that_was_set(local: LocalDatadog) -> None:
    told = {"at": "2030-02-03T04:05:06Z", "stand": True}
    assert ask(local, "PUT", "/_local/clock", told, {}).json["stands"] is True
    made = ask(local, "POST", "/api/v1/monitor", MONITOR).json
    assert made["created"] == "2030-02-03T04:05:06.000000+00:00"
    moved = ask(local, "PUT", "/_local/clock", {"advance_s": 60}, {}).json
    assert moved["now"] == "2030-02-03T04:06:06.000000+00:00"
    assert moved["stands"] is True
    assert ask(local, "DELETE", "/_local/clock", headers={}).json["stands"] is False


def test_a_clock_that_nobody_can_set_stays(local: LocalDatadog) -> None:
    for told in ({"at": "soon"}, {"advance_s": "x"}, {"at": 1e300}, {"at": -5}, {"stand": 1}, [1]):
        assert ask(local, "PUT", "/_local/clock", told, {}).status == 400, told
    assert abs(ask(local, "GET", "/_local/clock", headers={}).json["ahead_s"]) < 5


def test_a_rate_limit_comes_with_its_headers_as_often_as_asked(local: LocalDatadog) -> None:
    post(local, "/_local/faults", {"kind": "rate_limit", "count": 2, "seconds": 7})
    for _ in range(2):
        answer = ask(local, "GET", "/api/v1/monitor")
        assert answer.status == 429
        assert answer.headers["x-ratelimit-reset"] == "7"
        assert answer.headers["x-ratelimit-remaining"] == "0"
    assert ask(local, "GET", "/api/v1/monitor").status == 200


def test_an_error_meets_only_the_paths_that_it_is_for(local: LocalDatadog) -> None:
    post(local, "/_local/faults", {"kind": "error", "status": 503, "prefix": "/api/v1/slo"})
    assert ask(local, "GET", "/api/v1/monitor").status == 200
    assert ask(local, "GET", "/_local/faults", headers={}).json["faults"][0]["left"] == 1
    assert ask(local, "GET", "/api/v1/slo").status == 503
    assert ask(local, "GET", "/_local/faults", headers={}).json["faults"] == []


def test_a_delay_is_met_and_the_answer_is_right_all_the_same(local: LocalDatadog) -> None:
    post(local, "/_local/faults", {"kind": "delay", "seconds": 0.01})
    assert ask(local, "GET", "/api/v1/validate").json == {"valid": True}
    assert ask(local, "DELETE", "/_local/faults", headers={}).status == 204


def test_a_fault_that_makes_no_sense_is_refused(local: LocalDatadog) -> None:
    good = {"kind": "delay"}
    for told in (
        {},
        {"kind": "fire"},
        good | {"count": 0},
        good | {"count": True},
        good | {"seconds": LONGEST_DELAY_S + 1},
        good | {"prefix": "api"},
        good | {"status": 200},
        good | {"color": "red"},
        {"kind": "drop_dogstatsd"},
        {"kind": "drop_dogstatsd", "share": 0},
        {"kind": "drop_dogstatsd", "share": 1.5},
        {"kind": "drop_dogstatsd", "share": 0.5, "count": 1},
    ):
        assert post(local, "/_local/faults", told).status == 400, told
    assert local.state.faults.on() == []


def test_requests_are_kept_as_they_came_with_their_status(local: LocalDatadog) -> None:
    ask(local, "POST", "/api/v1/monitor", MONITOR)
    ask(local, "GET", "/api/v1/monitor/1?with_downtimes=true")
    told = ask(local, "GET", "/_local/requests?count=5", headers={}).json
    read, made = told["requests"]
    assert (read["status"], read["query"]) == (404, "with_downtimes=true")
    assert made["body"].startswith('{"type": "metric alert"')
    only = ask(local, "GET", "/_local/requests?prefix=/api/v1/slo", headers={}).json
    assert only["requests"] == []


def test_neither_keys_nor_secret_values_are_kept(local: LocalDatadog) -> None:
    body = {"name": "TOKEN", "value": "hush-hush", "is_secret": True}
    ask(local, "POST", "/api/v1/integration/webhooks/configuration/custom-variables", body)
    ask(local, "GET", "/api/v1/validate?api_key=hush-too&x=1", headers={})
    kept = ask(local, "GET", "/_local/requests", headers={}).content
    assert b"hush" not in kept
    assert b"api_key=***&x=1" in kept


def test_kept_requests_are_bounded_in_number_and_size() -> None:
    kept = KeptRequests()
    for number in range(3 * MOST):
        body = "x" * LARGEST_BODY
        kept.keep(KeptRequest("", "GET", f"/{number}", "", {}, body, LARGEST_BODY, 200))
    newest = kept.newest(10_000)
    assert len(newest) * LARGEST_BODY <= 16 * 1024 * 1024
    assert newest[0]["path"] == f"/{3 * MOST - 1}"
    assert kept.seen == 3 * MOST


def test_an_answer_tells_how_many_requests_are_left(local: LocalDatadog) -> None:
    first, second = (ask(local, "GET", "/api/v1/monitor").headers for _ in range(2))
    names = ("limit", "period", "remaining", "reset", "name")
    assert all(f"x-ratelimit-{name}" in first for name in names)
    left = [int(one["x-ratelimit-remaining"]) for one in (first, second)]
    assert left[0] > left[1] or int(second["x-ratelimit-reset"]) > int(first["x-ratelimit-reset"])
