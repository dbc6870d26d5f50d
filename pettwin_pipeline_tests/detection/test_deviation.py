import math
from collections.abc import Sequence

import numpy as np
import pytest

from pettwin_pipeline.detection.baseline import PRIOR_WEIGHT
from pettwin_pipeline.detection.deviation import MAX_FROZEN, WARM
from pettwin_pipeline_tests.detection.collars import (
    HOUR,
    MINUTE,
    START_MS,
    Value,
    begun,
    score,
    wear,
)

USUAL = 62.0
LOG_USUAL = math.log(USUAL)


def _level(bpm: Sequence[Value], *, activity: Sequence[Value] | Value = 0.0) -> float:
    """The level of sleep after these slots and one that closes the last."""
    still = activity if isinstance(activity, float) or activity is None else [*activity, 0.0]
    return float(score(wear([*bpm, USUAL], activity=still)).baselines.states["level"][0, 0])


def test_a_young_level_is_the_mean_of_24_usual_slots_and_the_own_ones() -> None:
    assert _level([93.0]) == pytest.approx((24 * LOG_USUAL + math.log(93)) / 25, abs=1e-6)
    assert _level([93.0] * 8) == pytest.approx((24 * LOG_USUAL + 8 * math.log(93)) / 32, abs=1e-6)


def test_a_warm_level_is_pulled_by_at_most_a_fifth_a_slot() -> None:
    warm = [USUAL] * WARM
    # the next weight is 24 + 60 + 1
    assert _level([*warm, 200.0]) == pytest.approx(LOG_USUAL + 0.2 / 85, abs=1e-6)
    assert _level([*warm, 20.0]) == pytest.approx(LOG_USUAL - 0.2 / 85, abs=1e-6)
    assert _level([*warm, 65.0]) == pytest.approx(LOG_USUAL + math.log(65 / 62) / 85, abs=1e-6)


def test_the_score_is_the_median_of_twelve_slots_over_its_threshold() -> None:
    ill = USUAL * math.exp(0.3)
    scores = score(wear([USUAL] * WARM + [ill] * 8)).scores["score"]
    # six of twelve: half way; seven: all the way. Each ill slot before pulled by 0.2 / weight.
    six = 0.15 - 0.2 * sum(1 / weight for weight in range(85, 90))
    seven = 0.30 - 0.2 * sum(1 / weight for weight in range(85, 91))
    assert scores[-2] == pytest.approx(six / 0.40, abs=1e-4)
    assert scores[-1] == pytest.approx(seven / 0.40, abs=1e-4)


def test_the_slow_median_of_24_slots_has_a_threshold_of_its_own() -> None:
    ill = USUAL * math.exp(0.19)
    scored = score(wear([USUAL] * HOUR * 20 + [ill] * 16))
    # after 20 hours at rest a few slots do not move the level: at the 13th ill slot 0.19 / 0.175
    assert scored.scores["score"][-3] == pytest.approx(0.19 / 0.175, abs=2e-3)
    assert [one.direction for one in begun(scored)] == ["high"]


@pytest.mark.parametrize("usual", [45.0, 62.0, 80.0, 95.0])
def test_a_healthy_pet_does_not_alarm_while_its_level_is_young(usual: float) -> None:
    assert begun(score(wear([usual] * HOUR))) == []


@pytest.mark.parametrize("noisy", [1, 5])
def test_a_minute_of_noise_does_not_alarm(noisy: int) -> None:
    for wrong in (250.0, 15.0):
        bpm = [USUAL] * HOUR + [wrong] * noisy + [USUAL] * 30
        assert begun(score(wear(bpm))) == []


def test_a_level_does_not_learn_while_something_is_wrong() -> None:
    healthy = [USUAL] * HOUR
    before = _level(healthy)
    ill = _level([*healthy, *[USUAL * 1.4] * 3 * HOUR])
    # the six slots before the first median shows it pull by at most 0.2 each
    assert before < ill < before + 13 * 0.2 / (HOUR + PRIOR_WEIGHT)


def test_a_level_does_not_learn_from_an_illness_with_silences() -> None:
    healthy = [USUAL] * 2 * HOUR
    once = _level([*healthy, *[USUAL * 1.4] * 30])
    often = _level([*healthy, *([*[USUAL * 1.4] * 30, *[None] * 40] * 10)])
    assert often == pytest.approx(once, abs=1e-9)


def test_a_level_that_is_wrong_for_a_day_begins_to_learn() -> None:
    scored = score(wear([USUAL] * 2 * HOUR + [USUAL * 1.4] * (MAX_FROZEN + 2 * HOUR)))
    state = scored.baselines.states[0]
    assert state["frozen"] > MAX_FROZEN
    assert math.exp(state["level"][0]) > USUAL * 1.02


def test_sleep_and_lying_awake_have_levels_of_their_own() -> None:
    asleep, awake = [USUAL] * 4 * 30 * MINUTE, [USUAL * 1.35] * 30 * MINUTE
    bpm = (asleep + awake) * 3
    stillness = ([1.0] * len(asleep) + [0.5] * len(awake)) * 3
    scored = score(wear(bpm, stillness=stillness))
    assert begun(scored) == []
    levels = np.exp(scored.baselines.states["level"][0])
    assert levels == pytest.approx([USUAL, USUAL * 1.35], rel=0.01)
    ill = score(wear([USUAL * 1.35] * 30, start_ms=START_MS + 10**8), baselines=scored.baselines)
    assert [one.level_bpm for one in begun(ill)] == [pytest.approx(USUAL, rel=0.01)]


def test_a_limit_holds_before_anything_is_known_of_a_pet() -> None:
    (found,) = begun(score(wear([30.0] * 20)))
    assert (found.direction, found.severity) == ("low", "low")


def test_a_level_that_was_learnt_stands_when_the_collar_says_whose_it_is() -> None:
    silent = wear([80.0] * HOUR, species=None, size=None)
    dog = wear([80.0] * 2, start_ms=START_MS + HOUR * 10_000)
    level = score(silent, dog).baselines.states["level"][0, 0]
    assert math.exp(level) == pytest.approx(80.0, rel=0.02)
