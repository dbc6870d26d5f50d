"""The statistical detector: alarms with memory on how far a pet is from normal, and what they tell.

Each of four alarms (fast and slow, high and low) opens at its threshold and closes clearly below.
An episode goes on while an alarm of its direction is up and through the cool-down after it; it is
told when it begins, when it becomes more severe, and when it has ended. Exercise or a silent collar
in between do not end it, unless for long. Knows nothing of files, brokers or people; episodes get
their names in `episodes`.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from pettwin_pipeline.detection import clinical
from pettwin_pipeline.detection.baseline import RING, IndexArray, StateArray
from pettwin_pipeline.detection.clinical import CodeArray, FloatArray
from pettwin_pipeline.detection.deviation import CALM_BELOW, FAST, Deviation, deviate
from pettwin_pipeline.detection.slots import BoolArray, ClosedSlots

DETECTOR_VERSION: Final = "1"
"""Changes with every change of a result; it is part of every id and file name."""

COOL: Final = 20
"""Slots judged without an alarm after which an episode has ended."""
LOST: Final = 360
"""Slots without a value at rest (an hour) after which an episode is over, whatever comes."""

SIGNS: Final = (1.0, -1.0)
"""Of the directions: high lies above, low below."""
SEVERITIES: Final = ("none", "low", "medium", "high", "critical")
MEDIUM_PEAK, HIGH_PEAK, CRITICAL_PEAK = 1.5, 2.5, 4.0
"""Severity by the largest deviation over its threshold."""
MEDIUM_AFTER: Final = 60
"""Slots after which an episode of any size is medium."""


@dataclass(frozen=True, slots=True)
class Change:
    """An episode began, became more severe or ended, at a closed slot of one pet.

    Attributes:
        pet: row in the states.
        direction: index into DIRECTIONS.
        closing_row: row in the batch of the reading that closed the slot.
        species: of the pet, an index into SPECIES.
        slot: when: the slot that was closed.
        started: first slot of the episode, as far as can be told.
        ended: its last slot, None while it goes on.
        severity: index into SEVERITIES.
        peak: largest deviation so far, as a multiple of the threshold.
        median_bpm: of the last 2 minutes at rest, or of 4 where the slow alarm is the clearer one
            and no limit was passed.
        level_bpm: what is normal for the pet in such minutes.
        limit_bpm: the limit of the species that the 2-minute median passed, if it did.
        is_still: whether the collar said that the pet does not move.
        recent_log_bpm: means of the last slots at rest, newest last.
    """

    pet: int
    direction: int
    closing_row: int
    species: int
    slot: int
    started: int
    ended: int | None
    severity: int
    peak: float
    median_bpm: float
    level_bpm: float
    limit_bpm: float | None
    is_still: bool
    recent_log_bpm: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Screened:
    """Scores after each closed slot, shape (slots,), and what changed, in no particular order."""

    score: FloatArray
    flagged: BoolArray
    changes: list[Change]


def screen(states: StateArray, closed: ClosedSlots) -> Screened:
    """Step over closed slots; `states` is moved on in place.

    Args:
        states: `STATE` records of the pets that `closed.pet` points into.
        closed: slots in the order of time within each pet.
    """
    score = np.zeros(len(closed.pet))
    flagged = np.zeros(len(closed.pet), np.bool_)
    changes: list[Change] = []
    in_turn = np.argsort(closed.nth, kind="stable")
    bounds = np.searchsorted(closed.nth[in_turn], np.arange(closed.nth.max(initial=-1) + 2))
    for begin, end in pairwise(bounds.tolist()):
        which = in_turn[begin:end]
        one = states[closed.pet[which]]
        seen = deviate(one, closed, which)
        changes += _track(one, seen, closed, which)
        states[closed.pet[which]] = one
        score[which], flagged[which] = one["score"], one["flagged"]
    return Screened(score, flagged, changes)


def _track(
    one: StateArray, seen: Deviation, closed: ClosedSlots, which: IndexArray
) -> list[Change]:
    """Open and close alarms, move episodes on, and tell what changed."""
    bar = np.where(one["alarm"], CALM_BELOW, 1.0)
    one["alarm"] = np.where(seen.judged[:, None], seen.ratios >= bar, one["alarm"])
    one["score"] = seen.ratios.max(axis=1)
    one["flagged"] = seen.judged & one["alarm"].any(axis=1)
    changes = []
    for direction in (0, 1):
        rises, ends = _move(one, seen, direction)
        for row in np.flatnonzero(rises | ends).tolist():
            at = int(closed.pet[which[row]]), int(closed.closing_row[which[row]])
            changes.append(_change(one, seen, row, direction, at=at, ended=bool(ends[row])))
    return changes


def _move(one: StateArray, seen: Deviation, direction: int) -> tuple[BoolArray, BoolArray]:
    """Move the episodes of a direction on: which began or rose, and which ended."""
    fast_up, slow_up = one["alarm"][:, direction], one["alarm"][:, direction + 2]
    going = one["going"][:, direction]
    up = seen.judged & (fast_up | slow_up)
    is_quiet = going & seen.judged & (one["ring_n"] == RING) & ~up
    quiet = np.where(up, 0, one["quiet"][:, direction] + is_quiet)
    ends = going & ((quiet > COOL) | (seen.silent > LOST))
    begins = up & ~going
    # a median passes the threshold once half of its slots do: that is when it began
    onset = seen.slot - np.where(fast_up, FAST, RING) // 2
    ratio = np.maximum(seen.ratios[:, direction], seen.ratios[:, direction + 2])
    peak = np.maximum(ratio, np.where(begins, 0.0, one["peak"][:, direction]))
    one["started"][:, direction] = np.where(begins, onset, one["started"][:, direction])
    one["last_up"][:, direction] = np.where(up, seen.slot, one["last_up"][:, direction])
    one["peak"][:, direction] = np.where(up, peak, one["peak"][:, direction])
    one["quiet"][:, direction] = np.where(ends, 0, quiet)
    one["going"][:, direction] = (going & ~ends) | up
    told = np.where(begins, 0, one["severity"][:, direction])
    grade = _grade(one, seen, direction)
    rises = up & (grade > told)
    one["severity"][:, direction] = np.where(rises, grade, told)
    return rises, ends


def _grade(one: StateArray, seen: Deviation, direction: int) -> CodeArray:
    """How severe an episode is that is up, an index into SEVERITIES."""
    sign = SIGNS[direction]
    critical = clinical.CRITICAL[one["species"], one["size"], 1 - direction]
    limit = seen.limits[:, 1 - direction]
    peak = one["peak"][:, direction]
    is_lasting = seen.slot - one["started"][:, direction] >= MEDIUM_AFTER
    grade = np.ones(len(one), np.uint8)
    is_outside = sign * seen.median > sign * limit
    grade[(peak >= MEDIUM_PEAK) | is_lasting | is_outside] = 2
    grade[(peak >= HIGH_PEAK) | (is_lasting & is_outside)] = 3
    grade[(peak >= CRITICAL_PEAK) | (sign * seen.median > sign * critical)] = 4
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
    return Change(
        pet=at[0],
        direction=direction,
        closing_row=at[1],
        species=int(kept["species"]),
        slot=int(seen.slot[row]),
        started=int(kept["started"][direction]),
        ended=int(kept["last_up"][direction]) if ended else None,
        severity=int(kept["severity"][direction]),
        peak=float(kept["peak"][direction]),
        median_bpm=math.exp(median),
        level_bpm=math.exp(median - away),
        limit_bpm=math.exp(limit) if is_outside else None,
        is_still=bool(seen.is_still[row]),
        recent_log_bpm=tuple(recent.tolist()),
    )
