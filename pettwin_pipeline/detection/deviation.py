"""How far the last minutes at rest lie from what is normal for a pet: medians against levels.

The median of log heart rate over 2 and over 4 minutes at rest is held against a level that learns
slowly, and not while something is wrong. There is one level for sleep and one for lying awake.
A level needs the slot before, and whether it learns needs the deviation: so who learns is guessed,
the levels are moved on by the guess, and what follows holds up to the first slot where it does not
agree. All arithmetic is elementwise, so a pet's result does not depend on which others are in the
batch, nor on where it is cut. What is made of a deviation is in `screen`.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from pettwin_pipeline.detection import clinical
from pettwin_pipeline.detection.baseline import PRIOR_WEIGHT, RING, IndexArray, StateArray
from pettwin_pipeline.detection.clinical import FloatArray
from pettwin_pipeline.detection.rest import FAST, Rest, median
from pettwin_pipeline.detection.slots import BoolArray
from pettwin_pipeline.detection.timelines import Timelines

THRESHOLDS: Final = np.array([0.40, -0.28, 0.175, -0.28])
"""Deviations that alarm: fast high, fast low, slow high, slow low. Tuned on dogs asleep."""
CALM_BELOW: Final = 0.85  # of the threshold: an alarm closes there, a level learns there
CLIP: Final = 0.2  # of log heart rate: no slot pulls harder than this at a level
MEMORY: Final = 8640  # slots: a level looks back on a day at rest
WARM: Final = 60  # slots that a level learns before anything is held against it
MAX_FROZEN: Final = 8640  # slots after which a level learns although an alarm is up


@dataclass(slots=True)
class Levels:
    """What is normal for some pets, one entry a pet; moved on in place.

    Attributes:
        level: of log(bpm) at rest, shape (pets, 2): asleep, awake.
        weight: slots that each of them counts for.
        frozen: slots since they stopped learning, shape (pets,).
        alarm: what is up: fast high, fast low, slow high, slow low, shape (pets, 4).
    """

    level: FloatArray
    weight: IndexArray
    frozen: IndexArray
    alarm: BoolArray

    @classmethod
    def of_states(cls, one: StateArray) -> "Levels":
        """Those that are kept."""
        weight, frozen = one["weight"].astype(np.int64), one["frozen"].astype(np.int64)
        return cls(one["level"].copy(), weight, frozen, one["alarm"].copy())

    def of(self, pets: IndexArray) -> "Levels":
        """A copy of those of some pets."""
        return Levels(*(getattr(self, name)[pets] for name in self.__slots__))

    def keep(self, pets: IndexArray, seen: "Deviation", rows: IndexArray) -> None:
        """They are now as they were after these slots."""
        for name in self.__slots__:
            getattr(self, name)[pets] = getattr(seen, name)[rows]

    def learn(self) -> BoolArray:
        """Whose levels learnt when they last might."""
        return _learns(self.frozen)

    def note_profile(self, pets: IndexArray, rest: Rest, at: IndexArray) -> None:
        """The usual rates of its kind are the start, at a slot that first says what a pet is."""
        news = rest.is_news[at]
        pets, at = pets[news], at[news]
        unlearnt = self.weight[pets] == PRIOR_WEIGHT
        usual = clinical.USUAL[rest.species[at], rest.size[at]]
        self.level[pets] = np.where(unlearnt, usual, self.level[pets])


@dataclass(frozen=True, slots=True)
class Deviation:
    """How slots lie, one entry a slot. Rates and limits are logarithms; unknown is NaN.

    Attributes:
        at: indices of the slots of `Rest`.
        slot: which.
        judged: whether the pet was at rest with a heart rate; if not, the rest is of earlier slots.
        silent: slots since the one at rest before.
        is_still: whether the collar said so; False where it says nothing of activity.
        fast: median deviation from the level over the last FAST slots.
        slow: the same over the whole ring.
        ratios: deviation over threshold, limits included, shape (n, 4); 0 where not judged.
        median: median of the rate itself over the last FAST slots.
        long_median: the same over the whole ring.
        is_warm: whether the level is known well enough to hold anything against it.
        limits: of species, size and posture: low, high, shape (n, 2).
        alarm: what is up after the slot, shape (n, 4), as in `Levels`.
        up: whether an alarm or the trend says that the heart is fast, or slow, shape (n, 2).
        learns: whether the level learnt from the slot.
        frozen: slots since it stopped.
        level: after the slot, shape (n, 2).
        weight: after the slot, shape (n, 2).
    """

    at: IndexArray
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
    alarm: BoolArray
    up: BoolArray
    learns: BoolArray
    frozen: IndexArray
    level: FloatArray
    weight: IndexArray

    def of(self, rows: IndexArray) -> "Deviation":
        """Some of them."""
        return Deviation(*(getattr(self, name)[rows] for name in self.__slots__))


def deviate(
    rest: Rest,
    at: IndexArray,
    levels: Levels,
    lines: Timelines,
    *,
    guess: BoolArray,
    trend_up: BoolArray,
    ill: BoolArray,
) -> Deviation:
    """How slots lie, if the levels learn as guessed: true up to the first where they do not.

    Args:
        rest: what the slots say.
        at: which of them.
        levels: of the pets before the first of these slots.
        lines: where those of each pet lie in `at`.
        guess: whether the level of its pet learns from a slot, shape (n,).
        trend_up: whether the trend says that the heart is fast, or slow, shape (n, 2).
        ill: whose episodes go on before these slots, shape (pets,). True up to the first that ends.
    """
    awake, judged = rest.awake[at], rest.judged[at]
    present = awake[:, None] == np.arange(2)
    learnt = lines.total(guess[:, None] & present)
    weight = lines.before(np.minimum(levels.weight[lines.of] + learnt, MEMORY), levels.weight)
    is_warm = weight[np.arange(len(at)), awake] >= PRIOR_WEIGHT + WARM
    log_bpm = np.where(judged, rest.log_bpm[at], 0.0)[:, None]
    reach = np.where(present, np.where(is_warm, CLIP, np.inf)[:, None], 0.0)
    heavier = np.minimum(weight + 1, MEMORY)
    guessed = np.where(guess[:, None], reach, 0.0)
    level = _follow(levels.level, log_bpm, guessed, heavier, lines)
    fast, slow = _medians(rest, at, level)
    ratios = np.stack([fast, fast, slow, slow], axis=1) / THRESHOLDS
    ratios = np.where(is_warm[:, None] & ~np.isnan(ratios), ratios, 0.0)
    middle, limits = rest.median[at], rest.limits[at]
    for direction, is_outside in enumerate((middle > limits[:, 1], middle < limits[:, 0])):
        ratios[is_outside, direction] = np.maximum(ratios[is_outside, direction], 1.0)
    ratios[~judged] = 0.0
    may = judged & (~np.isnan(slow) | ~is_warm)  # not before it is known whether all is well
    alarm = _alarms(levels.alarm, judged, ratios, lines)
    up = judged[:, None] & (alarm[:, :2] | alarm[:, 2:] | trend_up)
    begun = lines.total(up[:, 0] | up[:, 1]) > 0
    frozen = _thaw(levels.frozen, may, ratios, lines.before(begun | ill[lines.of], ill), lines)
    learns = may & _learns(frozen)
    return Deviation(
        at=at,
        slot=rest.slot[at],
        judged=judged,
        silent=rest.silent[at],
        is_still=rest.is_still[at],
        fast=fast,
        slow=slow,
        ratios=ratios,
        median=middle,
        long_median=rest.long_median[at],
        is_warm=is_warm,
        limits=limits,
        alarm=alarm,
        up=up,
        learns=learns,
        frozen=frozen,
        level=level + _step(level, log_bpm, np.where(learns[:, None], reach, 0.0), heavier),
        weight=np.where(learns[:, None] & present, heavier, weight),
    )


def _medians(rest: Rest, at: IndexArray, level: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fast and slow median of the deviation."""
    away = rest.rates[at] - np.where(rest.was_awake[at], level[:, 1:], level[:, :1])
    ring_n = rest.ring_n[at]
    return (
        np.where(ring_n >= FAST, median(away[:, -FAST:]), np.nan),
        np.where(ring_n >= RING, median(away), np.nan),
    )


