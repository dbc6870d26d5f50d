import pytest

from pettwin_pipeline.detection.blocks import ACTIVE_ABOVE
from pettwin_pipeline.detection.rest import GAP, RECOVERY
from pettwin_pipeline_tests.detection.collars import HOUR, START_MS, Value, begun, score, wear

USUAL = 62.0


def test_exercise_and_its_recovery_are_neither_judged_nor_learnt() -> None:
    active = [0.0] * HOUR + [ACTIVE_ABOVE] * 30 + [0.0] * RECOVERY
    bpm = [USUAL] * HOUR + [160.0] * 30 + [150.0] * RECOVERY
    scored = score(wear([*bpm, USUAL], activity=[*active, 0.0]))
    assert begun(scored) == []
    assert scored.scores["score"][-48:].to_list() == [0.0] * 48
    assert not scored.scores["flagged"].any()
    rested = score(wear([USUAL] * (HOUR + 1))).baselines.states["level"]
    assert scored.baselines.states["level"] == pytest.approx(rested, abs=1e-12)


def test_medians_begin_anew_after_minutes_without_a_heart_rate() -> None:
    for missing, counted in ((GAP - 1, 24), (GAP, 3)):
        later = wear([USUAL] * 4, start_ms=START_MS + (HOUR + missing) * 10_000)
        states = score(wear([USUAL] * HOUR), later).baselines.states
        assert states["ring_n"].tolist() == [counted]


def test_minutes_in_which_heart_rates_come_and_go_are_not_judged() -> None:
    bpm: list[Value] = [*[USUAL] * HOUR, *[USUAL * 1.8, None] * 30]
    assert begun(score(wear(bpm))) == []


def test_a_heart_rate_that_stands_still_while_the_pet_moves_is_not_judged() -> None:
    bpm = [USUAL + 0.1 * (number % 7) for number in range(HOUR)] + [USUAL * 1.5] * 60
    moves: list[Value] = [1.0 + 0.1 * (number % 5) for number in range(len(bpm))]
    assert begun(score(wear(bpm, activity=moves))) == []
    assert len(begun(score(wear(bpm)))) == 1


def test_a_limit_of_sleep_does_not_hold_for_a_collar_that_tells_nothing_of_sleep() -> None:
    assert begun(score(wear([120.0] * 40, stillness=None))) == []
    (asleep,) = begun(score(wear([120.0] * 40)))
    assert asleep.peak == 1.0
    assert "above the limit of 110 bpm for a dog at rest" in asleep.reason


@pytest.mark.parametrize(("stillness", "alarms"), [(0.3, 1), (1.0, 0), (None, 0)])
def test_a_dog_awake_has_a_higher_lower_limit(stillness: Value, alarms: int) -> None:
    assert len(begun(score(wear([40.0] * 20, stillness=stillness)))) == alarms


def test_what_a_collar_first_says_of_its_pet_stands() -> None:
    silent = wear([130.0] * 20, species=None, size=None)
    cat = wear([130.0] * 20, species="cat", start_ms=START_MS + 200_000)
    dog = wear([130.0] * 20, species="dog", start_ms=START_MS + 400_000)
    states = score(silent, cat, dog).baselines.states
    assert states["species"].tolist() == [1]
    assert begun(score(silent, cat, dog)) == []
