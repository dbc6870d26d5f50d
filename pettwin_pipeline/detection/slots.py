"""Readings cut into slots of 10 s per pet: what the screen steps over.

A slot is closed when a later one begins, so that any batch size gives the same slots. Sums are kept
as integers (fixed point): they are exact, so neither order nor batch edges can change them. Late
readings (older than the pet's newest) and repeated ones (its newest time again) are named, not
used. A value that is null, not a number or outside its physical range is not counted among the
values of its signal; such heart rates are counted by themselves: they speak of the sensor.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pettwin_pipeline.detection.baseline import NEVER, IndexArray, StateArray
from pettwin_pipeline.detection.clinical import CodeArray, FloatArray, profile_codes
from pettwin_pipeline.readings.schema import PHYSICAL_RANGES

SLOT_MS: Final = 10_000
SCALE: Final = 2.0**20
"""Values are summed in steps of 1e-6, so coarse that the last bit in which processors differ does
not show."""
SUMMED: Final = ("heart_rate", "activity_score", "sleep_quality", "gait_symmetry", "battery")
"""Signals of which a slot holds sum and count, in this order; of heart rate its logarithm. Then
follow the sums of squares of the first and of the fourth, readings, and impossible heart rates."""
SQUARES, READINGS, IMPOSSIBLE = 10, 12, 13
SUMS: Final = 14
FEWEST: Final = 3  # values that have a spread
LEAST_SPREAD: Final = 1e-3

BoolArray = npt.NDArray[np.bool_]

SCORED, LATE, REPEATED = np.uint8(0), np.uint8(1), np.uint8(2)
STATUSES: Final = ("scored", "late", "repeated")


@dataclass(frozen=True, slots=True)
class ClosedSlots:
    """Slots that a batch closed, by pet and time. All arrays have one entry a slot.

    Attributes:
        pet: row in the states.
        slot: event time divided by SLOT_MS.
        nth: counts the slots of one pet from 0: slots with the same number belong to different
            pets and are stepped over together.
        closing_row: the row, in the order of the batch, of the reading that closed the slot.
        said: of species and size, see `profile_codes`.
        log_bpm: mean of log(heart rate), NaN where there was none.
        activity: mean, NaN where there was none.
        stillness: mean sleep_quality, NaN where there was none.
        gait: mean, NaN where there was none.
        battery: mean percent, NaN where there was none.
        spread: log of the standard deviation of log(heart rate) within the slot, NaN where there
            are fewer than FEWEST or all are the same.
        gait_spread: standard deviation of the gait within the slot, NaN as above.
        readings: how many.
        hearts: how many of them had a heart rate.
        impossible: how many had one that no animal has.
        same: the heart rate if all were the same (fixed point of its logarithm), else -1.
    """

    pet: IndexArray
    slot: IndexArray
    nth: IndexArray
    closing_row: IndexArray
    said: CodeArray
    log_bpm: FloatArray
    activity: FloatArray
    stillness: FloatArray
    gait: FloatArray
    battery: FloatArray
    spread: FloatArray
    gait_spread: FloatArray
    readings: IndexArray
    hearts: IndexArray
    impossible: IndexArray
    same: IndexArray


@dataclass(frozen=True, slots=True)
class Slotted:
    """A batch cut into slots.

    Attributes:
        closed: what the screen steps over.
        status: of each reading, an index into STATUSES, shape (rows,).
        last_closed: for each reading the index of the last slot of its pet that was closed before
            or by it, -1 for none in this batch, shape (rows,).
    """

    closed: ClosedSlots
    status: CodeArray
    last_closed: IndexArray


def cut_into_slots(readings: pl.DataFrame, pet: IndexArray, states: StateArray) -> Slotted:
    """Cut readings into slots; open slots and latest times in `states` are moved on in place.

    Args:
        readings: frame of READING_SCHEMA in stream order, one partition, not empty.
        pet: row of each reading's pet in `states`, shape (rows,).
        states: `STATE` records.
    """
    time_ms = readings["time_ms"].to_numpy()
    by_pet = np.argsort(pet, kind="stable")
    latest = _latest_before(pet[by_pet], time_ms[by_pet], states["last_ms"])
    news = time_ms[by_pet] - latest
    status = np.empty(len(pet), np.uint8)
    status[by_pet] = np.where(news > 0, SCORED, np.where(news < 0, LATE, REPEATED))
    closed = _close(readings, pet, by_pet[news > 0], states)
    return Slotted(closed, status, _last_closed(pet, by_pet, closed))


def _latest_before(pet: IndexArray, time_ms: IndexArray, kept: IndexArray) -> IndexArray:
    """For each reading the latest time of its pet before it; `pet` is sorted."""
    first = starts(pet)
    times, rank = np.unique(time_ms, return_inverse=True)  # ranks: a clock may be years ahead
    lift = np.cumsum(first) * len(times)  # every pet above all pets before it
    latest = np.maximum.accumulate(rank + lift)
    before = times[np.maximum(np.r_[0, latest[:-1]] - lift, 0)]
    before[first] = NEVER
    known: IndexArray = np.maximum(before, kept[pet])
    return known


def starts(sorted_values: IndexArray) -> BoolArray:
    """Where a value differs from the one before it; true at the first."""
    differs: BoolArray = np.ones(len(sorted_values), np.bool_)
    differs[1:] = sorted_values[1:] != sorted_values[:-1]
    return differs


def ends(sorted_values: IndexArray) -> BoolArray:
    """Where a value differs from the one after it; true at the last."""
    differs: BoolArray = np.ones(len(sorted_values), np.bool_)
    differs[:-1] = sorted_values[1:] != sorted_values[:-1]
    return differs


def _close(
    readings: pl.DataFrame, pet: IndexArray, used: IndexArray, states: StateArray
) -> ClosedSlots:
    """Sum the used readings, sorted by pet, onto the open slots; keep open the last of each pet."""
    touched = pet[used][starts(pet[used])]
    pets = np.concatenate([touched, pet[used]])
    in_order = np.argsort(pets, kind="stable")  # the slot that was left open comes first
    pets = pets[in_order]
    time_ms = readings["time_ms"].to_numpy()
    slots = np.concatenate([states["slot"][touched], time_ms[used] // SLOT_MS])[in_order]
    rows = np.concatenate([np.full(len(touched), -1), used])[in_order]
    table = np.concatenate([states["sums"][touched].T, _fixed_point(readings)], axis=1)
    of_table = np.concatenate([np.arange(len(touched)), len(touched) + used])[in_order]
    table = np.take(table, of_table, axis=1)
    said = np.concatenate([states["said"][touched], profile_codes(readings)[used]])[in_order]
    begin = np.flatnonzero(starts(pets) | starts(slots))
    pets, slots = pets[begin], slots[begin]
    sums = np.add.reduceat(table, begin, axis=1) if len(begin) else table
    said = np.minimum.reduceat(said, begin) if len(begin) else said
    stays = ends(pets)  # the last slot of each pet
    states["slot"][touched], states["sums"][touched] = slots[stays], sums[:, stays].T
    states["said"][touched] = said[stays]
    states["last_ms"][pet[used]] = time_ms[used]  # in the order of time: the last one stands
    which = np.flatnonzero(~stays & (slots != NEVER))
    closing_row = rows[begin[which + 1]]
    return _closed(pets, slots, sums, said, which=which, closing_row=closing_row)


def _closed(
    pets: IndexArray,
    slots: IndexArray,
    sums: IndexArray,
    said: CodeArray,
    *,
    which: IndexArray,
    closing_row: IndexArray,
) -> ClosedSlots:
    pet = pets[which]
    position = np.arange(len(pet))
    start = np.maximum.accumulate(np.where(starts(pet), position, 0))
    table = sums[:, which]
    heart, activity, stillness, gait, battery = (
        mean_of(table[2 * i], table[2 * i + 1]) for i in range(len(SUMMED))
    )
    spread = _spread(table[0], table[1], table[SQUARES])
    hearts = table[1]
    is_same = (hearts > 0) & (table[0] * table[0] == hearts * table[SQUARES])
    return ClosedSlots(
        pet=pet,
        slot=slots[which],
        nth=position - start,
        closing_row=closing_row,
        said=said[which],
        log_bpm=heart,
        activity=activity,
        stillness=stillness,
        gait=gait,
        battery=battery,
        spread=np.where(spread > 0, np.log(np.maximum(spread, LEAST_SPREAD)), np.nan),
        gait_spread=_spread(table[6], table[7], table[SQUARES + 1]),
        readings=table[READINGS],
        hearts=hearts,
        impossible=table[IMPOSSIBLE],
        same=np.where(is_same, table[0] // np.maximum(hearts, 1), -1),
    )


def _fixed_point(readings: pl.DataFrame) -> IndexArray:
    """What each reading adds to the sums of its slot, shape (SUMS, rows)."""
    columns = np.zeros((SUMS, len(readings)), np.int64)
    columns[READINGS] = 1
    for i, name in enumerate(SUMMED):
        if readings[name].null_count() == len(readings):
            continue
        limits, value = PHYSICAL_RANGES[name], readings[name].to_numpy()
        usable = (value >= limits.low) & (value <= limits.high)  # false for NaN, which null becomes
        safe = np.where(usable, value, 1.0)
        if name == "heart_rate":
            safe = np.log(safe)
            columns[IMPOSSIBLE] = ~usable & ~np.isnan(value)
        columns[2 * i] = np.where(usable, np.rint(safe * SCALE), 0.0)
        columns[2 * i + 1] = usable
    columns[SQUARES] = columns[0] * columns[0]
    columns[SQUARES + 1] = columns[6] * columns[6]
    return columns


def mean_of(total: IndexArray, count: IndexArray) -> FloatArray:
    """Sums in steps of 1 / SCALE over counts, NaN where there are none."""
    mean: FloatArray = np.where(count > 0, total / (np.maximum(count, 1) * SCALE), np.nan)
    return mean


def _spread(total: IndexArray, count: IndexArray, squares: IndexArray) -> FloatArray:
    """Standard deviation; NaN for fewer than FEWEST values."""
    some = np.maximum(count, 2)
    variance = np.maximum(squares - total / some * total, 0.0) / (some - 1)
    spread: FloatArray = np.where(count >= FEWEST, np.sqrt(variance) / SCALE, np.nan)
    return spread


def _last_closed(pet: IndexArray, by_pet: IndexArray, closed: ClosedSlots) -> IndexArray:
    """A reading closes at most one slot: carry the latest one forward within each pet."""
    last = np.full(len(pet), -1)
    if len(closed.pet):
        last[closed.closing_row] = np.arange(len(closed.pet))
        carried = np.maximum.accumulate(last[by_pet])
        is_own = closed.pet[carried] == pet[by_pet]
        last[by_pet] = np.where((carried >= 0) & is_own, carried, -1)
    return last
