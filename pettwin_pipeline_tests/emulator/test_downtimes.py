"""Downtimes follow the clock: scheduled, active, ended, canceled."""

from typing import Any

import pytest

from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.asking import Answered, ask

PLACE = "/api/v2/downtime"
NOON = "2026-06-01T12:00:00+00:00"


def create(local: LocalDatadog, **more: Any) -> Answered:
    attributes = {"scope": "env:a", "monitor_identifier": {"monitor_tags": ["*"]}, **more}
    body = {"data": {"type": "downtime", "attributes": attributes}}
    return ask(local, "POST", PLACE, body)


def status_of(local: LocalDatadog, downtime: str) -> str:
    told = ask(local, "GET", f"{PLACE}/{downtime}").json
    return str(told["data"]["attributes"]["status"])


def test_a_downtime_passes_through_its_states(local: LocalDatadog) -> None:
    ask(local, "PUT", "/_local/clock", {"at": "2026-06-01T11:00:00Z", "stand": True}, {})
    schedule = {"start": NOON, "end": "2026-06-01T14:00:00Z"}
    made = create(local, schedule=schedule).json["data"]
    assert made["attributes"]["schedule"]["end"] == "2026-06-01T14:00:00+00:00"
    seen = []
    for _ in range(4):
        seen.append(status_of(local, made["id"]))
        ask(local, "PUT", "/_local/clock", {"advance_s": 3600}, {})
    assert seen == ["scheduled", "active", "active", "ended"]


def test_without_a_start_it_begins_now_and_never_ends(local: LocalDatadog) -> None:
    ask(local, "PUT", "/_local/clock", {"at": NOON, "stand": True}, {})
    attributes = create(local, display_timezone="").json["data"]["attributes"]
    assert attributes["schedule"] == {"start": NOON, "end": None}
    assert attributes["display_timezone"] == "UTC"
    assert sorted(attributes["notify_end_states"]) == ["alert", "no data", "warn"]
    assert attributes["notify_end_types"] == ["expired"]


def test_a_canceled_one_still_reads_and_cancels_again(local: LocalDatadog) -> None:
    downtime = create(local).json["data"]["id"]
    for _ in range(2):
        assert ask(local, "DELETE", f"{PLACE}/{downtime}").status == 204
    assert status_of(local, downtime) == "canceled"


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "x", 400, "Invalid URL param: downtime_id must be an uuid"),
        ("GET", "00000000-0000-1234-0000-000000000000", 404, "Downtime not found"),
        (
            "DELETE",
            "00000000-0000-1234-0000-000000000000",
            404,
            "Downtime 00000000-0000-1234-0000-000000000000 not found",
        ),
    ],
)
def test_one_that_is_not_there(
    local: LocalDatadog, method: str, path: str, status: int, words: str
) -> None:
    answer = ask(local, method, f"{PLACE}/{path}")
    assert (answer.status, answer.errors) == (status, [words])


@pytest.mark.parametrize(
    "more",
    [
        {"scope": "nonsense"},
        {"monitor_identifier": {"monitor_tags": []}},
        {"schedule": {"start": "tomorrow"}},
        {"schedule": {"start": NOON, "end": NOON}},
        {"schedule": {"start": "2026-06-01T12:00:00"}},
        {"schedule": {"start": "2026-06-01T12:00:00+02:00"}},
        {"schedule": {"recurrences": [{"rrule": "FREQ=DAILY", "duration": "1 hour"}]}},
        {"schedule": {"recurrences": [{"rrule": "whenever", "duration": "1h"}]}},
        {"display_timezone": "Middle/Earth"},
        {"display_timezone": "../../etc/passwd"},
    ],
)
def test_what_is_no_downtime_is_refused(local: LocalDatadog, more: dict[str, Any]) -> None:
    assert create(local, **more).status == 400
    assert local.state.storage.counts() == {}


def test_a_downtime_for_a_monitor_needs_the_monitor(local: LocalDatadog) -> None:
    answer = create(local, monitor_identifier={"monitor_id": 5})
    assert (answer.status, answer.errors) == (404, ["Monitor not found"])
    matches = ask(local, "GET", "/api/v2/monitor/0/downtime_matches")
    assert (matches.status, matches.errors) == (404, ["Monitor with id 0 not found"])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "Invalid scope parameter"),
        ({"scope": ["*"], "recurrence": {"type": "hours", "period": 1}}, "Invalid recurrence type"),
        (
            {"scope": ["*"], "recurrence": {"type": "weeks", "week_days": ["Someday"]}},
            "Invalid recurrence week_days",
        ),
    ],
)
def test_what_is_no_downtime_of_the_first_version(
    local: LocalDatadog, more: dict[str, Any], words: str
) -> None:
    answer = ask(local, "POST", "/api/v1/downtime", more)
    assert (answer.status, answer.errors) == (400, [words])
