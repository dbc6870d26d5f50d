"""What is wrong with a collar, apart from what is wrong with a pet: judged on blocks of 5 minutes.

A table of faults and how each shows. A fault is up in a block or not; it is told after `patience`
blocks in a row and over after two without it. Knows nothing of health.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pettwin_pipeline.detection.baseline import IndexArray, StateArray
from pettwin_pipeline.detection.blocks import ClosedBlocks
from pettwin_pipeline.detection.slots import BoolArray


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: its name, the signal that shows it, and what a person is told."""

    name: str
    signal: str
    patience: int
    text: str


FAULTS: Final = (
    Fault("flat", "heart_rate", 3, "the heart rate stands still at one value"),
    Fault("impossible", "heart_rate", 1, "heart rates that no animal has"),
    Fault("detached", "heart_rate", 2, "no heart and no movement: the collar is not on the pet"),
    Fault("loose", "heart_rate", 2, "many readings without a heart rate: the collar is loose"),
    Fault("low_battery", "battery", 1, "the battery is nearly empty"),
    Fault("gap", "readings", 1, "no readings came"),
)
CALM: Final = 2  # blocks without a fault after which it is over
FEWEST: Final = 3  # readings that tell a fault
IMPOSSIBLE_FROM: Final = 3  # heart rates in a block
NO_HEART: Final = 0.15  # share of readings with a heart rate
POOR_HEART: Final = 0.75
NO_MOVE: Final = 0.3  # activity_score
NEARLY_EMPTY: Final = 10.0  # percent
LONG_GAP: Final = 2  # blocks without a reading


@dataclass(frozen=True, slots=True)
class Faults:
    """Which faults began and which ended in one block of each pet, shape (n, len(FAULTS))."""

    begins: BoolArray
    ends: BoolArray


def watch(one: StateArray, blocks: ClosedBlocks, which: IndexArray) -> Faults:
    """Take in one closed block of each pet; the faults in `one` are moved on in place."""
    up = _up(one, blocks, which)
    block = blocks.block[which][:, None]
    patience = np.array([fault.patience for fault in FAULTS])
    going = one["fault"]
    run = np.where(up, np.minimum(one["fault_run"] + 1, 200), 0)
    calm = np.where(up, 0, np.minimum(one["fault_calm"] + 1, 200))
    begins = up & ~going & (run >= patience)
    ends = going & ~up & (calm >= CALM)
    one["fault_since"] = np.where(begins, block - run + 1, one["fault_since"])
    one["fault_last"] = np.where(up, block, one["fault_last"])
    one["fault_run"], one["fault_calm"] = run, calm
    one["fault"] = (going | begins) & ~ends
    return Faults(begins, ends)


def silences(blocks: ClosedBlocks, which: IndexArray) -> BoolArray:
    """Whether readings were missing between a block and the one that closed it."""
    silent: BoolArray = blocks.next_block[which] - blocks.block[which] > LONG_GAP
    return silent


def _up(one: StateArray, blocks: ClosedBlocks, which: IndexArray) -> BoolArray:
    readings, hearts = blocks.count("readings", which), blocks.count("hearts", which)
    heard = one["heard"] & (readings >= FEWEST)
    activity = blocks.mean("activity", "n_activity", which)
    detached = heard & (hearts <= NO_HEART * readings) & ~(activity > NO_MOVE)
    loose = heard & (hearts < POOR_HEART * readings) & ~detached
    battery = blocks.mean("battery", "n_battery", which)
    flat = blocks.is_flat[which] & (hearts >= FEWEST)
    impossible = blocks.count("impossible", which) >= IMPOSSIBLE_FROM
    never = np.zeros(len(which), np.bool_)  # a gap is told by `silences`
    return np.stack([flat, impossible, detached, loose, battery < NEARLY_EMPTY, never], axis=1)
