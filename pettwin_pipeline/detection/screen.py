"""The statistical detector: alarms with memory on how far a pet is from normal, and what they tell.

For the heart, each of four alarms (fast and slow, high and low) opens at its threshold and closes
clearly below it; a fifth and sixth come from `trend`. An episode goes on while an alarm of its
direction is up and through the cool-down after it; it is told when it begins, when it becomes more
severe, and when it has ended. Exercise or a silent collar in between do not end it, unless for
long. A limp, and the faults of a collar, go on until the contrary is seen. Knows nothing of files,
brokers or people; episodes get their names in `episodes`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Final

import numpy as np

from pettwin_pipeline.detection import clinical
from pettwin_pipeline.detection.baseline import RING, IndexArray, StateArray
from pettwin_pipeline.detection.blocks import BLOCK_SLOTS, ClosedBlocks, cut_into_blocks
from pettwin_pipeline.detection.clinical import CodeArray, FloatArray
from pettwin_pipeline.detection.deviation import (
    CALM_BELOW,
    FAST,
    THRESHOLDS,
    Deviation,
    deviate,
)
from pettwin_pipeline.detection.sensors import FAULTS, silences, watch
from pettwin_pipeline.detection.slots import BoolArray, ClosedSlots
from pettwin_pipeline.detection.trend import HIGH, LIMP, LOW, WINDOWS, follow

DETECTOR_VERSION: Final = "2"
"""Changes with every change of a result; it is part of every id and file name."""

SEVERITIES: Final = ("none", "low", "medium", "high", "critical")
COOL: Final = 12
"""Slots judged without an alarm after which an episode has ended."""
EVEN_BELOW: Final = -0.15
LIMP_BELOW: Final = -0.015
"""Averages of spread and gait from which on they are named in a reason."""
MEDIUM: Final = SEVERITIES.index("medium")
FADED: Final = 60
"""Slots judged after which an episode that was medium has ended, if nothing above low is left."""
LOST: Final = 1080
"""Slots without a value at rest (three hours) after which an episode is over, whatever comes."""
LOST_WALK: Final = 8640
"""Slots without a walk (a day) after which nothing is known of a limp."""

SIGNS: Final = (1.0, -1.0)
"""Of the directions of the heart: high lies above, low below."""
HEALTH: Final = (("heart_rate", "high"), ("heart_rate", "low"), ("gait_symmetry", "low"))
"""Signal and direction of the episodes of health."""
CHANNELS: Final = (*HEALTH, *((fault.signal, fault.name) for fault in FAULTS))
GAP: Final = len(CHANNELS) - 1

STRONG_FAST: Final = np.array([1.4, 1.6])
STRONG_SLOW: Final = np.array([3.0, 1.6])
"""Minutes of which both medians lie so far off, as multiples of their thresholds, up and down, from
what is normal asleep and from what is normal awake, are medium; 1.4 times that is high, twice is
critical. A pet that falls asleep has a slow heart first and is still afterwards."""
HIGHER, HIGHEST = 1.4, 2.0
HIGH_TREND: Final = 2.25
"""The same for half an hour and more, which is low below 1 and medium from there."""
LASTING: Final = 120
"""Slots beyond the limit of the species, by the longer median, after which that is medium."""
OWN_SHARE: Final = 2.0
"""... if it is also so far, in thresholds, from what is the pet's own."""


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
    """Step over closed slots; `states` is moved on in place.

    Args:
        states: `STATE` records of the pets that `closed.pet` points into.
        closed: slots in the order of time within each pet.
    """
    score = np.zeros(len(closed.pet))
    worst = np.zeros(len(closed.pet), np.uint8)
    changes: list[Change] = []
    blocks = cut_into_blocks(closed, states)
    block_of = np.full(len(closed.pet), -1)
    block_of[blocks.closing_slot] = np.arange(len(blocks.block))
    in_turn = np.argsort(closed.nth, kind="stable")
    bounds = np.searchsorted(closed.nth[in_turn], np.arange(closed.nth.max(initial=-1) + 2))
    for begin, end in pairwise(bounds.tolist()):
        which = in_turn[begin:end]
        one = states[closed.pet[which]]
        closes = np.flatnonzero(block_of[which] >= 0)
        if len(closes):
            some = one[closes]
            changes += _close_blocks(some, blocks, block_of[which[closes]], closed, which[closes])
            one[closes] = some
        seen = deviate(one, closed, which)
        changes += _track(one, seen, closed, which)
        states[closed.pet[which]] = one
        score[which], worst[which] = one["score"], one["worst"]
    return Screened(score, worst, changes)


