"""Confounders and faults of the sensor: labelled, and doing what their names say."""

from dataclasses import dataclass

import polars as pl
import pytest

from pettwin_pipeline.readings.simulator import OUTINGS, STORMS, Fleet, Label
from pettwin_pipeline.readings.simulator.collar import TROUBLES
from pettwin_pipeline_tests.readings.simulator.runs import (
    by_pet,
    during,
    latest,
    middle,
    run,
    share,
)


@dataclass(frozen=True)
class Day:
    """Readings by pet, and labels by name, each interval once."""

    readings: dict[str, pl.DataFrame]
    labels: dict[str, list[Label]]

    def each(self, name: str) -> list[pl.DataFrame]:
        """The readings during each interval of a name."""
        return [during(self.readings[one.pet_id], one) for one in self.labels[name]]

    def alone(self, name: str) -> pl.DataFrame:
        """The readings during a name while nothing else that is labelled goes on."""
        others = [
            one for key, some in self.labels.items() if key not in {name, "healthy"} for one in some
        ]
        parts = []
        for one in self.labels[name]:
            part = during(self.readings[one.pet_id], one)
            for other in others:
                if other.pet_id == one.pet_id:
                    meanwhile = pl.col("time_ms").is_between(other.start_ms, other.end_ms)
                    part = part.filter(~meanwhile)
            parts.append(part)
        return pl.concat(parts)


@pytest.fixture(scope="module")
def day() -> Day:
    """A day of 40 healthy pets to whom a lot happens."""
    readings, labels = run(Fleet.draw(40, 9, ill_share=0), 24, step_s=10.0, trouble=5.0)
    by_name: dict[str, list[Label]] = {}
    for one in latest(labels):
        by_name.setdefault(one.name, []).append(one)
    return Day(by_pet(readings), by_name)


def test_all_confounders_and_faults_come_with_labels_of_their_kind(day: Day) -> None:
    by_name = day.labels
    for kind in (*OUTINGS, *STORMS, *TROUBLES):
        if kind.label is None:
            assert kind.name not in by_name
        else:
            assert {one.kind for one in by_name[kind.name]} == {kind.label}


def test_a_quiet_day_has_only_healthy_labels() -> None:
    _, labels = run(Fleet.draw(10, 9, ill_share=0), 3, trouble=0)
    assert {one.kind for one in labels} == {"healthy"}


def test_play_and_exercise_are_moving_hearts(day: Day) -> None:
    for name in ("play", "exercise"):
        found = day.alone(name)
        assert middle(found["activity_score"]) > 30
    assert set(pl.concat(day.each("exercise"))["species"]) == {"dog"}


def test_nobody_plays_or_goes_to_the_vet_at_night(day: Day) -> None:
    by_name = day.labels
    for kind in OUTINGS:
        hours = {one.start_ms // 3_600_000 % 24 for one in by_name[kind.name]}
        assert not hours & {0, 1, 2, 3}


@pytest.mark.parametrize("name", ["vet_visit", "thunderstorm"])
def test_fright_raises_the_heart_rate_of_a_pet_that_is_not_asleep(day: Day, name: str) -> None:
    found = day.alone(name)
    calm = pl.concat(day.readings.values()).filter(pl.col("sleep_quality") > 0.9)
    rest = calm.group_by("pet_id").agg(pl.col("heart_rate").median().alias("rest"))
    ratio = found.join(rest, on="pet_id").select(pl.col("heart_rate") / pl.col("rest"))
    assert middle(ratio["heart_rate"]) > 1.4
    assert middle(found["sleep_quality"]) < 0.4


def test_a_thunderstorm_comes_over_several_pets_at_once(day: Day) -> None:
    by_name = day.labels
    starts = [one.start_ms for one in by_name["thunderstorm"]]
    assert len(set(starts)) < len(starts) / 2


def test_a_loose_collar_loses_and_garbles_beats(day: Day) -> None:
    found = day.alone("loose_collar")
    assert 0.3 < share(found["heart_rate"].is_null()) < 0.7
    step = found.select(pl.col("heart_rate").log().diff().over("pet_id").abs())["heart_rate"]
    assert middle(step) > 0.2


@pytest.mark.parametrize("name", ["charging", "detached"])
def test_a_collar_on_a_table_moves_not_and_has_hardly_a_heart(day: Day, name: str) -> None:
    found = day.alone(name)
    assert (found["activity_score"] == 0).all()
    assert found["gait_symmetry"].is_null().all()
    assert share(found["heart_rate"].is_null()) > 0.9
    assert (found["temperature_c"].drop_nulls() < 26).all()


def test_charging_fills_the_battery(day: Day) -> None:
    gains = []
    for one in day.each("charging"):
        battery = one["battery"]
        if len(battery) > 60:
            gains.append(battery[-1] - battery[0])
    assert gains
    assert min(gains) >= 0
    assert max(gains) > 20


def test_a_flat_line_is_one_value(day: Day) -> None:
    for one in day.each("flat_line"):
        assert one["heart_rate"].drop_nulls().n_unique() <= 1


def test_a_low_battery_says_so_and_sends_little(day: Day) -> None:
    for one in day.labels["low_battery"]:
        found = during(day.readings[one.pet_id], one)
        assert (found["battery"] <= 8).all()
        assert one.end_ms is not None
        assert len(found) < 0.3 * (one.end_ms - one.start_ms) / 10_000
    assert (day.alone("play")["battery"] >= 12).all()


def test_nothing_is_sent_in_a_gap(day: Day) -> None:
    assert {len(one) for one in day.each("gap")} == {0}


def test_an_impossible_value_comes_now_and_then(day: Day) -> None:
    found = pl.concat(day.each("impossible_value"))["heart_rate"]
    assert 0.1 < share(~found.is_between(5, 400)) < 0.4
