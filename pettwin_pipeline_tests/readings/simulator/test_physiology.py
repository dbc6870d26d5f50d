"""Behaviour and heart of healthy pets, against what is measured on real ones."""

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from pettwin_pipeline.readings.simulator import Fleet
from pettwin_pipeline_tests.readings.simulator.runs import asleep, middle, run, share

Frame = pl.DataFrame


@pytest.fixture(scope="module")
def sleeping() -> Frame:
    """150 dogs in the small hours: enough that the spread between dogs is that of all dogs."""
    return asleep(run(Fleet.draw(150, 11, ill_share=0, cat_share=0), 2, trouble=0)[0])


@pytest.fixture(scope="module")
def dogs() -> Frame:
    """12 healthy dogs over a day with nothing wrong with their collars."""
    return run(Fleet.draw(12, 11, ill_share=0, cat_share=0), 24, trouble=0)[0]


@pytest.fixture(scope="module")
def cats() -> Frame:
    return run(Fleet.draw(10, 11, ill_share=0, cat_share=1), 24, step_s=5.0, trouble=0)[0]


def _mean(readings: Frame) -> float:
    return float(readings["activity_score"].to_numpy().mean())


def _means(readings: Frame, seconds: int) -> Frame:
    slot = (pl.col("time_ms") // (1000 * seconds)).alias("slot")
    return (
        readings.group_by("pet_id", slot, maintain_order=True)
        .agg(pl.col("heart_rate").mean(), pl.col("activity_score").mean(), pl.len().alias("n"))
        .drop_nulls("heart_rate")
    )


def test_sleeping_dogs_have_the_heart_rates_of_real_ones(sleeping: Frame) -> None:
    """Real ones, rates over 4 s every 2 s, means of 10 s: 44/56/64/74/94 in the same sessions."""
    means = _means(sleeping, 10)["heart_rate"]
    for part, real, within in (
        (0.05, 44, 5),
        (0.25, 56, 5),
        (0.5, 64, 5),
        (0.75, 74, 5),
        (0.95, 94, 10),
    ):
        assert means.quantile(part) == pytest.approx(real, abs=within)


def test_a_sleeping_dogs_heart_spreads_within_minutes_as_real_ones_do(sleeping: Frame) -> None:
    """Real ones: 11.8, 7.5 and 4.6 bpm within five minutes with averages of 4, 10 and 30 s."""
    for seconds, real in ((4, 11.8), (10, 7.5), (30, 4.6)):
        session = pl.col("slot") * seconds // 300
        spread = (
            _means(sleeping, seconds)
            .group_by("pet_id", session)
            .agg(pl.col("heart_rate").std())["heart_rate"]
        )
        assert middle(spread) == pytest.approx(real, rel=0.25)


def test_a_dogs_sessions_drift_by_nine_percent(dogs: Frame) -> None:
    sessions = _means(asleep(dogs), 300).filter(pl.col("n") > 100)
    drift = sessions.group_by("pet_id").agg(pl.col("heart_rate").log().std())["heart_rate"]
    assert middle(drift) == pytest.approx(0.095, abs=0.015)


def test_arrhythmia_alone_puts_a_quarter_of_a_sleeping_dogs_readings_below_50(
    sleeping: Frame,
) -> None:
    assert share(sleeping["heart_rate"] < 50) == pytest.approx(0.27, abs=0.08)


def test_noise_is_correlated(sleeping: Frame) -> None:
    lags = []
    for _, one in _means(sleeping, 10).group_by("pet_id", pl.col("slot") // 30):
        log = np.log(one["heart_rate"].to_numpy())
        if len(log) >= 25:
            log = log - log.mean()
            lags.append(float((log[1:] * log[:-1]).sum() / (log**2).sum()))
    assert np.median(lags) == pytest.approx(0.18, abs=0.06)


def test_some_hearts_pause_and_some_beats_are_doubled(sleeping: Frame) -> None:
    rate = sleeping["heart_rate"].drop_nulls()
    assert 0.0005 < share(rate < 25) < 0.02
    assert 0.002 < share(rate > 110) < 0.05


def test_cats_at_rest_and_awake_have_the_heart_rates_of_cats_at_home(cats: Frame) -> None:
    awake = cats.filter(pl.col("activity_score").is_between(3, 8))
    assert middle(awake["heart_rate"]) == pytest.approx(132, abs=12)


def test_dogs_sleep_at_night_and_move_by_day(dogs: Frame) -> None:
    hour = pl.col("time_ms") // 3_600_000 % 24
    night = dogs.filter(hour.is_in([0, 1, 2, 3, 4]))
    day = dogs.filter(hour.is_between(10, 18))
    assert len(asleep(night)) / len(night) > 0.75
    assert len(asleep(day)) / len(day) < 0.6
    assert _mean(day) > 5 * _mean(night)
    assert middle(day["heart_rate"]) > 1.1 * middle(night["heart_rate"])


def test_cats_move_most_at_dusk_and_dawn(cats: Frame) -> None:
    hour = pl.col("time_ms") // 3_600_000 % 24
    dusk_and_dawn, noon_and_night = hour.is_in([6, 7, 19, 20]), hour.is_in([1, 2, 12, 13])
    assert _mean(cats.filter(dusk_and_dawn)) > _mean(cats.filter(noon_and_night))


def _lag_s(one: Frame, step_s: float) -> float:
    log = one["heart_rate"].forward_fill().log().to_numpy()
    effort = one["activity_score"].to_numpy() ** 0.8
    changes = _rise(log), _rise(effort)
    lags = range(60)
    likeness = [
        float(np.corrcoef(changes[0][lag:], changes[1][: len(changes[1]) - lag])[0, 1])
        for lag in lags
    ]
    return int(np.argmax(likeness)) * step_s


def _rise(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How much more there is in the 20 s after each moment than in the 20 s before."""
    return np.convolve(values, np.r_[np.ones(10), -np.ones(10)], mode="valid")


def test_the_heart_follows_activity_tens_of_seconds_later(dogs: Frame) -> None:
    lags = [_lag_s(one, 2.0) for _, one in dogs.group_by("pet_id")]
    assert 6 <= np.median(lags) <= 60
    assert min(lags) > 0


def test_a_dog_that_runs_has_more_than_twice_its_resting_rate(dogs: Frame) -> None:
    means = _means(dogs, 60)
    running = means.filter(pl.col("activity_score") > 50)["heart_rate"]
    resting = means.filter(pl.col("activity_score") < 2)["heart_rate"]
    assert middle(running) > 2 * middle(resting)


def test_gait_is_seen_only_while_moving(dogs: Frame, cats: Frame) -> None:
    for readings in (dogs, cats):
        still = readings.filter(pl.col("activity_score") < 11)["gait_symmetry"]
        moving = readings.filter(pl.col("activity_score") > 13)["gait_symmetry"]
        assert still.is_null().all()
        assert moving.is_not_null().all()
        assert middle(moving) > 0.93


def test_stillness_looks_back_on_minutes(dogs: Frame) -> None:
    one_step = pl.col("time_ms").diff().over("pet_id") < 2100
    change = pl.col("sleep_quality").diff().over("pet_id").abs().alias("change")
    assert (dogs.select(change, one_step).filter("time_ms")["change"] < 0.02).all()
    assert middle(asleep(dogs)["sleep_quality"]) > 0.9
    assert middle(dogs.filter(pl.col("activity_score") > 50)["sleep_quality"]) < 0.2
