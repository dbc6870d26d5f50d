"""How far the last minutes at rest lie from what is normal for a pet: medians, levels, limits.

The median of log heart rate over 2 and over 4 minutes at rest is held against a level that learns
slowly, and not while something is wrong. There is one level for sleep and one for lying awake.
Exercise and the minutes after it are not judged. All arithmetic is elementwise on one record a pet,
so a pet's result does not depend on which others are in the batch. What is made of a deviation is
in `screen`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pettwin_pipeline.detection import clinical
from pettwin_pipeline.detection.baseline import PRIOR_WEIGHT, RING, IndexArray, StateArray
from pettwin_pipeline.detection.blocks import ACTIVE_ABOVE, ASLEEP_ABOVE, asleep_and_lying
from pettwin_pipeline.detection.clinical import CodeArray, FloatArray
from pettwin_pipeline.detection.slots import BoolArray, ClosedSlots
from pettwin_pipeline.readings.schema import SIZES

THRESHOLDS: Final = np.array([0.40, -0.28, 0.175, -0.28])
"""Deviations that alarm: fast high, fast low, slow high, slow low. Tuned on dogs asleep."""
CALM_BELOW: Final = 0.85  # of the threshold: an alarm closes there, a level learns there
FAST: Final = 12
"""Slots of the fast median; the slow one takes the whole ring."""
CLIP: Final = 0.2  # of log heart rate: no slot pulls harder than this at a level
MEMORY: Final = 8640  # slots: a level looks back on a day at rest
WARM: Final = 60  # slots that a level learns before anything is held against it
MAX_FROZEN: Final = 8640  # slots after which a level learns although an alarm is up
GAP: Final = 30  # slots without a value at rest after which the medians begin anew
RECOVERY: Final = 18  # slots after exercise that are not judged
CONTACT_MEMORY: Final = 12  # slots
POOR_CONTACT: Final = 0.2  # share of readings without a heart rate above which none is judged
STUCK_FROM: Final = 6
"""Slots after which a heart rate that stands still, while the pet does not, is none."""

_NEWEST_LAST: Final = np.arange(RING - 1, -1, -1, dtype=np.uint32)
_FAST_BITS: Final = np.uint32(2**FAST - 1)


@dataclass(frozen=True, slots=True)
class Deviation:
    """How one slot of each of n pets lies. Rates and limits are logarithms; unknown is NaN.

    Attributes:
        slot: which, shape (n,).
        judged: whether the pet was at rest with a heart rate; if not, the rest is of earlier slots.
        silent: slots since the one at rest before, shape (n,).
        is_still: whether the collar said so; False where it says nothing of activity.
        fast: median deviation from the level over the last FAST slots, shape (n,).
        slow: the same over the whole ring.
        ratios: deviation over threshold, limits included, shape (n, 4); 0 where not judged.
        median: median of the rate itself over the last FAST slots, shape (n,).
        long_median: the same over the whole ring.
        is_warm: whether the level is known well enough to hold anything against it.
        limits: of species, size and posture: low, high, shape (n, 2).
    """

    slot: IndexArray
    judged: BoolArray
    silent: IndexArray
    is_still: BoolArray
    fast: FloatArray
    slow: FloatArray
    ratios: FloatArray
    median: FloatArray
    long_median: FloatArray
    is_warm: BoolArray
    limits: FloatArray


def deviate(one: StateArray, closed: ClosedSlots, which: IndexArray) -> Deviation:
    """Take in one closed slot of each pet, learn from it, and say how it lies.

    Args:
        one: `STATE` records of the pets of these slots, moved on in place, shape (n,).
        closed: the slots.
        which: of them, shape (n,).
    """
    slot, log_bpm, activity = closed.slot[which], closed.log_bpm[which], closed.activity[which]
    stillness = closed.stillness[which]
    _note_profile(one, closed.said[which])
    active = activity >= ACTIVE_ABOVE  # false for NaN: a collar that does not say is at rest
    one["active_until"] = np.where(active, slot + RECOVERY, one["active_until"])
    judged = ~np.isnan(log_bpm) & (slot > one["active_until"]) & _is_trusted(one, closed, which)
    awake = (~asleep_and_lying(stillness, activity)[0]).astype(np.int64)
    silent = slot - one["ring_slot"]
    _push(one, slot, log_bpm, awake, judged)
    fast, slow, median, long_median = _medians(one)
    ratios = np.stack([fast, fast, slow, slow], axis=1) / THRESHOLDS
    is_warm = one["weight"][np.arange(len(one)), awake] >= PRIOR_WEIGHT + WARM
    ratios = np.where(is_warm[:, None] & ~np.isnan(ratios), ratios, 0.0)
    limits = _limits(one, stillness)
    ratios[median > limits[:, 1], 0] = np.maximum(ratios[median > limits[:, 1], 0], 1.0)
    ratios[median < limits[:, 0], 1] = np.maximum(ratios[median < limits[:, 0], 1], 1.0)
    ratios[~judged] = 0.0
    may = judged & (~np.isnan(slow) | ~is_warm)  # not before it is known whether all is well
    _learn(one, log_bpm, awake, learns=_thaw(one, may, ratios), clips=is_warm)
    return Deviation(
        slot=slot,
        judged=judged,
        silent=silent,
        is_still=judged & ~np.isnan(activity),
        fast=fast,
        slow=slow,
        ratios=ratios,
        median=median,
        long_median=long_median,
        is_warm=is_warm,
        limits=limits,
    )


def _is_trusted(one: StateArray, closed: ClosedSlots, which: IndexArray) -> BoolArray:
    """Whether the collar lies well: heart rates come, and do not stand still."""
    hearts, same, activity = closed.hearts[which], closed.same[which], closed.activity[which]
    one["heard"] |= hearts > 0
    lost = 1 - hearts / np.maximum(closed.readings[which], 1)
    one["missing"] += np.where(one["heard"], (lost - one["missing"]) / CONTACT_MEMORY, 0.0)
    still = (same >= 0) & (same == one["same"]) & (activity != one["moved"])
    still &= ~np.isnan(activity)
    one["stuck"] = np.where(still, np.minimum(one["stuck"] + 1, 200), 0)
    one["same"], one["moved"] = same, activity
    trusted: BoolArray = (one["missing"] < POOR_CONTACT) & (one["stuck"] < STUCK_FROM)
    return trusted


def _note_profile(one: StateArray, said: CodeArray) -> None:
    """What a collar first says of its pet stands; the usual rates of its kind are the start."""
    known = one["species"] * len(SIZES) + one["size"]
    news = (known == clinical.UNSAID) & (said != clinical.UNSAID)
    if not news.any():
        return
    one["species"] = np.where(news, said // len(SIZES), one["species"])
    one["size"] = np.where(news, said % len(SIZES), one["size"])
    unlearnt = news[:, None] & (one["weight"] == PRIOR_WEIGHT)
    usual = clinical.USUAL[one["species"], one["size"]]
    one["level"] = np.where(unlearnt, usual, one["level"])


def _push(
    one: StateArray, slot: IndexArray, log_bpm: FloatArray, awake: IndexArray, judged: BoolArray
) -> None:
    kept = np.where(slot - one["ring_slot"] > GAP, 0, one["ring_n"])
    ring = one["ring"]
    ring[judged, :-1] = ring[judged, 1:]
    ring[judged, -1] = log_bpm[judged]
    bits = (one["ring_awake"] << np.uint32(1)) | awake.astype(np.uint32)
    one["ring_awake"] = np.where(judged, bits, one["ring_awake"])
    one["ring_n"] = np.where(judged, np.minimum(kept + 1, RING), one["ring_n"])
    one["ring_slot"] = np.where(judged, slot, one["ring_slot"])


def _medians(one: StateArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Fast and slow median of the deviation, fast and slow median of the rate."""
    ring = one["ring"].astype(np.float64)
    was_awake = (one["ring_awake"][:, None] >> _NEWEST_LAST) & np.uint32(1) == 1
    away = ring - np.where(was_awake, one["level"][:, 1:], one["level"][:, :1])
    has_fast, has_slow = one["ring_n"] >= FAST, one["ring_n"] >= RING
    return (
        np.where(has_fast, _median(away[:, -FAST:]), np.nan),
        np.where(has_slow, _median(away), np.nan),
        np.where(has_fast, _median(ring[:, -FAST:]), np.nan),
        np.where(has_slow, _median(ring), np.nan),
    )