def _track(
    one: StateArray, seen: Deviation, closed: ClosedSlots, which: IndexArray
) -> list[Change]:
    """Open and close alarms, move episodes on, and tell what changed."""
    bar = np.where(one["alarm"], CALM_BELOW, 1.0)
    one["alarm"] = np.where(seen.judged[:, None], seen.ratios >= bar, one["alarm"])
    one["score"] = np.maximum(seen.ratios.max(axis=1), one["trend"].max(axis=1))
    changes = []
    for direction in (HIGH, LOW):
        rises, ends = _move(one, seen, direction)
        for row in np.flatnonzero(rises | ends).tolist():
            at = int(closed.pet[which[row]]), int(closed.closing_row[which[row]])
            changes.append(_change(one, seen, row, direction, at=at, ended=bool(ends[row])))
    one["worst"] = np.where(one["going"], one["severity"], 0).max(axis=1)
    return changes


def _move(one: StateArray, seen: Deviation, direction: int) -> tuple[BoolArray, BoolArray]:
    """Move the episodes of a direction on: which began or rose, and which ended."""
    fast_up, slow_up = one["alarm"][:, direction], one["alarm"][:, direction + 2]
    trend_up = one["trend_up"][:, direction]
    going = one["going"][:, direction]
    up = seen.judged & (fast_up | slow_up | trend_up)
    if not (up | going).any():
        return up, going
    is_quiet = going & seen.judged & (one["ring_n"] == RING) & ~up
    quiet = np.where(up, 0, np.minimum(one["quiet"][:, direction] + is_quiet, COOL + 1))
    grade = _grade(one, seen, direction)
    is_much = up & (trend_up | (grade >= MEDIUM))
    weak = np.where(is_much, 0, one["weak"][:, direction] + seen.judged)
    is_told = going & (one["severity"][:, direction] >= MEDIUM)
    weak = np.where(is_told, np.minimum(weak, 255), 0)
    ends = going & ((quiet > COOL) | (weak > FADED) | (seen.silent > LOST))
    begins = up & ~going
    # a median passes the threshold once half of its slots do: that is when it began
    window = WINDOWS[one["trend_window"]].astype(np.int64) * BLOCK_SLOTS
    onset = seen.slot - np.where(fast_up, FAST // 2, np.where(slow_up, RING // 2, window))
    ratio = np.maximum(seen.ratios[:, direction], seen.ratios[:, direction + 2])
    peak = np.maximum(ratio, np.where(begins, 0.0, one["peak"][:, direction]))
    one["started"][:, direction] = np.where(begins, onset, one["started"][:, direction])
    one["last_up"][:, direction] = np.where(up, seen.slot, one["last_up"][:, direction])
    one["peak"][:, direction] = np.where(up, peak, one["peak"][:, direction])
    one["quiet"][:, direction] = np.where(ends, 0, quiet)
    one["weak"][:, direction] = np.where(ends, 0, weak)
    one["going"][:, direction] = (going | up) & ~ends
    told = np.where(begins, 0, one["severity"][:, direction])
    rises = up & ~ends & (grade > told)
    one["severity"][:, direction] = np.where(rises, grade, told)
    return rises, ends


def _grade(one: StateArray, seen: Deviation, direction: int) -> CodeArray:
    """How severe an episode is that is up, an index into SEVERITIES."""
    sign = SIGNS[direction]
    critical = clinical.CRITICAL[one["species"], one["size"], 1 - direction]
    either = (one["level"] * sign).max(axis=1) * sign
    fast = (seen.median - either) / THRESHOLDS[direction]
    slow = (seen.long_median - either) / THRESHOLDS[direction + 2]
    strong = np.minimum(fast / STRONG_FAST[direction], slow / STRONG_SLOW[direction])
    strong = np.where(seen.is_warm, strong, 0.0)
    since = seen.slot - one["started"][:, direction]
    trend = np.where(one["trend_up"][:, direction], one["trend"][:, direction], 0.0)
    is_own = slow >= OWN_SHARE
    is_outside = is_own & (sign * seen.long_median > sign * seen.limits[:, 1 - direction])
    grade = np.ones(len(one), np.uint8)
    grade[(strong >= 1) | (trend >= 1) | (is_outside & (since >= LASTING))] = 2
    grade[(strong >= HIGHER) | (trend >= HIGH_TREND)] = 3
    grade[(strong >= HIGHEST) | (is_own & (sign * seen.long_median > sign * critical))] = 4
    return grade


def _change(
    one: StateArray, seen: Deviation, row: int, direction: int, *, at: tuple[int, int], ended: bool
) -> Change:
    """What is told of the episode of a row; `at` is its pet and the closing row of the slot."""
    kept = one[row]
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
        pet=at[0],
        channel=direction,
        closing_row=at[1],
        species=int(kept["species"]),
        slot=int(seen.slot[row]),
        started=int(kept["started"][direction]),
        ended=int(kept["last_up"][direction]) if ended else None,
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
