"""The slow part of the screen: half an hours, hours and days at rest against a week of a pet.

A block of 5 minutes at rest is held against a level that looks back on 7 days, one for sleep and
one for lying awake, and that does not learn while something is wrong. What is left is averaged over
half an hour, an hour and a half, and six hours at rest. A heart that beats faster, and also more
evenly from beat to beat, or in a pet that also limps, is more than one that only beats faster: the
evidence is added up. While a level is young it is trusted less. The gait while moving has a level
and an average of its own. Knows nothing of episodes.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pettwin_pipeline.detection import clinical
from pettwin_pipeline.detection.baseline import IndexArray, StateArray
from pettwin_pipeline.detection.blocks import ClosedBlocks
from pettwin_pipeline.detection.clinical import FloatArray
from pettwin_pipeline.detection.slots import BoolArray

WINDOWS: Final = np.array([5.0, 16.0, 72.0])
"""Blocks at rest over which averages look back: about half an hour, an hour and more, six hours."""
LEAST: Final = np.array([3, 9, 36])
"""Blocks at rest before each is held against anything."""
THRESHOLDS: Final = np.array([0.26, 0.22, 0.165])
"""Of each: deviation of log heart rate that alarms once the level is known."""
DRIFT: Final = np.array([0.085, 0.075, 0.055])
"""Of each: its standard deviation in healthy pets: real dogs drift by 9 % between sessions."""
UNKNOWN: Final = 0.0081 * 38
"""Variance of a level times the blocks that it counts for: the drift while it was learnt."""
PRESENT: Final = 2.0
"""The longer windows say at most so many times what the last half hour says: over is over."""
OPENS: Final = np.array([0.75, 0.75, 1.0])
"""Of the threshold: a faster or slower heart is recorded from here, and told from 1."""
CLOSES_BELOW: Final = 0.6  # of the threshold
CALM_BELOW: Final = 0.6
"""Of the threshold: above it levels do not learn."""
WEEK: Final = 2016  # blocks
PRIOR_BLOCKS: Final = 2
"""Blocks that the usual heart rate of the species counts for."""
MAX_FROZEN: Final = 4 * WEEK  # blocks at rest after which a level learns whatever is up
STEP: Final = 0.3  # of log heart rate: no block pulls harder at a level
CLIP: Final = 0.5
SHARE: Final = 1 / 3  # of the slots of a block that must say what it is
LOUD: Final = 0.75  # share of readings with a heart rate below which the contact is poor
MOVE_SLOPE: Final = 0.09
"""How much faster a heart beats, awake at rest, per logarithm of activity_score."""
SPREAD_SLOPE: Final = 0.12
USUAL_MOVE: Final = 1.2  # logarithm of activity_score of a pet that lies awake
STIRS: Final = 3  # active slots of a block at rest
AFTER_EXERCISE: Final = 10  # active slots in the block before that still show
EVENER: Final = 1.2
"""What a beat-to-beat spread that is smaller by a factor of e adds to the deviation, ..."""
ROUGHER: Final = 0.5
EVENER_MOST, ROUGHER_MOST = 0.45, 0.6
"""... and of how much of it that is said."""
SPREAD_KNOWN: Final = 12  # blocks
ADDS_MOST: Final = 3.0
"""What is added to a faster heart, at most, as a multiple of it: alone it says nothing."""
FALLS: Final = 1.2
"""A slower heart alarms at so many times the threshold."""
LIMP_ADDS: Final = 1.0
LIMP_MOST: Final = 0.05

GAIT_PRIOR: Final = 6
GAIT_WINDOW: Final = 3.0  # blocks of moving
GAIT_LEAST: Final = 2
GAIT_DROP: Final = 0.04
GAIT_STEP: Final = 0.02
GAIT_SLOTS: Final = 6  # of a block: a minute of moving
GAIT_WEEK: Final = 400  # blocks of moving
GAIT_LOW: Final = 0.88
"""Below it a gait is uneven whatever the pet's own is."""

HIGH, LOW, LIMP = 0, 1, 2
_POSTURES: Final = ("asleep", "lying")


@dataclass(frozen=True, slots=True)
class _Block:
    """A closed block of each of n pets at rest; the first axis is asleep, lying."""

    heart: FloatArray
    spread: FloatArray
    share: FloatArray
    used: BoolArray


