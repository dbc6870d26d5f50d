"""The grid of time that everything is computed on, and the dice of each pet.

A block is one minute of some pets, cut into equal steps; the physiology is always computed block by
block, so that how the caller wants its chunks cuts nothing new. Dice belong to cohorts of 64 pets
and are always thrown for the whole cohort: pets added at the end change none of the earlier ones.
Knows nothing of animals.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.int64]

BLOCK_MS: Final = 60_000
BLOCKS_A_DAY: Final = 24 * 60
COHORT: Final = 64
NEVER: Final = 2**62
"""A time after all times, in ms."""

# what the dice are thrown for: one stream of random numbers each
WHO, ILL, BLOCK, STEP, STORM, BEGIN = range(6)


@dataclass(frozen=True, slots=True)
class Block:
    """One minute.

    Attributes:
        begin_ms: its first moment, ms since 1970 UTC.
        step_ms: the distance of two readings of a pet.
        steps: the moments in it, ms since 1970 UTC, shape (T, 1).
    """

    begin_ms: int
    step_ms: int
    steps: IndexArray

    @classmethod
    def at(cls, begin_ms: int, step_ms: int) -> "Block":
        """The block that begins at `begin_ms`."""
        return cls(begin_ms, step_ms, np.arange(begin_ms, begin_ms + BLOCK_MS, step_ms)[:, None])

    @property
    def end_ms(self) -> int:
        """The first moment after it."""
        return self.begin_ms + BLOCK_MS

    @property
    def hour(self) -> float:
        """Hour of the day in UTC, 0 to 24."""
        return self.begin_ms / 3_600_000 % 24


class Dice:
    """Random numbers for pets `first` to `first + pets`, the same whoever else is simulated.

    The streams are numpy's SFC64: the same on every machine for the same release of numpy.
    """

    def __init__(self, seed: int, purpose: int, first: int, pets: int) -> None:
        self.pets = pets
        self._cohorts = [
            np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, purpose, cohort])))
            for cohort in range(first // COHORT, (first + pets + COHORT - 1) // COHORT)
        ]

    def uniform(self, rows: int) -> FloatArray:
        """Uniform in [0, 1), shape (rows, pets)."""
        drawn = [one.random((rows, COHORT)) for one in self._cohorts]
        return np.concatenate(drawn, axis=1)[:, : self.pets]

    def normal(self, rows: int) -> FloatArray:
        """Standard normal, shape (rows, pets)."""
        drawn = [one.standard_normal((rows, COHORT)) for one in self._cohorts]
        return np.concatenate(drawn, axis=1)[:, : self.pets]


def between(share: FloatArray, low: FloatArray | float, high: FloatArray | float) -> FloatArray:
    """Uniform dice stretched to [low, high]."""
    return low + share * (high - low)


def log_between(share: FloatArray, low: FloatArray | float, high: FloatArray | float) -> FloatArray:
    """Uniform dice stretched to [low, high], evenly in the logarithm."""
    ratio: FloatArray = low * (np.asarray(high) / low) ** share
    return ratio


def follow(kept: FloatArray, memory: FloatArray, drive: FloatArray) -> FloatArray:
    """First-order recursions: `x[t] = memory * x[t-1] + drive[t]`.

    Args:
        kept: state before the block, shape (K, n); moved on in place to the end of the block.
        memory: share that is kept in one step, shape (K, n) or (K, 1).
        drive: what is added at each step, shape (T, K, n).
    """
    out = np.empty_like(drive)
    before = kept
    for step in range(len(drive)):
        np.multiply(before, memory, out=out[step])
        out[step] += drive[step]
        before = out[step]
    kept[:] = before
    return out
