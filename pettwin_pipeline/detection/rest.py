"""What closed slots say of a heart at rest, before it is held against what is normal for its pet.

Which slots are judged, what the medians look back on, and the limits of the species. Exercise and
the minutes after it are not judged, nor is a collar that lies badly. None of it depends on a level,
so all slots of a batch are taken at once. How they lie is in `deviation`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from pettwin_pipeline.detection import clinical
from pettwin_pipeline.detection.baseline import RING, IndexArray, StateArray
from pettwin_pipeline.detection.blocks import ACTIVE_ABOVE, ASLEEP_ABOVE, asleep_and_lying
from pettwin_pipeline.detection.clinical import CodeArray, FloatArray
from pettwin_pipeline.detection.slots import BoolArray, ClosedSlots
from pettwin_pipeline.detection.timelines import Timelines
from pettwin_pipeline.readings.schema import SIZES

FAST: Final = 12
"""Slots of the fast median; the slow one takes the whole ring."""
GAP: Final = 30  # slots without a value at rest after which the medians begin anew
RECOVERY: Final = 18  # slots after exercise that are not judged
CONTACT_MEMORY: Final = 12  # slots
POOR_CONTACT: Final = 0.2  # share of readings without a heart rate above which none is judged
STUCK_FROM: Final = 6
"""Slots after which a heart rate that stands still, while the pet does not, is none."""

_BITS: Final = 32  # of ring_awake
_NEWEST_LAST: Final = np.arange(_BITS - 1, -1, -1, dtype=np.uint32)


@dataclass(frozen=True, slots=True)
class Rest:
    """Closed slots by pet and time, one entry a slot. Rates and limits are logarithms.

    Attributes:
        slot: which.
        log_bpm: mean of the slot; NaN without one.
        judged: whether the pet was at rest with a heart rate.
        awake: 1 where it was awake, 0 where it slept.
        silent: slots since the one at rest before.
        is_still: whether the collar said that it does not move; False where it says nothing.
        species: as far as the collar has said, index into SPECIES.
        size: index into SIZES.
        is_news: whether it is the slot that first said so.
        heard: whether a heart rate has ever come.
        rates: means of the last slots at rest, newest last, shape (slots, RING).
        was_awake: which of them were awake, the same shape.
        ring_n: how many of them are of these minutes.
        median: of the rate over the last FAST slots; unknown is NaN.
        long_median: the same over the whole ring.
        limits: of species, size and posture: low, high, shape (slots, 2).
        kept: fields of STATE as they are after each pet's last slot, shape (pets,).
    """

    slot: IndexArray
    log_bpm: FloatArray
    judged: BoolArray
    awake: IndexArray
    silent: IndexArray
    is_still: BoolArray
    species: CodeArray
    size: CodeArray
    is_news: BoolArray
    heard: BoolArray
    rates: StateArray
    was_awake: BoolArray
    ring_n: IndexArray
    median: FloatArray
    long_median: FloatArray
    limits: FloatArray
    kept: Mapping[str, StateArray]


def look_back(one: StateArray, closed: ClosedSlots, lines: Timelines) -> Rest:
    """What closed slots say of rest.

    Args:
        one: `STATE` records of the pets as the batch found them, shape (pets,); not changed.
        closed: the slots.
        lines: where those of each pet lie.
    """
    slot, activity, stillness = closed.slot, closed.activity, closed.stillness
    known = _note_profile(one, closed.said, lines)
    active = activity >= ACTIVE_ABOVE  # false for NaN: a collar that does not say is at rest
    active_until = lines.held(active, slot + RECOVERY, one["active_until"])
    trusted, trust = _is_trusted(one, closed, lines)
    judged = ~np.isnan(closed.log_bpm) & (slot > active_until) & trusted
    awake = (~asleep_and_lying(stillness, activity)[0]).astype(np.int64)
    ring_slot = lines.held(judged, slot, one["ring_slot"])
    silent = slot - lines.before(ring_slot, one["ring_slot"])
    rates, bits = _push(one, closed.log_bpm, awake, judged, lines)
    was_awake = bits[:, -RING:]
    ring_n = _in_ring(one, judged, judged & (silent > GAP), lines)
    ring = rates.astype(np.float64)
    last = lines.last
    ring_awake = (bits[last].astype(np.uint32) << _NEWEST_LAST).sum(axis=1, dtype=np.uint32)
    size, species = known % len(SIZES), known // len(SIZES)
    kept = {
        "species": species[last],
        "size": size[last],
        "active_until": active_until[last],
        "ring": rates[last],
        "ring_awake": ring_awake,
        "ring_n": ring_n[last],
        "ring_slot": ring_slot[last],
        "same": closed.same[last],
        "moved": activity[last],
    }
    return Rest(
        slot=slot,
        log_bpm=closed.log_bpm,
        judged=judged,
        awake=awake,
        silent=silent,
        is_still=judged & ~np.isnan(activity),
        species=species,
        size=size,
        is_news=known != lines.before(known, _profile(one)),
        heard=trust["heard"],
        rates=rates,
        was_awake=was_awake,
        ring_n=ring_n,
        median=np.where(ring_n >= FAST, median(ring[:, -FAST:]), np.nan),
        long_median=np.where(ring_n >= RING, median(ring), np.nan),
        limits=_limits(species, size, was_awake[:, -FAST:], stillness),
        kept=kept | {name: path[last] for name, path in trust.items()},
    )


def median(values: FloatArray) -> FloatArray:
    """Of an even number of values a row; np.median does the same in five times the time."""
    middle = values.shape[1] // 2
    in_order = np.sort(values, axis=1)
    found: FloatArray = (in_order[:, middle - 1] + in_order[:, middle]) / 2
    return found


def _profile(one: StateArray) -> CodeArray:
    code: CodeArray = one["species"] * len(SIZES) + one["size"]
    return code


def _note_profile(one: StateArray, said: CodeArray, lines: Timelines) -> CodeArray:
    """What a collar first says of its pet stands: the code of each slot, see `profile_codes`."""
    says = said != clinical.UNSAID
    first = np.where(lines.total(says) == 1, says, False)
    codes: CodeArray = lines.held(first, said, _profile(one))
    was_known = (_profile(one) != clinical.UNSAID)[lines.of]
    return np.where(was_known, _profile(one)[lines.of], codes)


def _is_trusted(
    one: StateArray, closed: ClosedSlots, lines: Timelines
) -> tuple[BoolArray, dict[str, StateArray]]:
    """Whether the collar lies well: heart rates come, and do not stand still. What is kept."""
    hearts, same, activity = closed.hearts, closed.same, closed.activity
    heard = lines.held(hearts > 0, np.ones(len(hearts), np.bool_), one["heard"])
    lost = 1 - hearts / np.maximum(closed.readings, 1)
    missing = _missing(one, heard, lost, lines)
    still = (same >= 0) & (same == lines.before(same, one["same"]))
    still &= (activity != lines.before(activity, one["moved"])) & ~np.isnan(activity)
    stuck = np.minimum(lines.since(still, ~still, one["stuck"]), 200)
    trusted: BoolArray = (missing < POOR_CONTACT) & (stuck < STUCK_FROM)
    return trusted, {"heard": heard, "missing": missing, "stuck": stuck}


def _missing(one: StateArray, heard: BoolArray, lost: FloatArray, lines: Timelines) -> StateArray:
    """The share of readings without a heart rate, averaged slot by slot."""
    turns = lines.turns()
    lost = lost[turns.order]
    memory = np.where(heard[turns.order], CONTACT_MEMORY, np.inf)
    missing = one["missing"][turns.pets]
    path = np.empty(len(lost), missing.dtype)
    for begin, end in pairwise(turns.bounds):
        now = missing[: end - begin]
        now += (lost[begin:end] - now) / memory[begin:end]
        path[begin:end] = now
    found = np.empty_like(path)
    found[turns.order] = path
    return found


def _push(
    one: StateArray, log_bpm: FloatArray, awake: IndexArray, judged: BoolArray, lines: Timelines
) -> tuple[StateArray, BoolArray]:
    """The last rates at rest at each slot, (slots, RING), and who was awake, (slots, _BITS)."""
    old_awake = (one["ring_awake"][:, None] >> _NEWEST_LAST) & np.uint32(1) == 1
    return (
        _windows(one["ring"], log_bpm.astype(np.float32), judged, lines),
        _windows(old_awake, awake == 1, judged, lines),
    )


def _windows(old: StateArray, new: StateArray, pushed: BoolArray, lines: Timelines) -> StateArray:
    """Each pet's old values, and those pushed since, as they stand at each slot."""
    length = old.shape[1]
    pushes = np.cumsum(pushed)
    tape = np.empty(old.size + int(pushed.sum()), old.dtype)
    start = length * np.arange(len(old)) + pushes[lines.first] - pushed[lines.first]
    tape[start[:, None] + np.arange(length)] = old
    begin = length * lines.of + pushes  # of the window at each slot
    tape[begin[pushed] + length - 1] = new[pushed]
    windows: StateArray = np.lib.stride_tricks.sliding_window_view(tape, length)[begin]
    return windows


def _in_ring(one: StateArray, judged: BoolArray, anew: BoolArray, lines: Timelines) -> IndexArray:
    """How many values of the ring count: they begin anew after a gap."""
    count = lines.since(judged, anew, one["ring_n"]) + (lines.latest(anew) >= 0)
    return np.minimum(count, RING)


def _limits(
    species: CodeArray, size: CodeArray, was_awake: BoolArray, stillness: FloatArray
) -> FloatArray:
    """A limit holds when the pet slept, or was awake, over the whole median; else the wider one."""
    posture = np.full(len(species), clinical.UNKNOWN)
    posture[~was_awake.any(axis=1) & (stillness >= ASLEEP_ABOVE)] = clinical.ASLEEP
    posture[was_awake.all(axis=1)] = clinical.AWAKE
    limits: FloatArray = clinical.LIMITS[species, size, posture]
    return limits
