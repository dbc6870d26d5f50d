from dataclasses import replace
from typing import Any

import pytest

from pettwin_pipeline.detection.episodes import (
    Place,
    encode_episodes,
    make_id,
    name_episode,
    parse_episodes,
)
from pettwin_pipeline.detection.screen import Change
from pettwin_pipeline_tests.detection.collars import SLOT_MS, START_MS, begun, score, wear

PLACE = Place(pet_id="rex", partition=3, offset=41, time_ms=1_000_360_500)
CHANGE = Change(
    pet=0,
    channel=0,
    closing_row=5,
    species=0,
    slot=100_035,
    started=100_000,
    ended=None,
    severity=2,
    peak=1.61234,
    median=87.6,
    level=62.1,
    limit_bpm=None,
    is_still=True,
    recent_log_bpm=(4.0, 4.5),
)
ILL = [62.0] * 100 + [112.0] * 12


def _reason(**changes: Any) -> str:
    return name_episode(replace(CHANGE, **changes), PLACE).reason


def test_an_episode_says_when_it_began_and_when_and_where_it_was_known() -> None:
    one = name_episode(CHANGE, PLACE)
    assert (one.pet_id, one.species, one.direction, one.severity) == (
        "rex",
        "dog",
        "high",
        "medium",
    )
    assert (one.partition, one.offset) == (3, 41)
    assert (one.started_ms, one.raised_ms, one.ended_ms) == (1_000_000_000, 1_000_360_500, None)
    assert (one.peak, one.median_bpm, one.level_bpm) == (1.612, 87.6, 62.1)
    assert one.recent_bpm == (54.6, 90.0)


def test_the_reason_is_a_sentence_with_numbers() -> None:
    assert _reason() == (
        "heart rate 41 % above this pet's resting level (88 against 62 bpm) for 6 min, not moving"
    )


def test_a_collar_that_tells_nothing_of_activity_is_not_said_to_be_still() -> None:
    assert _reason(is_still=False).endswith("(88 against 62 bpm) for 6 min")


def test_the_duration_is_that_of_the_slots_however_late_the_next_reading_comes() -> None:
    after_hours = replace(PLACE, time_ms=PLACE.time_ms + 7_200_000)
    assert name_episode(CHANGE, after_hours).reason == _reason()
    assert "for 70 s" in _reason(slot=100_006)
    assert "for 2 min" in _reason(slot=100_011)


def test_a_fall_is_below() -> None:
    text = _reason(channel=1, median=37.0, level=60.0)
    assert text.startswith("heart rate 38 % below this pet's resting level (37 against 60 bpm)")


def test_a_limit_is_named_with_its_number_and_species() -> None:
    text = _reason(median=113.0, level=112.9, limit_bpm=110.0)
    assert text.startswith("heart rate at this pet's resting level (113 against 113 bpm)")
    assert text.endswith("; above the limit of 110 bpm for a dog at rest")
    assert _reason(species=2, limit_bpm=300.0).endswith("; above the limit of 300 bpm")


def test_the_comparison_is_true_where_only_the_limit_was_passed() -> None:
    text = _reason(median=112.0, level=120.0, limit_bpm=110.0)
    assert text.startswith("heart rate 7 % below this pet's resting level")


def test_an_end_says_how_long_it_was() -> None:
    one = name_episode(replace(CHANGE, ended=100_029), PLACE)
    assert one.ended_ms == 1_000_300_000
    assert one.reason == "ended: heart rate was above this pet's resting level for 5 min"


def test_the_id_depends_on_pet_partition_direction_and_begin_alone() -> None:
    known = name_episode(CHANGE, PLACE).episode_id
    later = replace(CHANGE, slot=100_050, severity=3, peak=2.0, ended=100_040, closing_row=9)
    assert name_episode(later, replace(PLACE, offset=77)).episode_id == known
    others = [
        name_episode(replace(CHANGE, channel=1), PLACE),
        name_episode(replace(CHANGE, started=100_001), PLACE),
        name_episode(CHANGE, replace(PLACE, pet_id="max")),
        name_episode(CHANGE, replace(PLACE, partition=PLACE.partition + 1)),
    ]
    assert len({known, *(one.episode_id for one in others)}) == 5


def test_an_id_is_the_same_on_every_machine() -> None:
    assert make_id("rex", "high") == "e65c62341f6f2ecffb9a54a1a7addbcd"
    assert make_id("a", "b") != make_id("a\x1e", "b") != make_id("ab")


def test_the_same_illness_of_another_day_is_another_episode() -> None:
    (one,) = begun(score(wear(ILL)))
    (again,) = begun(score(wear(ILL)))
    (other,) = begun(score(wear(ILL, start_ms=START_MS + 86_400_000)))
    assert one == again
    assert one.episode_id != other.episode_id


def test_recent_rates_are_those_of_the_last_four_minutes() -> None:
    (one,) = begun(score(wear(ILL)))
    assert one.recent_bpm == (*[62.0] * 17, *[112.0] * 7)
    assert one.started_ms == START_MS + 100 * SLOT_MS


def test_episodes_are_kept_and_come_back() -> None:
    episodes = score(wear(ILL)).episodes
    assert parse_episodes(encode_episodes(episodes)) == episodes
    assert encode_episodes([]) == b"[]"


def test_what_is_no_list_of_episodes_is_an_error() -> None:
    with pytest.raises(ValueError, match="Expected `array`"):
        parse_episodes(b"{}")
