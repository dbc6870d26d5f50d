import math

import numpy as np
import polars as pl
import pytest

from pettwin_pipeline.detection.baseline import StateArray, fresh_states
from pettwin_pipeline.detection.slots import STATUSES, Slotted, cut_into_slots
from pettwin_pipeline_tests.detection.collars import START_MS, Value, in_order, stream, wear

SLOT = START_MS // 10_000


def _cut(readings: pl.DataFrame, pets: list[int] | None = None) -> tuple[Slotted, StateArray]:
    rows = np.array(pets if pets is not None else [0] * len(readings))
    states = fresh_states(int(rows.max()) + 1)
    return cut_into_slots(readings, rows, states), states


def test_the_sums_of_an_open_slot_are_whole_numbers_of_a_millionth() -> None:
    _, states = _cut(stream(wear([60.0, 90.0], step_ms=2000, activity=1.5, stillness=0.25)))
    # log(60) * 2**20 = 4293231.4 and log(90) * 2**20 = 4718392.4, each rounded; 1.5 * 2**20
    # twice; 0.25 * 2**20 twice; no gait, no battery; squares of the heart, of the gait; readings
    heart, squares = 4293231 + 4718392, 4293231**2 + 4718392**2
    sums = [heart, 2, 3145728, 2, 524288, 2, 0, 0, 0, 0, squares, 0, 2, 0]
    assert states["slot"].tolist() == [SLOT]
    assert states["sums"].tolist() == [sums]


def test_a_slot_is_closed_by_a_reading_of_a_later_one_and_holds_means() -> None:
    slotted, states = _cut(stream(wear([60.0, 90.0, 77.0], step_ms=6000, activity=[1.0, 2.0, 9.0])))
    closed = slotted.closed
    assert closed.slot.tolist() == [SLOT]
    assert closed.closing_row.tolist() == [2]
    assert math.exp(closed.log_bpm[0]) == pytest.approx(math.sqrt(60 * 90), rel=1e-6)
    assert closed.activity.tolist() == [1.5]
    assert closed.stillness.tolist() == [1.0]
    assert states["slot"].tolist() == [SLOT + 1]
    assert slotted.last_closed.tolist() == [-1, -1, 0]


def test_a_reading_alone_closes_nothing() -> None:
    slotted, states = _cut(stream(wear([60.0])))
    assert len(slotted.closed.slot) == 0
    assert states["last_ms"].tolist() == [START_MS]


def test_a_gap_makes_no_slots() -> None:
    one, later = wear([60.0]), wear([61.0], start_ms=START_MS + 3_600_000)
    slotted, _ = _cut(stream(one, later))
    assert slotted.closed.slot.tolist() == [SLOT]


def test_late_and_repeated_readings_are_named_and_not_summed() -> None:
    readings = in_order(
        wear([60.0] * 5).with_columns(
            pl.Series("time_ms", [START_MS + ms for ms in (0, 4000, 4000, 2000, 6000)])
        )
    )
    slotted, states = _cut(readings)
    assert [STATUSES[code] for code in slotted.status] == [
        "scored",
        "scored",
        "repeated",
        "late",
        "scored",
    ]
    assert states["sums"][0, 1] == 3


def test_a_late_reading_is_shown_with_the_slot_that_was_closed_last() -> None:
    times = [START_MS + ms for ms in (0, 10_000, 5000, 11_000, 20_000, 20_000)]
    readings = in_order(wear([60.0] * 6).with_columns(pl.Series("time_ms", times)))
    slotted, _ = _cut(readings)
    assert slotted.last_closed.tolist() == [-1, 0, 0, 0, 1, 1]


def test_a_collar_whose_clock_runs_ahead_is_late_until_the_time_has_come() -> None:
    ahead = wear([60.0], start_ms=START_MS + 300_000)
    after = wear([60.0] * 32, start_ms=START_MS + 10_000)
    slotted, states = _cut(in_order(pl.concat([ahead, after])))
    assert [STATUSES[code] for code in slotted.status[1:]] == ["late"] * 29 + ["repeated"] + [
        "scored"
    ] * 2
    assert states["last_ms"].tolist() == [START_MS + 320_000]


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, -1.0, 0.0, 4.9, 511.0])
def test_what_is_no_heart_rate_is_not_counted(value: Value) -> None:
    slotted, _ = _cut(stream(wear([60.0, value, 70.0], step_ms=5000)))
    assert math.exp(slotted.closed.log_bpm[0]) == pytest.approx(60.0, rel=1e-6)
    slotted, _ = _cut(stream(wear([value, 70.0])))
    assert np.isnan(slotted.closed.log_bpm).all()


def test_what_a_collar_does_not_send_has_no_mean() -> None:
    slotted, _ = _cut(stream(wear([60.0, 70.0], activity=None, stillness=None)))
    assert np.isnan([slotted.closed.activity, slotted.closed.stillness]).all()


def test_pets_of_the_same_time_are_kept_apart() -> None:
    readings = stream(wear([60.0, 61.0], pet_id="a"), wear([90.0, 91.0], pet_id="b"))
    slotted, states = _cut(readings, [1, 0, 1, 0])
    closed = slotted.closed
    assert closed.pet.tolist() == [0, 1]
    assert closed.nth.tolist() == [0, 0]
    assert closed.closing_row.tolist() == [3, 2]
    assert np.exp(closed.log_bpm).round(3).tolist() == [90.0, 60.0]
    assert slotted.last_closed.tolist() == [-1, -1, 1, 0]
    assert states["last_ms"].tolist() == [START_MS + 10_000] * 2


def test_a_slot_knows_the_kind_of_pet_that_any_of_its_readings_tells() -> None:
    silent = wear([60.0], species=None, size=None)
    telling = wear([60.0, 60.0], species="cat", size="na", start_ms=START_MS + 4000)
    slotted, _ = _cut(stream(silent, telling))
    assert slotted.closed.said.tolist() == [9]  # the second species, the fifth size


def test_slots_of_a_pet_are_numbered_in_turn() -> None:
    readings = stream(wear([60.0] * 4, pet_id="a"), wear([60.0] * 3, pet_id="b"))
    slotted, _ = _cut(readings, [0, 1, 0, 1, 0, 1, 0])
    assert slotted.closed.nth.tolist() == [0, 1, 2, 0, 1]


def test_an_open_slot_goes_on_in_the_next_batch() -> None:
    whole, parts = fresh_states(1), fresh_states(1)
    readings = stream(wear([60.0, 65.0, 70.0, 75.0], step_ms=4000))
    rows = np.zeros(4, np.int64)
    cut_into_slots(readings, rows, whole)
    first = cut_into_slots(readings[:2], rows[:2], parts)
    second = cut_into_slots(readings[2:], rows[2:], parts)
    assert len(first.closed.slot) == 0
    assert second.closed.closing_row.tolist() == [1]
    assert parts.tobytes() == whole.tobytes()


def test_a_clock_that_is_years_ahead_does_not_disturb_many_other_pets() -> None:
    pets, year_9999_ms = 40_000, 253_370_764_800_000
    rows = np.r_[np.arange(pets), pets, np.arange(pets)]
    times = np.r_[np.full(pets, START_MS), year_9999_ms, np.full(pets, START_MS)]
    frame = in_order(pl.DataFrame({"pet_id": rows.astype(str), "time_ms": times}))
    slotted = cut_into_slots(frame, rows, fresh_states(pets + 1))
    assert np.bincount(slotted.status).tolist() == [pets + 1, 0, pets]  # scored, late, repeated
