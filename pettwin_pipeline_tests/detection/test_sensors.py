"""What is wrong with a collar is told as that, and not as an illness."""

import numpy as np
import polars as pl

from pettwin_pipeline.detection.episodes import Episode
from pettwin_pipeline.detection.scoring import Scored
from pettwin_pipeline_tests.detection.collars import HOUR, START_MS, Value, begun, score, wear

USUAL = 62.0


def _heart(count: int, seed: int = 1) -> list[Value]:
    dice = np.random.default_rng(seed)
    rates: list[Value] = (USUAL * np.exp(0.05 * dice.standard_normal(count))).tolist()
    return rates


def _faults(scored: Scored) -> list[Episode]:
    return [one for one in scored.episodes if one.kind == "sensor" and one.ended_ms is None]


def _names(scored: Scored) -> list[str]:
    return [one.direction for one in _faults(scored)]


def _hours_from_start(time_ms: int | None) -> float:
    assert time_ms is not None
    return (time_ms - START_MS) / 3_600_000


def test_a_healthy_pet_has_no_faults() -> None:
    assert score(wear(_heart(6 * HOUR))).episodes == []


def test_a_heart_rate_that_stands_still_for_a_quarter_of_an_hour_is_flat() -> None:
    bpm = [*_heart(HOUR), *[70.0] * HOUR, *_heart(HOUR, 2)]
    scored = score(wear(bpm))
    (one,) = _faults(scored)
    assert (one.direction, one.signal, one.severity) == ("flat", "heart_rate", "low")
    assert one.reason == "sensor: the heart rate stands still at one value"
    assert 1.2 < _hours_from_start(one.raised_ms) < 1.5
    (end,) = [one for one in scored.episodes if one.ended_ms is not None]
    assert abs(_hours_from_start(end.ended_ms) - 2) < 0.1
    assert begun(scored) == []


def test_heart_rates_that_no_animal_has_are_impossible() -> None:
    bpm = _heart(3 * HOUR)
    for at in range(HOUR, HOUR + 120, 6):
        bpm[at] = 999.0 if at % 2 else -1.0
    assert _names(score(wear(bpm))) == ["impossible"]


def test_a_collar_without_heart_and_movement_is_not_on_the_pet() -> None:
    bpm = [*_heart(HOUR), *[None] * HOUR, *_heart(HOUR, 2)]
    scored = score(wear(bpm))
    assert _names(scored) == ["detached"]
    assert begun(scored) == []


def test_a_collar_that_loses_the_heart_now_and_then_is_loose() -> None:
    dice = np.random.default_rng(4)
    lost = [one if dice.random() > 0.45 else None for one in _heart(HOUR)]
    scored = score(wear([*_heart(HOUR), *lost, *_heart(HOUR, 2)]))
    assert set(_names(scored)) == {"loose"}
    assert begun(scored) == []


def test_a_collar_that_never_had_a_heart_is_not_missed() -> None:
    assert score(wear([None] * 2 * HOUR)).episodes == []


def test_a_nearly_empty_battery_is_told_once() -> None:
    worn = wear(_heart(2 * HOUR))
    battery = pl.Series("battery", np.linspace(30, 2, len(worn)))
    scored = score(worn.with_columns(battery))
    (one,) = _faults(scored)
    assert (one.direction, one.signal) == ("low_battery", "battery")


def test_a_silence_is_told_when_the_next_reading_comes() -> None:
    later = wear(_heart(HOUR, 2), start_ms=START_MS + 2 * 3_600_000)
    scored = score(wear(_heart(HOUR)), later)
    (one,) = _faults(scored)
    assert one.direction == "gap"
    assert one.raised_ms >= START_MS + 2 * 3_600_000
    assert _hours_from_start(one.started_ms) == 1.0
    assert begun(scored) == []
