"""The statistical detector: what closed slots and blocks tell of a pet and of its collar.

Blocks come first: `trend` and `sensors` know nothing of the levels of `deviation`. Then `hearts`
holds slots against them. A limp, and the faults of a collar, go on until the contrary is seen. An
episode is told when it begins, when it becomes more severe, and when it has ended. Knows nothing of
files, brokers or people; episodes get their names in `episodes`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Final

import numpy as np

from pettwin_pipeline.detection.baseline import RING, IndexArray, StateArray
from pettwin_pipeline.detection.blocks import BLOCK_SLOTS, ClosedBlocks, cut_into_blocks
from pettwin_pipeline.detection.clinical import CodeArray, FloatArray
from pettwin_pipeline.detection.hearts import (
    HIGH_TREND,
    SIGNS,
    SLOW,
    Moment,
    Past,
    follow_hearts,
)
from pettwin_pipeline.detection.rest import FAST, Rest, look_back
from pettwin_pipeline.detection.sensors import FAULTS, silences, watch
from pettwin_pipeline.detection.slots import BoolArray, ClosedSlots, starts
from pettwin_pipeline.detection.timelines import Timelines
from pettwin_pipeline.detection.trend import HIGH, LIMP, WINDOWS, follow

DETECTOR_VERSION: Final = "2"
"""Changes with every change of a result; it is part of every id and file name."""

EVEN_BELOW: Final = -0.15
LIMP_BELOW: Final = -0.015
"""Averages of spread and gait from which on they are named in a reason."""
LOST_WALK: Final = 8640
"""Slots without a walk (a day) after which nothing is known of a limp."""

HEALTH: Final = (("heart_rate", "high"), ("heart_rate", "low"), ("gait_symmetry", "low"))
"""Signal and direction of the episodes of health."""
CHANNELS: Final = (*HEALTH, *((fault.signal, fault.name) for fault in FAULTS))
GAP: Final = len(CHANNELS) - 1


@dataclass(frozen=True, slots=True)
class Change:
    """An episode began, became more severe or ended, at a closed slot of one pet.

    Attributes:
        pet: row in the states.
        channel: index into CHANNELS.
        closing_row: row in the batch of the reading that closed the slot.
        species: of the pet, an index into SPECIES.
        slot: when: the slot that was closed.
        started: first slot of the episode, as far as can be told.
        ended: its last slot, None while it goes on.
        severity: index into SEVERITIES.
        peak: largest deviation so far, as a multiple of the threshold.
        median: of the last minutes, in the unit of the signal (bpm, or symmetry of the gait).
        level: what is normal for the pet in such minutes.
        limit_bpm: the limit of the species that the 2-minute median passed, if it did.
        window: blocks at rest that the median and the level are of, 0: the last minutes.
        is_even: whether the heart also beats more evenly than it uses to.
        is_limping: whether the gait has a part in it.
        is_still: whether the collar said that the pet does not move.
        recent_log_bpm: means of the last slots at rest, newest last.
    """

    pet: int
    channel: int
    closing_row: int
    species: int
    slot: int
    started: int
    ended: int | None
    severity: int
    peak: float
    median: float = 0.0
    level: float = 0.0
    limit_bpm: float | None = None
    window: int = 0
    is_even: bool = False
    is_limping: bool = False
    is_still: bool = False
    recent_log_bpm: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Screened:
    """Score and worst severity after each closed slot, shape (slots,), and unordered changes."""

    score: FloatArray
    worst: CodeArray
    changes: list[Change]


def screen(states: StateArray, closed: ClosedSlots) -> Screened:
    """Take in closed slots; `states` is moved on in place.

    Args:
        states: `STATE` records of the pets that `closed.pet` points into.
        closed: slots in the order of time within each pet.
    """
    worst = np.zeros(len(closed.pet), np.uint8)
    if not len(worst):
        return Screened(np.zeros(0), worst, [])
    blocks = cut_into_blocks(closed, states)
    first = np.flatnonzero(starts(closed.pet))
    lines = Timelines.of_lengths(np.diff(first, append=len(closed.pet)))
    pets = closed.pet[first]
    is_all = len(pets) == len(states)  # then nothing need be copied
    one = states if is_all else states[pets]
    rest = look_back(one, closed, lines)
    slow, changes = _follow_blocks(one, blocks, closed, rest, lines)
    hearts = follow_hearts(one, Past(rest, slow), lines)
    score = hearts.score
    limps = np.where(slow["going"][:, LIMP], slow["severity"][:, LIMP], 0)
    worst = np.maximum(hearts.worst, limps)
    changes += [
        _change(moment, row, closed) for moment in hearts.moments for row in range(len(moment.one))
    ]
    for name, kept in rest.kept.items():
        one[name] = kept
    one["score"], one["worst"] = score[lines.last], worst[lines.last]
    if not is_all:
        states[pets] = one
    return Screened(score.astype(np.float64), worst, changes)


def _follow_blocks(
    one: StateArray, blocks: ClosedBlocks, closed: ClosedSlots, rest: Rest, lines: Timelines
) -> tuple[StateArray, list[Change]]:
    """Close blocks, one of each pet at a time; SLOW as it stands at each slot."""
    count, closing = len(one), blocks.closing_slot
    found = np.empty(count + len(closing), SLOW)
    found[:count] = one[list(SLOW.names or ())]
    if not len(closing):
        return found[lines.of], []
    changes = []
    heard = lines.before(rest.heard, one["heard"])[closing]
    species = lines.before(rest.species, one["species"])[closing]
    size = lines.before(rest.size, one["size"])[closing]
    pets = lines.of[closing]
    turns = Timelines.of_lengths(np.bincount(pets)[np.unique(pets)]).turns()
    for begin, end in pairwise(turns.bounds):
        which = turns.order[begin:end]
        some = one[pets[which]]
        some["heard"], some["species"], some["size"] = heard[which], species[which], size[which]
        changes += _close_blocks(some, blocks, which, closed, closing[which])
        one[pets[which]] = some
        found[count + which] = some[list(SLOW.names or ())]
    at = np.full(len(lines.of), -1)
    at[closing] = np.arange(count, count + len(closing))
    return found[lines.held(at >= 0, at, np.arange(count))], changes


def _change(moment: Moment, row: int, closed: ClosedSlots) -> Change:
    """What is told of the episode of a heart."""
    kept, seen, direction = moment.one[row], moment.seen, moment.direction
    recent = kept["ring"][RING - int(kept["ring_n"]) :].astype(np.float64)
    limit = float(seen.limits[row, 1 - direction])
    is_outside = (float(seen.median[row]) - limit) * SIGNS[direction] > 0
    # a limit is judged on the fast median: the numbers that are told must be those that passed it
    is_slow = not is_outside and seen.ratios[row, direction + 2] > seen.ratios[row, direction]
    median = float(np.median(recent if is_slow else recent[-FAST:]))
    away = float(seen.slow[row] if is_slow else seen.fast[row])
    if math.isnan(away):  # it ended in a silence: there are no medians yet
        away = median - float(kept["level"][kept["ring_awake"] & 1])
    fast = max(float(seen.ratios[row, direction]), float(seen.ratios[row, direction + 2]))
    window = 0
    if kept["trend_up"][direction] and not is_outside and fast < float(kept["trend"][direction]):
        window = int(WINDOWS[kept["trend_window"]])
        away = float(kept["average"][kept["trend_window"]])
        median = float(kept["trend_level"]) + away
    return Change(
        pet=int(closed.pet[seen.at[row]]),
        channel=direction,
        closing_row=int(closed.closing_row[seen.at[row]]),
        species=int(kept["species"]),
        slot=int(seen.slot[row]),
        started=int(kept["started"][direction]),
        ended=int(kept["last_up"][direction]) if moment.ended[row] else None,
        severity=int(kept["severity"][direction]),
        peak=max(float(kept["peak"][direction]), float(kept["trend"][direction])),
        median=math.exp(median),
        level=math.exp(median - away),
        limit_bpm=math.exp(limit) if is_outside else None,
        window=window,
        is_even=window > 0 and float(kept["average_spread"][kept["trend_window"]]) < EVEN_BELOW,
        is_limping=window > 0 and direction == HIGH and float(kept["gait_average"]) < LIMP_BELOW,
        is_still=bool(seen.is_still[row]),
        recent_log_bpm=tuple(recent.tolist()),
    )


def _close_blocks(
    one: StateArray,
    blocks: ClosedBlocks,
    which: IndexArray,
    closed: ClosedSlots,
    slots: IndexArray,
) -> list[Change]:
    """Take in closed blocks, one of each pet, and tell what changed of limps and collars."""
    follow(one, blocks, which)
    faults = watch(one, blocks, which)
    block = blocks.block[which]
    begins, ends = _limp(one, block)
    silent = silences(blocks, which)
    changes = []
    some = begins | ends | silent | (faults.begins | faults.ends).any(axis=1)
    for row in np.flatnonzero(some).tolist():
        kept, slot = one[row], int(slots[row])
        told = partial(
            Change,
            pet=int(closed.pet[slot]),
            closing_row=int(closed.closing_row[slot]),
            species=int(kept["species"]),
            slot=int(closed.slot[slot]),
        )
        if begins[row] or ends[row]:
            changes.append(_limp_change(kept, told, ended=bool(ends[row])))
        for number in np.flatnonzero(faults.begins[row] | faults.ends[row]).tolist():
            begin, last = (int(kept[name][number]) for name in ("fault_since", "fault_last"))
            changes.append(
                told(
                    channel=len(HEALTH) + number,
                    started=begin * BLOCK_SLOTS,
                    ended=(last + 1) * BLOCK_SLOTS - 1 if faults.ends[row, number] else None,
                    severity=1,
                    peak=1.0,
                )
            )
        if silent[row]:
            begin, last = (int(block[row]) + 1) * BLOCK_SLOTS, int(closed.slot[slot]) - 1
            gap = partial(told, channel=GAP, started=begin, severity=1, peak=1.0)
            changes += [gap(ended=None), gap(ended=last)]
    return changes


def _limp_change(kept: Any, told: Callable[..., Change], *, ended: bool) -> Change:
    return told(
        channel=LIMP,
        started=int(kept["started"][LIMP]),
        ended=int(kept["last_up"][LIMP]) if ended else None,
        severity=int(kept["severity"][LIMP]),
        peak=float(kept["peak"][LIMP]),
        median=float(kept["gait"] + kept["gait_average"]),
        level=float(kept["gait"]),
    )


def _limp(one: StateArray, block: IndexArray) -> tuple[BoolArray, BoolArray]:
    """Move the episodes of an uneven gait on: which began or rose, and which ended."""
    up, going = one["trend_up"][:, LIMP], one["going"][:, LIMP]
    slot = (block + 1) * BLOCK_SLOTS - 1
    walked = one["walked"]
    ends = going & ((walked & ~up) | (slot - one["last_up"][:, LIMP] > LOST_WALK))
    begins = up & walked & ~going
    window = 2 * BLOCK_SLOTS
    one["started"][:, LIMP] = np.where(begins, slot - window, one["started"][:, LIMP])
    one["last_up"][:, LIMP] = np.where(up & walked, slot, one["last_up"][:, LIMP])
    peak = np.where(begins, 0.0, one["peak"][:, LIMP])
    one["peak"][:, LIMP] = np.maximum(peak, np.where(up, one["trend"][:, LIMP], 0.0))
    told = np.where(begins, 0, one["severity"][:, LIMP])
    grade = np.where(one["trend"][:, LIMP] >= HIGH_TREND, 3, 2)
    rises = up & walked & (grade > told)
    one["severity"][:, LIMP] = np.where(rises, grade, told)
    one["going"][:, LIMP] = (going & ~ends) | begins
    one["trend_up"][:, LIMP] &= ~ends
    return rises, ends
