import math
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from pettwin_pipeline.detection.baseline import Baselines
from pettwin_pipeline.detection.hearts import COOL, LASTING, SEVERITIES
from pettwin_pipeline.detection.scoring import Scored, score_batch
from pettwin_pipeline_tests.detection.collars import (
    HOUR,
    MINUTE,
    SLOT_MS,
    START_MS,
    Value,
    begun,
    ended,
    score,
    stream,
    told,
    wear,
)

USUAL = 62.0
HEALTHY = [USUAL] * 2 * HOUR
ILL = USUAL * 1.4
DAY = 24 * HOUR


def _after_health(bpm: Sequence[Value], activity: Sequence[Value] | None = None) -> Scored:
    active = [*[0.0] * len(HEALTHY), *(activity or [0.0] * len(bpm))]
    return score(wear([*HEALTHY, *bpm], activity=active))


@pytest.fixture(scope="module")
def day_of_illness() -> Scored:
    """Two hours of health, a day of illness with noise, an hour of health."""
    dice = np.random.default_rng(3)
    bpm = np.r_[HEALTHY, [ILL] * DAY, [USUAL] * HOUR].astype(float)
    noise = np.exp(0.08 * dice.standard_normal(len(bpm)))
    return score(wear((bpm * noise).tolist()))


def test_a_persistent_illness_is_one_episode_from_begin_to_end(day_of_illness: Scored) -> None:
    (one,) = begun(day_of_illness)
    assert one.started_ms - START_MS == pytest.approx(2 * 3_600_000, abs=60_000)
    (end,) = ended(day_of_illness)
    assert end.episode_id == one.episode_id
    assert end.ended_ms is not None
    assert end.ended_ms - START_MS == pytest.approx(26 * 3_600_000, abs=180_000)


def test_a_persistent_illness_is_flagged_all_the_time(day_of_illness: Scored) -> None:
    hours = (pl.col("time_ms") - START_MS) // 3_600_000
    share = day_of_illness.scores.group_by(hours.alias("hour")).agg(pl.col("flagged").mean())
    by_hour = dict(share.iter_rows())
    assert all(by_hour[hour] > 0.95 for hour in range(2, 26))
    assert by_hour[0] == by_hour[1] == 0


def test_a_day_of_illness_is_not_learnt(day_of_illness: Scored) -> None:
    level = math.exp(day_of_illness.baselines.states["level"][0, 0])
    assert level == pytest.approx(USUAL, rel=0.01)


def test_a_fall_is_an_episode_of_its_own_direction() -> None:
    (one,) = begun(_after_health([USUAL * 0.6] * 20))
    assert (one.direction, one.median_bpm) == ("low", 37.2)
    assert one.level_bpm == pytest.approx(USUAL, abs=0.2)


def test_an_episode_is_told_at_its_seventh_slot_and_began_at_its_first() -> None:
    scored = _after_health([USUAL * 1.8] * 20)
    (one,) = begun(scored)
    first_ms = START_MS + len(HEALTHY) * SLOT_MS
    assert one.started_ms == first_ms
    assert one.raised_ms == first_ms + 7 * SLOT_MS
    assert scored.scores.filter(pl.col("flagged"))["time_ms"].min() == one.raised_ms


def test_severity_only_rises_and_each_is_told_once() -> None:
    bpm: list[Value] = [
        *[USUAL * 1.25] * 40,
        *[USUAL * 1.85] * 40,
        *[USUAL * 3.1] * 40,
        *[USUAL * 1.25] * 40,
    ]
    scored = _after_health(bpm)
    assert len(begun(scored)) == 1
    assert [one.severity for one in told(scored)] == ["low", "medium", "high"]
    peaks = [one.peak for one in told(scored)]
    assert peaks == sorted(peaks)


def test_a_limit_is_low_at_once_and_medium_when_it_lasts() -> None:
    scored = score(wear([120.0] * 150))
    first, later = told(scored)
    assert (first.severity, later.severity) == ("low", "medium")
    assert later.raised_ms - first.started_ms >= LASTING * SLOT_MS


def test_the_rate_that_is_told_with_a_limit_is_the_one_that_passed_it() -> None:
    rising = [*[120.0] * 2 * HOUR, *[170.0] * 9 * MINUTE, *[250.0] * 4 * MINUTE]
    passed = [one for one in told(score(wear(rising, species="cat"))) if "limit" in one.reason]
    found = [(one.severity, one.median_bpm) for one in passed]
    assert found[-1] == ("critical", 250.0)
    assert all("(250 against 120 bpm)" in one.reason for one in passed)


def test_what_no_pet_should_have_is_critical_at_once() -> None:
    assert [one.severity for one in told(_after_health([24.0] * 14))][-1] == "critical"


