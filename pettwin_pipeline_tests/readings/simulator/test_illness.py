"""Each illness beside the healthy twin of the same dice."""

import functools
from collections.abc import Callable

import polars as pl
import pytest

from pettwin_pipeline.readings.simulator import ACUTE, ILLNESSES, PERSISTENT, Fleet
from pettwin_pipeline.readings.simulator.illness import COURSES, EFFECTS
from pettwin_pipeline_tests.readings.simulator.runs import (
    MIDNIGHT_MS,
    asleep,
    by_pet,
    during,
    latest,
    middle,
    run,
    share,
)

HOUR_MS = 3_600_000
Twins = Callable[[str], tuple[pl.DataFrame, pl.DataFrame]]


@pytest.fixture(scope="module")
def twins() -> Twins:
    """20 pets from 4 to 11 in the morning, an illness at its height, and their healthy twins."""
    late = pl.col("time_ms") >= MIDNIGHT_MS + 4 * HOUR_MS
    well = run(Fleet.draw(20, 6, ill_share=0), 11, step_s=10.0, trouble=0.3)[0].filter(late)

    @functools.cache
    def of(name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        fleet = Fleet.draw(20, 6, ill_share=1, illnesses=(name,), onset_h=(0, 0), speed=SPEED[name])
        return run(fleet, 11, step_s=10.0, trouble=0.3)[0].filter(late), well

    return of


SPEED = {"arthritis": 15.0, "cardiac": 7.0, "fever": 2.0, "pain": 1.0, "metabolic": 40.0}


def _rate(readings: pl.DataFrame) -> float:
    of_pet = asleep(readings).group_by("pet_id").agg(pl.col("heart_rate").log().median())
    return float(of_pet["heart_rate"].to_numpy().mean())


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("arthritis", 0.0, 0.08),
        ("cardiac", 0.25, 0.5),
        ("fever", 0.2, 0.45),
        ("pain", 0.15, 0.4),
        ("metabolic", 0.2, 0.42),
    ],
)
def test_heart_rate_at_rest_rises_as_the_illness_says(
    twins: Twins, name: str, least: float, most: float
) -> None:
    ill, well = twins(name)
    assert least < _rate(ill) - _rate(well) < most


def test_arthritis_shows_in_the_gait_and_keeps_the_pet_up_at_night(twins: Twins) -> None:
    ill, well = twins("arthritis")
    assert middle(well["gait_symmetry"]) > 0.94
    assert middle(ill["gait_symmetry"]) < 0.88
    night = pl.col("time_ms") < MIDNIGHT_MS + 6 * HOUR_MS
    up = [share(one.filter(night)["activity_score"] > 2) for one in (ill, well)]
    assert up[0] > 1.5 * up[1]


def test_a_failing_heart_beats_irregularly_without_the_breath(twins: Twins) -> None:
    """The breath's arrhythmia goes: cats, who have little of it, show the irregularity itself."""
    roughness = []
    for readings in twins("cardiac"):
        cats = asleep(readings).filter(pl.col("species") == "cat")
        step = cats.select(pl.col("heart_rate").log().diff().over("pet_id").abs())["heart_rate"]
        roughness.append(middle(step))
    assert roughness[0] > 1.5 * roughness[1]


def test_fever_is_warm_and_tired(twins: Twins) -> None:
    ill, well = twins("fever")
    assert middle(ill["temperature_c"]) > middle(well["temperature_c"]) + 0.8
    moved = [float(one["activity_score"].to_numpy().mean()) for one in (ill, well)]
    assert moved[0] < 0.6 * moved[1]


RATIO = pl.col("heart_rate") / pl.col("heart_rate_well")
RISE = pl.col("heart_rate") - pl.col("heart_rate_well")
ACUTE_SIZE = {
    "resting_rise": (RISE, 20.0, 4.0),
    "tachycardia": (RATIO, 1.8, 0.12),
    "bradycardia": (RATIO, 0.6, 0.12),
}


