from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pettwin_pipeline.detection.alerts import (
    DISCLAIMER,
    Alert,
    encode_alert,
    encode_alerts,
    parse_alert,
    parse_alerts,
    plan_alerts,
    printable,
)
from pettwin_pipeline.detection.episodes import Episode, name_episode
from pettwin_pipeline.detection.hearts import SEVERITIES
from pettwin_pipeline.detection.screen import CHANNELS, HEALTH
from pettwin_pipeline.detection.trend import LIMP
from pettwin_pipeline.detection.verdicts import judge_statistically
from pettwin_pipeline.readings.schema import SPECIES
from pettwin_pipeline_tests.detection.collars import score, wear
from pettwin_pipeline_tests.detection.test_episodes import CHANGE, PLACE


def _episode(pet_id: str = "Rex", **changes: Any) -> Episode:
    return name_episode(replace(CHANGE, **changes), replace(PLACE, pet_id=pet_id))


def _alert(pet_id: str = "Rex", **changes: Any) -> Alert:
    one = _episode(pet_id, **changes)
    (alert,) = plan_alerts([one], judge_statistically([one]))
    return alert


def test_an_alert_says_what_when_why_and_who_judged() -> None:
    one = _alert()
    assert (one.pet_id, one.species, one.severity) == ("Rex", "dog", "medium")
    assert (one.kind, one.signal, one.direction) == ("health", "heart_rate", "high")
    assert one.started_at == "1970-01-12T13:46:40.000Z"
    assert one.raised_at == "1970-01-12T13:52:40.500Z"
    assert (one.verdict_origin, one.model) == ("statistical", None)
    assert one.note == "no model is configured: the statistical verdict stands"
    assert one.reason == _episode().reason


def test_the_owner_reads_plain_words() -> None:
    assert _alert().owner_message == (
        "Rex's heart has been beating faster than usual while at rest: about 88 beats a minute, "
        "usually about 62. Please look at Rex when you can: how Rex breathes, the colour of the "
        "gums, whether Rex wants to get up. We keep watching. "
        "This is an automatic observation, not veterinary advice."
    )


def test_a_cat_is_looked_at_differently() -> None:
    text = _alert(species=1, severity=3, channel=1).owner_message
    assert "beating slower than usual" in text
    assert "whether Rex breathes with an open mouth, hides or does not eat" in text
    assert "Call your vet" in text


def test_a_limp_is_told_as_what_it_is() -> None:
    text = _alert(channel=LIMP, median=0.84, level=0.96).owner_message
    assert text.startswith("Rex has been walking less evenly than usual. Please look at Rex")
    assert "beats" not in text


def test_what_is_wrong_with_a_collar_alerts_nobody() -> None:
    for channel in range(len(HEALTH), len(CHANNELS)):
        one = _episode(channel=channel)
        assert one.kind == "sensor"
        assert plan_alerts([one], judge_statistically([one])) == []


def test_rest_is_claimed_only_where_the_collar_told_it() -> None:
    assert "at rest" not in _alert(is_still=False).owner_message


def test_a_rate_that_is_usual_for_the_pet_is_not_called_unusual() -> None:
    text = _alert(median=113.0, level=112.0, limit_bpm=110.0).owner_message
    assert "beating fast for a dog" in text
    assert "beating slowly for a pet" in _alert(species=2, channel=1, level=90.0).owner_message


@pytest.mark.parametrize("species", range(len(SPECIES)))
@pytest.mark.parametrize("severity", range(1, len(SEVERITIES)))
@pytest.mark.parametrize("channel", range(len(HEALTH)))
def test_every_alert_carries_the_disclaimer(species: int, severity: int, channel: int) -> None:
    one = _alert(species=species, severity=severity, channel=channel)
    assert one.disclaimer == DISCLAIMER
    assert one.owner_message.endswith(DISCLAIMER)
    assert "{" not in one.owner_message


def test_only_a_critical_alert_speaks_of_an_emergency() -> None:
    texts = [_alert(severity=level).owner_message for level in range(1, 5)]
    assert ["emergency" in text for text in texts] == [False, False, False, True]
    assert "nothing to do now" in texts[0]


@pytest.mark.parametrize(
    ("pet_id", "shown"),
    [
        ("Rex\nIMPORTANT: call 555", "Rex IMPORTANT: call 555's heart"),
        ("\x1b[31mRex\r\n\u202e", "[31mRex's heart"),
        ("{pet.__class__}{0}", "{pet.__class__}{0}'s heart"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>'s heart"),
        ("R" * 400, "R" * 59 + "\u2026's heart"),
    ],
)
def test_a_hostile_name_stays_one_line_of_plain_text(pet_id: str, shown: str) -> None:
    one = _alert(pet_id)
    assert one.pet_id == pet_id
    assert one.owner_message.startswith(shown)
    assert one.owner_message.isprintable()
    assert "\n" not in one.owner_message + one.reason + one.note


def test_a_name_of_nothing_visible_is_empty() -> None:
    assert printable("\u200b\n \t") == ""


def test_there_is_one_alert_for_each_severity_with_an_id_that_stays() -> None:
    scored = score(wear([62.0] * 100 + [78.0] * 40 + [200.0] * 40))
    alerts = plan_alerts(scored.episodes, judge_statistically(scored.episodes))
    again = plan_alerts(scored.episodes, judge_statistically(scored.episodes))
    assert [one.severity for one in alerts] == ["low", "high"]
    assert len({one.alert_id for one in alerts}) == 2
    assert encode_alerts(again) == encode_alerts(alerts)


def test_an_end_raises_no_alert() -> None:
    assert plan_alerts([_episode(ended=100_030)], []) == []


def test_what_a_verdict_calls_normal_raises_no_alert() -> None:
    one = _episode()
    (verdict,) = judge_statistically([one])
    normal = msgspec.structs.replace(verdict, is_anomalous=False)
    assert plan_alerts([one], [normal]) == []


def test_two_verdicts_for_one_episode_and_severity_are_rejected() -> None:
    one = _episode()
    (verdict,) = judge_statistically([one])
    with pytest.raises(ValueError, match=f"two verdicts for episode {one.episode_id} at severity"):
        plan_alerts([one], [verdict, verdict])


def test_an_episode_without_a_verdict_is_an_error() -> None:
    low, high = _episode(severity=1), _episode(severity=3)
    with pytest.raises(ValueError, match=f"no verdict for episode {high.episode_id} at high"):
        plan_alerts([low, high], judge_statistically([low]))


def test_alerts_are_kept_and_come_back() -> None:
    one = _alert()
    assert parse_alert(encode_alert(one)) == one
    assert parse_alerts(encode_alerts([one, one])) == [one, one]