@pytest.mark.parametrize(("pause", "episodes"), [(COOL, 1), (3 * COOL, 2)])
def test_alarms_within_the_cool_down_are_one_episode(pause: int, episodes: int) -> None:
    bpm: list[Value] = [*[ILL] * 24, *[USUAL] * pause, *[ILL] * 24, *[USUAL] * 60]
    scored = _after_health(bpm)
    assert len(begun(scored)) == episodes
    assert len(ended(scored)) == episodes


def test_a_new_episode_knows_nothing_of_the_one_before() -> None:
    large, small = [USUAL * 2.0] * 30, [USUAL * 1.25] * 30
    scored = _after_health([*large, *[USUAL] * 90, *small, *[USUAL] * 60])
    first, second = (one.episode_id for one in begun(scored))
    peaks = {one.episode_id: one.peak for one in ended(scored)}
    assert peaks[first] == pytest.approx(math.log(2.0) / 0.175, rel=0.05)
    assert peaks[second] == pytest.approx(math.log(1.25) / 0.175, rel=0.05)


def test_an_end_is_told_after_the_cool_down_and_names_the_last_alarm() -> None:
    scored = _after_health([*[USUAL * 1.8] * 24, *[USUAL] * 60])
    (end,) = ended(scored)
    assert end.ended_ms is not None
    assert end.raised_ms - end.ended_ms == (COOL + 1) * SLOT_MS
    assert len(begun(scored)) == 1


def test_exercise_does_not_alarm_and_illness_at_rest_after_it_does() -> None:
    run = [150.0] * 20 * MINUTE
    rest = [120.0] * 10 + [80.0] * 8 + [USUAL] * 30
    moves = [60.0] * len(run) + [0.0] * len(rest)
    assert begun(_after_health(run + rest, moves)) == []
    (one,) = begun(_after_health(run + [ILL] * 48, moves))
    assert one.raised_ms > START_MS + (len(HEALTHY) + len(run) + 18) * SLOT_MS


def test_getting_up_for_ten_minutes_does_not_end_an_episode() -> None:
    bpm: list[Value] = [*[ILL] * 60, *[140.0] * 60, *[ILL] * 60]
    moves: list[Value] = [*[0.0] * 60, *[50.0] * 60, *[0.0] * 60]
    scored = _after_health(bpm, moves)
    assert len(begun(scored)) == 1
    assert ended(scored) == []


def test_an_ill_pet_that_moves_is_not_judged_and_stays_ill() -> None:
    bpm: list[Value] = [*[ILL] * 60, *[140.0] * 60]
    scored = _after_health(bpm, [*[0.0] * 60, *[50.0] * 60])
    last = scored.scores[-50:]
    assert last["flagged"].all()
    assert (last["score"] == 0).all()


def test_a_pet_that_got_well_while_moving_ends_its_episode_at_rest() -> None:
    bpm: list[Value] = [*[ILL] * 60, *[140.0] * 60, *[USUAL] * 90]
    scored = _after_health(bpm, [*[0.0] * 60, *[50.0] * 60, *[0.0] * 90])
    (end,) = ended(scored)
    assert end.ended_ms == START_MS + (len(HEALTHY) + 60) * SLOT_MS


@pytest.mark.parametrize(
    ("silent_s", "episodes"), [(600, 1), (3700, 1), (10_700, 1), (10_900, 2), (40_000, 2)]
)
def test_an_illness_after_hours_of_silence_is_a_new_episode(silent_s: int, episodes: int) -> None:
    before = wear([*HEALTHY, *[ILL] * 60])
    last_ms = START_MS + (len(HEALTHY) + 59) * SLOT_MS
    after = wear([ILL] * 60, start_ms=last_ms + silent_s * 1000)
    scored = score(before, after)
    assert len(begun(scored)) == episodes
    for end in ended(scored):
        assert end.ended_ms == last_ms + SLOT_MS
        assert end.median_bpm > 0
    assert len(ended(scored)) == episodes - 1


def test_a_pet_without_a_heart_rate_is_never_flagged() -> None:
    scored = score(wear([None] * 200))
    assert scored.episodes == []
    assert not scored.scores["flagged"].any()
    assert (scored.scores["score"] == 0).all()


def test_severities_are_in_order() -> None:
    assert SEVERITIES == ("none", "low", "medium", "high", "critical")


def test_a_rise_and_a_fall_are_two_episodes() -> None:
    bpm: list[Value] = [*[ILL] * 40, *[USUAL * 0.6] * 40]
    assert sorted(one.direction for one in begun(_after_health(bpm))) == ["high", "low"]


def test_many_pets_alarm_at_once_each_on_its_own() -> None:
    collars = [
        wear(HEALTHY + [USUAL * 1.8 if number % 2 else USUAL] * 12, pet_id=f"pet-{number}")
        for number in range(6)
    ]
    scored = score_batch(stream(*collars), Baselines.empty())
    assert [one.pet_id for one in begun(scored)] == ["pet-1", "pet-3", "pet-5"]