@pytest.mark.parametrize("name", sorted(ACUTE))
def test_an_acute_event_shows_inside_its_label_and_not_outside(name: str) -> None:
    fleet = Fleet.draw(6, 6, ill_share=1, illnesses=(name,), onset_h=(0, 1), cat_share=0)
    ill, labels = run(fleet, 8, step_s=5.0, trouble=0)
    well, _ = run(Fleet.draw(6, 6, ill_share=0, cat_share=0), 8, step_s=5.0, trouble=0)
    events = [one for one in latest(labels) if one.name == name]
    assert len(events) >= 6
    both = ill.join(well, on=["pet_id", "time_ms"], suffix="_well")
    outside, of_pet = both, by_pet(both)
    for one in events:
        assert one.end_ms is not None
        inside = during(of_pet[one.pet_id], one).filter(pl.col("activity_score_well") < 1.5)
        if len(inside):
            measure, expected, within = ACUTE_SIZE[name]
            assert middle(inside.select(measure)[:, 0]) == pytest.approx(expected, abs=within)
        mine = pl.col("pet_id") == one.pet_id
        labelled = pl.col("time_ms").is_between(one.start_ms, one.end_ms + 60_000)
        outside = outside.filter(~(mine & labelled))
    assert (outside["heart_rate"] - outside["heart_rate_well"]).abs().max() == 0


def test_illness_shows_while_running_as_well(twins: Twins) -> None:
    ill, well = twins("cardiac")
    running = pl.col("activity_score").is_between(30, 50) & (pl.col("species") == "dog")
    rates = [middle(one.filter(running)["heart_rate"]) for one in (ill, well)]
    assert rates[0] > 1.15 * rates[1]


def test_labels_of_illness_and_health_cover_the_time_of_every_pet_once() -> None:
    fleet = Fleet.draw(16, 6, ill_share=0.5, onset_h=(0, 5), speed=12.0)
    _, labels = run(fleet, 12, step_s=60.0)
    for pet in fleet.pets:
        mine = [
            (one.start_ms, one.end_ms, one.kind)
            for one in latest(labels)
            if one.pet_id == pet.pet_id and one.kind in {"illness", "healthy"}
        ]
        moment: int | None = MIDNIGHT_MS
        for start_ms, end_ms, _ in sorted(mine):
            assert start_ms == moment
            moment = end_ms
        assert moment == MIDNIGHT_MS + 12 * HOUR_MS
        assert ("illness" in {kind for _, _, kind in mine}) == (pet.illness is not None)


def test_an_interval_is_told_when_it_begins_and_again_when_it_ends() -> None:
    _, labels = run(Fleet.draw(10, 6, ill_share=1, onset_h=(1, 5), speed=12.0), 12, step_s=60.0)
    assert labels == sorted(labels, key=lambda one: one.order)
    opened = {one.label_id: one for one in labels if one.end_ms is None}
    closed = {one.label_id: one for one in labels if one.end_ms is not None}
    assert opened.keys() == closed.keys()
    assert len(labels) == 2 * len(opened)
    for name, one in opened.items():
        other = closed[name]
        assert (one.start_ms, one.visible_ms) == (other.start_ms, other.visible_ms)


def test_a_persistent_illness_is_visible_after_it_began_and_acute_events_never() -> None:
    _, labels = run(Fleet.draw(40, 6, ill_share=1, onset_h=(1, 2)), 4, step_s=60.0)
    seen = {one.name for one in labels if one.kind == "illness"}
    assert seen == set(ILLNESSES)
    for one in labels:
        if one.name in PERSISTENT:
            assert one.visible_ms is not None
            assert one.half_effect_ms is not None
            assert one.start_ms < one.half_effect_ms < one.visible_ms
            assert 0.6 <= one.severity <= 1
        else:
            assert one.visible_ms is None


def test_every_illness_has_a_course_and_an_effect() -> None:
    assert COURSES.keys() == EFFECTS.keys()