def _alarms(alarm: BoolArray, judged: BoolArray, ratios: FloatArray, lines: Timelines) -> BoolArray:
    """An alarm opens at its threshold and closes clearly below it."""
    opens = ratios >= 1.0
    moves = judged[:, None] & (opens | (ratios < CALM_BELOW))
    return lines.held(moves, opens, alarm)


def _thaw(
    frozen: IndexArray, may: BoolArray, ratios: FloatArray, ill: BoolArray, lines: Timelines
) -> IndexArray:
    """Levels are frozen while something is wrong: for how many slots that they might learn from."""
    is_calm = (ratios.max(axis=1) < CALM_BELOW) & ~ill
    return lines.since(may, may & is_calm, frozen)


def _learns(frozen: IndexArray) -> BoolArray:
    """Not while they are frozen, for a day at most."""
    learns: BoolArray = (frozen == 0) | (frozen > MAX_FROZEN)
    return learns


def _follow(
    level: FloatArray, log_bpm: FloatArray, reach: FloatArray, weight: IndexArray, lines: Timelines
) -> FloatArray:
    """The levels before each slot, shape (n, 2)."""
    turns = lines.turns()
    log_bpm, reach = log_bpm[turns.order], reach[turns.order]
    weight, level = weight[turns.order].astype(np.float64), level[turns.pets]
    path = np.empty_like(reach)
    for begin, end in pairwise(turns.bounds):
        now = level[: end - begin]
        path[begin:end] = now
        now += _step(now, log_bpm[begin:end], reach[begin:end], weight[begin:end])
    before = np.empty_like(path)
    before[turns.order] = path
    return before


def _step(
    level: FloatArray, log_bpm: FloatArray, reach: FloatArray, weight: StateArray
) -> FloatArray:
    """A slot pulls a level a little towards it, and none farther than it reaches."""
    step: FloatArray = np.minimum(np.maximum(log_bpm - level, -reach), reach) / weight
    return step