def follow(one: StateArray, blocks: ClosedBlocks, which: IndexArray) -> None:
    """Take in one closed block of each pet: averages, `trend` and `trend_up` are moved on.

    Args:
        one: `STATE` records of the pets of these blocks, changed in place, shape (n,).
        blocks: the blocks.
        which: of them, shape (n,).
    """
    _walk(one, blocks, which)
    rest = _rest(one, blocks, which)
    one["active_before"] = np.minimum(blocks.count("active", which), 255)
    away, spread = _deviation(one, rest)
    _average(one, rest, away, spread)
    ratios = _ratios(one, rest)
    score = np.stack([ratios.max(axis=1), (-ratios).max(axis=1)], axis=1)
    used = rest.used[:, None]
    one["trend"][:, :LIMP] = np.where(used, np.maximum(score, 0.0), one["trend"][:, :LIMP])
    one["trend_window"] = np.where(rest.used, np.abs(ratios).argmax(axis=1), one["trend_window"])
    _alarm(one, slice(0, LIMP), used)
    _learn(one, rest, score.max(axis=1))


def _alarm(one: StateArray, at: slice, used: BoolArray) -> None:
    bar = np.where(one["trend_up"][:, at], CLOSES_BELOW, OPENS[at])
    one["trend_up"][:, at] = np.where(used, one["trend"][:, at] >= bar, one["trend_up"][:, at])


def _rest(one: StateArray, blocks: ClosedBlocks, which: IndexArray) -> _Block:
    seen = blocks.count("seen", which)
    moves = blocks.mean("move_lying", "n_lying", which) - USUAL_MOVE
    heart = np.stack([blocks.mean(f"h_{name}", f"n_{name}", which) for name in _POSTURES])
    spread = np.stack(
        [blocks.mean(f"spread_{name}", f"n_spread_{name}", which) for name in _POSTURES]
    )
    heart[1] -= MOVE_SLOPE * moves
    spread[1] += SPREAD_SLOPE * moves
    count = np.stack([blocks.count(f"n_{name}", which) for name in _POSTURES])
    is_clear = (blocks.count("active", which) <= STIRS) & (one["active_before"] <= AFTER_EXERCISE)
    is_clear &= blocks.count("hearts", which) >= LOUD * blocks.count("readings", which)
    is_clear &= ~blocks.is_flat[which]
    count = np.where(is_clear & (count >= np.maximum(SHARE * seen, 1)), count, 0.0)
    total = count.sum(axis=0)
    return _Block(heart, spread, count / np.maximum(total, 1), total > 0)


def _deviation(one: StateArray, rest: _Block) -> tuple[FloatArray, FloatArray]:
    """How the block lies against the week: log heart rate, log spread; 0 where it says nothing."""
    fresh = one["week_n"] == 0  # no block was ever learnt: the usual of the species and size
    usual = clinical.USUAL[one["species"], one["size"]]
    other = one["week"][:, ::-1] + usual - usual[:, ::-1]  # as far from the other posture as usual
    start = np.where(fresh & ~fresh[:, ::-1], other, usual)
    one["week"] = np.where(fresh, start, one["week"])
    away = np.clip(np.nan_to_num(rest.heart.T - one["week"]), -CLIP, CLIP)
    spread = rest.spread.T - one["week_spread"]
    known = (one["week_spread_n"] >= SPREAD_KNOWN) & ~np.isnan(spread)
    spread = np.where(known, np.clip(np.nan_to_num(spread), -0.8, 0.8), 0.0)
    share = rest.share.T
    return (share * away).sum(axis=1), (share * spread).sum(axis=1)


def _average(one: StateArray, rest: _Block, away: FloatArray, spread: FloatArray) -> None:
    count = np.where(rest.used, np.minimum(one["trend_n"] + 1, 255), one["trend_n"])
    one["trend_n"] = count
    rate = np.maximum(1 - np.exp(-1 / WINDOWS), 1 / np.maximum(count, 1)[:, None])
    rate = np.where(rest.used[:, None], rate, 0.0)
    one["average"] += rate * (away[:, None] - one["average"])
    one["average_spread"] += rate * (spread[:, None] - one["average_spread"])
    level = (rest.share.T * one["week"]).sum(axis=1)
    one["trend_level"] = np.where(rest.used, level, one["trend_level"])


