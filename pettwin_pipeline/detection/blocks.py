"""Slots gathered into blocks of 5 minutes per pet: what the slow part of the screen steps over.

A block is closed when a slot of a later one is, so that any batch size gives the same blocks. Each
slot is sorted by what the pet did: asleep, lying awake, moving. Sums are whole numbers, as in
`slots`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pettwin_pipeline.detection.baseline import NEVER, IndexArray, StateArray
from pettwin_pipeline.detection.clinical import FloatArray
from pettwin_pipeline.detection.slots import (
    SCALE,
    SLOT_MS,
    BoolArray,
    ClosedSlots,
    ends,
    mean_of,
    starts,
)

BLOCK_SLOTS: Final = 30  # 5 minutes
BLOCK_MS: Final = BLOCK_SLOTS * SLOT_MS
ASLEEP_ABOVE: Final = 0.90  # sleep_quality
LYING_ABOVE: Final = 0.40
ASLEEP_BELOW: Final = 1.5  # activity_score of a pet whose collar says nothing of sleep
LYING_BELOW: Final = 12.0  # activity_score; above a pet moves, and its gait can be seen
ACTIVE_ABOVE: Final = 20.0
"""activity_score of a pet that is not at rest."""
STEADY_GAIT: Final = 0.045
"""Standard deviation of the gait within a slot above which it is the strap that moves."""
LEAST_ACTIVITY: Final = 0.1

FIELDS: Final = (
    *("seen", "active", "n_asleep", "h_asleep", "n_lying", "h_lying", "move_lying"),
    *("n_spread_asleep", "spread_asleep", "n_spread_lying", "spread_lying", "n_gait", "gait"),
    *("readings", "hearts", "impossible", "n_activity", "activity", "n_battery", "battery"),
)
"""What a block sums over its slots: counts, and sums in steps of 1 / SCALE."""
_AT: Final = {name: at for at, name in enumerate(FIELDS)}


@dataclass(frozen=True, slots=True)
class ClosedBlocks:
    """Blocks that a batch closed, by pet and time; arrays with one entry a block.

    Attributes:
        block: event time divided by the length of a block.
        closing_slot: index of the closed slot that closed it.
        next_block: the block of that slot.
        sums: shape (len(FIELDS), blocks).
        is_flat: whether every heart rate of the block was the same.
    """

    block: IndexArray
    closing_slot: IndexArray
    next_block: IndexArray
    sums: IndexArray
    is_flat: BoolArray

    def count(self, name: str, which: IndexArray) -> FloatArray:
        """A count of FIELDS of some blocks."""
        count: FloatArray = self.sums[_AT[name], which].astype(np.float64)
        return count

    def mean(self, name: str, per: str, which: IndexArray) -> FloatArray:
        """A sum of FIELDS over a count of FIELDS of some blocks, NaN where that is 0."""
        return mean_of(self.sums[_AT[name], which], self.sums[_AT[per], which])


def cut_into_blocks(closed: ClosedSlots, states: StateArray) -> ClosedBlocks:
    """Gather closed slots; open blocks in `states` are moved on in place.

    Args:
        closed: slots, by pet and time.
        states: `STATE` records of the pets that `closed.pet` points into.
    """
    touched = closed.pet[starts(closed.pet)]
    pets = np.concatenate([touched, closed.pet])
    order = np.argsort(pets, kind="stable")  # the block that was left open comes first
    pets = pets[order]
    blocks = np.concatenate([states["block"][touched], closed.slot // BLOCK_SLOTS])[order]
    slots = np.concatenate([np.full(len(touched), -1), np.arange(len(closed.pet))])[order]
    table = np.concatenate([states["block_sums"][touched].T, _sums(closed)], axis=1)[:, order]
    edge = np.where(closed.hearts > 0, closed.same, -1)
    low = np.concatenate([states["block_low"][touched], np.where(closed.hearts > 0, edge, 2**62)])
    high = np.concatenate([states["block_high"][touched], np.where(closed.hearts > 0, edge, -1)])
    at = np.flatnonzero(starts(pets) | starts(blocks))
    if not len(at):
        empty = np.zeros(0, np.int64)
        return ClosedBlocks(empty, empty, empty, table, empty == 1)
    sums = np.add.reduceat(table, at, axis=1)
    low, high = np.minimum.reduceat(low[order], at), np.maximum.reduceat(high[order], at)
    pets, blocks = pets[at], blocks[at]
    stays = ends(pets)  # the last block of each pet
    states["block"][touched], states["block_sums"][touched] = blocks[stays], sums[:, stays].T
    states["block_low"][touched], states["block_high"][touched] = low[stays], high[stays]
    which = np.flatnonzero(~stays & (blocks != NEVER))
    return ClosedBlocks(
        block=blocks[which],
        closing_slot=slots[at[which + 1]],
        next_block=blocks[which + 1],
        sums=sums[:, which],
        is_flat=(low[which] == high[which]) & (low[which] >= 0),
    )


def asleep_and_lying(stillness: FloatArray, activity: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Whether a pet sleeps, whether it lies awake; a collar that tells nothing: it sleeps."""
    says_sleep, says_move = ~np.isnan(stillness), ~np.isnan(activity)
    still = np.where(says_sleep, stillness >= ASLEEP_ABOVE, ~(activity >= ASLEEP_BELOW))
    lies = np.where(says_sleep, stillness >= LYING_ABOVE, says_move)
    asleep = still & ~(activity >= ACTIVE_ABOVE)
    return asleep, ~still & lies & ~(activity >= LYING_BELOW)


def _sums(closed: ClosedSlots) -> IndexArray:
    """What each slot adds to the sums of its block, shape (len(FIELDS), slots)."""
    asleep, lying = asleep_and_lying(closed.stillness, closed.activity)
    heart, spread = ~np.isnan(closed.log_bpm), ~np.isnan(closed.spread)
    walks = ~np.isnan(closed.gait) & ~(closed.activity < LYING_BELOW)
    walks &= ~(closed.gait_spread > STEADY_GAIT)
    moves = np.log(np.maximum(np.nan_to_num(closed.activity, nan=1.0), LEAST_ACTIVITY))
    parts: dict[str, tuple[BoolArray, FloatArray | None]] = {
        "active": (closed.activity >= ACTIVE_ABOVE, None),
        "n_asleep": (asleep & heart, None),
        "h_asleep": (asleep & heart, closed.log_bpm),
        "n_lying": (lying & heart, None),
        "h_lying": (lying & heart, closed.log_bpm),
        "move_lying": (lying & heart, moves),
        "n_spread_asleep": (asleep & spread, None),
        "spread_asleep": (asleep & spread, closed.spread),
        "n_spread_lying": (lying & spread, None),
        "spread_lying": (lying & spread, closed.spread),
        "n_gait": (walks, None),
        "gait": (walks, closed.gait),
        "n_activity": (~np.isnan(closed.activity), None),
        "activity": (~np.isnan(closed.activity), closed.activity),
        "n_battery": (~np.isnan(closed.battery), None),
        "battery": (~np.isnan(closed.battery), closed.battery),
    }
    sums = np.zeros((len(FIELDS), len(closed.pet)), np.int64)
    for name, (counts, value) in parts.items():
        sums[_AT[name]] = counts
        if value is not None:
            sums[_AT[name]] = np.where(counts, np.rint(np.where(counts, value, 0.0) * SCALE), 0.0)
    sums[_AT["seen"]] = 1
    for name in ("readings", "hearts", "impossible"):
        sums[_AT[name]] = getattr(closed, name)
    return sums