def _median(values: FloatArray) -> FloatArray:
    """Of an even number of values a row; np.median does the same in five times the time."""
    middle = values.shape[1] // 2
    in_order = np.sort(values, axis=1)
    median: FloatArray = (in_order[:, middle - 1] + in_order[:, middle]) / 2
    return median


def _limits(one: StateArray, stillness: FloatArray) -> FloatArray:
    """A limit holds when the pet slept, or was awake, over the whole median; else the wider one."""
    was_awake = one["ring_awake"] & _FAST_BITS
    posture = np.full(len(one), clinical.UNKNOWN)
    posture[(was_awake == 0) & (stillness >= ASLEEP_ABOVE)] = clinical.ASLEEP
    posture[was_awake == _FAST_BITS] = clinical.AWAKE
    limits: FloatArray = clinical.LIMITS[one["species"], one["size"], posture]
    return limits


def _thaw(one: StateArray, may: BoolArray, ratios: FloatArray) -> BoolArray:
    """Who learns from this slot: levels are frozen while something is wrong, for a day at most."""
    is_calm = (ratios.max(axis=1) < CALM_BELOW) & ~one["going"][:, :2].any(axis=1)
    one["frozen"] = np.where(may, np.where(is_calm, 0, one["frozen"] + 1), one["frozen"])
    learns: BoolArray = may & ((one["frozen"] == 0) | (one["frozen"] > MAX_FROZEN))
    return learns


def _learn(
    one: StateArray, log_bpm: FloatArray, awake: IndexArray, *, learns: BoolArray, clips: BoolArray
) -> None:
    """Move the level of the present posture a little towards the slot."""
    at = np.flatnonzero(learns), awake[learns]
    one["weight"][at] = np.minimum(one["weight"][at] + 1, MEMORY)
    clip = np.where(clips[learns], CLIP, np.inf)
    one["level"][at] += np.clip(log_bpm[learns] - one["level"][at], -clip, clip) / one["weight"][at]