def _ratios(one: StateArray, rest: _Block) -> FloatArray:
    """Evidence over threshold for each window, shape (n, 3); below 0: a slow heart."""
    average, spread = one["average"].astype(np.float64), one["average_spread"].astype(np.float64)
    added = EVENER * np.clip(-spread, 0.0, EVENER_MOST)
    added = added + EVENER * ROUGHER * np.clip(spread, 0.0, ROUGHER_MOST)
    limp = np.clip(-one["gait_average"].astype(np.float64), 0.0, LIMP_MOST)
    added += LIMP_ADDS * limp[:, None]
    weight = (rest.share.T * (one["week_n"] + PRIOR_BLOCKS)).sum(axis=1)
    young = np.sqrt(1 + UNKNOWN / np.maximum(weight, 1)[:, None] / DRIFT**2)
    added = np.minimum(added, ADDS_MOST * np.maximum(average, 0.0))
    evidence = np.where(average > 0, average + added, average / FALLS)
    ratios: FloatArray = evidence / (THRESHOLDS * young)
    ratios = np.where(one["trend_n"][:, None] >= LEAST, ratios, 0.0)
    still = PRESENT * ratios[:, :1]
    bounded: FloatArray = np.clip(ratios, np.minimum(still, 0.0), np.maximum(still, 0.0))
    return bounded


def _learn(one: StateArray, rest: _Block, score: FloatArray) -> None:
    is_calm = (score < CALM_BELOW) & ~one["trend_up"][:, :LIMP].any(axis=1)
    frozen = np.where(is_calm, 0, np.minimum(one["trend_frozen"] + 1, MAX_FROZEN + 1))
    one["trend_frozen"] = np.where(rest.used, frozen, one["trend_frozen"])
    learns = rest.used & ((one["trend_frozen"] == 0) | (one["trend_frozen"] > MAX_FROZEN))
    for posture in range(len(_POSTURES)):
        mine = learns & (rest.share[posture] > 0)
        count = one["week_n"][:, posture] + mine
        one["week_n"][:, posture] = np.minimum(count, WEEK)
        step = np.clip(rest.heart[posture] - one["week"][:, posture], -STEP, STEP)
        step = np.where(mine, np.nan_to_num(step) / (count + PRIOR_BLOCKS), 0.0)
        one["week"][:, posture] += step
        spreads = mine & ~np.isnan(rest.spread[posture])
        number = one["week_spread_n"][:, posture] + spreads
        one["week_spread_n"][:, posture] = np.minimum(number, WEEK)
        step = np.nan_to_num(rest.spread[posture]) - one["week_spread"][:, posture]
        one["week_spread"][:, posture] += np.where(spreads, step / np.maximum(number, 1), 0.0)


def _walk(one: StateArray, blocks: ClosedBlocks, which: IndexArray) -> None:
    """The gait of a block against the pet's own: its average, ratio and alarm."""
    count, hearts = blocks.count("n_gait", which), blocks.count("hearts", which)
    poor = one["heard"] & (hearts < LOUD * blocks.count("readings", which))
    share = blocks.count("seen", which) / 5
    used = (count >= np.minimum(GAIT_SLOTS, np.maximum(share, 1))) & ~poor
    gait = np.nan_to_num(blocks.mean("gait", "n_gait", which))
    number = np.where(used, np.minimum(one["gait_n"] + 1, GAIT_WEEK), one["gait_n"])
    rate = np.maximum(1 - np.exp(-1 / GAIT_WINDOW), 1 / np.maximum(number, 1))
    away = gait - one["gait"]
    one["gait_average"] += np.where(used, rate * (away - one["gait_average"]), 0.0)
    average = one["gait_average"].astype(np.float64)
    below = np.where(one["gait"] + average < GAIT_LOW, 1.0, 0.0)
    ratio = np.maximum(np.maximum(-average / GAIT_DROP, 0.0), below)
    ratio = np.where(number >= GAIT_LEAST, ratio, 0.0)
    one["trend"][:, LIMP] = np.where(used, ratio, one["trend"][:, LIMP])
    _alarm(one, slice(LIMP, LIMP + 1), used[:, None])
    learns = used & (ratio < CALM_BELOW)
    step = np.clip(away, -GAIT_STEP, GAIT_STEP) / (number + GAIT_PRIOR)
    one["gait"] += np.where(learns, step, 0.0)
    one["gait_n"] = number
    one["walked"] = used
