"""What the demo compares at its end: every difference is told."""

import dataclasses
from typing import Any

import pytest

from pettwin_pipeline.commands.summary import Outcome
from pettwin_pipeline.detection.alerts import Alert
from pettwin_pipeline.readings.simulator.labels import Label
from pettwin_pipeline_tests.adapters.ledgers import alert

PUBLISHED = (alert("a1", severity="medium"), alert("a2", severity="high"), alert("a3"))
RIGHT = Outcome(
    sent=100,
    broken=7,
    took_s=1.0,
    totals={"messages": 100, "readings": 93, "rejects": 7},
    lag=0,
    lost=0,
    ranges=(),
    kept_alerts=3,
    notified=("a1", "a2"),
    episodes=1,
    published=PUBLISHED,
    dead_letters=7,
    labels=(),
)
MINUTE_MS = 60_000
RAISED_MS = 1_772_323_260_000
"""When `alert()` was raised: 2026-03-01 00:01 UTC."""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, []),
        ({"lost": 3}, ["the broker dropped 3 messages before they were read"]),
        ({"sent": 101}, ["messages sent and read differ"]),
        ({"totals": {"messages": 100, "rejects": 8}}, ["other rejects than the broken ones"]),
        ({"dead_letters": 6}, ["dead letters and broken messages differ"]),
        ({"lag": 1000}, ["1,000 messages were not committed"]),
        ({"published": PUBLISHED[:2]}, ["alerts on the topic and in the ledger differ"]),
        ({"kept_alerts": 0, "published": (), "notified": ()}, ["no alert was raised"]),
        ({"notified": ("a1",)}, ["alerts to be told and notifications differ"]),
        ({"notified": ("a1", "a2", "a3")}, ["alerts to be told and notifications differ"]),
        ({"notified": ("a1", "a2", "a2")}, []),
        ({"totals": {}}, ["messages sent and read differ", "other rejects than the broken ones"]),
    ],
)
def test_what_is_not_right_is_told(change: dict[str, Any], told: list[str]) -> None:
    assert dataclasses.replace(RIGHT, **change).problems == told


def test_an_alert_that_came_twice_is_one_alert() -> None:
    twice = (*PUBLISHED, PUBLISHED[0])
    assert dataclasses.replace(RIGHT, published=twice).problems == []


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "pet", "hit"),
    [
        (RAISED_MS - MINUTE_MS, RAISED_MS + MINUTE_MS, "rex", 1),
        (RAISED_MS - 2 * MINUTE_MS, RAISED_MS - MINUTE_MS, "rex", 1),  # a minute of grace
        (RAISED_MS - 3 * MINUTE_MS, RAISED_MS - MINUTE_MS - 1, "rex", 0),
        (RAISED_MS + 1, RAISED_MS + MINUTE_MS, "rex", 0),
        (RAISED_MS - MINUTE_MS, RAISED_MS + MINUTE_MS, "bo", 0),
    ],
)
def test_an_injected_episode_is_told_by_an_alert_of_its_pet_in_its_time(
    start_ms: int, end_ms: int, pet: str, hit: int
) -> None:
    label = Label(
        label_id="x", pet_id=pet, kind="illness", name="fast", start_ms=start_ms, end_ms=end_ms
    )
    published: tuple[Alert, ...] = (alert("a1"),)
    outcome = dataclasses.replace(RIGHT, published=published, labels=(label,))
    assert outcome.found() == {"fast": (hit, 1)}
