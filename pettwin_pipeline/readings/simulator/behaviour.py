"""What the pets do: sleep, lie, potter about, walk; how much they move and how evenly.

Bouts follow one another by the hour of the day, by species and by how the pet feels; excitement
of `confounders` comes over them. Gives activity, gait and stillness for each step. Knows nothing
of the heart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pettwin_pipeline.readings.simulator.confounders import EXCITEMENTS
from pettwin_pipeline.readings.simulator.fleet import Pet
from pettwin_pipeline.readings.simulator.grid import (
    Block,
    BoolArray,
    FloatArray,
    IndexArray,
    between,
    follow,
    log_between,
)
from pettwin_pipeline.readings.simulator.spells import Spell

ASLEEP, LYING, POTTERING, WALKING = range(4)
BOUT_DICE: Final = 4
"""Rows of uniform dice that bouts need a block."""
STEP_DICE: Final = 2
"""Rows of normal dice that movement needs a step: activity, gait."""

BOUT_MINUTES: Final = {
    "dog": ((15.0, 90.0), (3.0, 30.0), (1.5, 10.0), (3.0, 20.0)),
    "cat": ((10.0, 70.0), (3.0, 30.0), (1.5, 8.0), (1.5, 6.0)),
}
NIGHT_ODDS: Final = {"dog": (1.6, 0.45, 0.15, 0.01), "cat": (1.2, 0.40, 0.25, 0.06)}
DAY_ODDS: Final = {"dog": (0.25, 0.50, 0.50, 0.25), "cat": (0.35, 0.45, 0.50, 0.20)}
BOUT_ACTIVITY: Final = ((0.3, 1.2), (2.0, 7.0), (12.0, 28.0), (30.0, 55.0))
ACTIVITY_SD: Final = 0.30  # of log activity within a bout
ACTIVITY_MEMORY_S: Final = 20.0
GAIT_SD: Final = 0.02
GAIT_MEMORY_S: Final = 15.0
MOVING_ABOVE: Final = 12.0
"""activity_score above which a gait can be seen at all."""
STILL_BELOW: Final = 15.0
STILL_MEMORY_S: Final = 180.0
"""sleep_quality looks back on about three minutes."""


@dataclass(frozen=True, slots=True)
class Movement:
    """What a block of behaviour gives; all arrays have shape (T, n).

    Attributes:
        activity: 0 to 100.
        gait: symmetry 0 to 1, NaN while the pet does not move.
        stillness: 0 to 1.
        awake: whether it is awake.
        stress: what fright adds to the logarithm of heart rate.
    """

    activity: FloatArray
    gait: FloatArray
    stillness: FloatArray
    awake: BoolArray
    stress: FloatArray


class Behaviour:
    """The bouts of some pets, one block after the other."""

    def __init__(self, pets: Sequence[Pet], begin_ms: int, step_s: float, dice: FloatArray) -> None:
        """Args: the pets, the first moment, the step, and uniform dice of shape (BOUT_DICE, n)."""
        self._vigor = np.array([pet.vigor for pet in pets])
        self._symmetry = np.array([pet.gait for pet in pets])
        self._late_h = np.array([pet.chronotype_h for pet in pets])
        self._is_cat = np.array([pet.species == "cat" for pet in pets])
        tables = [_of_species(table, self._is_cat) for table in (NIGHT_ODDS, DAY_ODDS)]
        self._night, self._day = tables[0].T, tables[1].T  # (4, n)
        minutes = _of_species(BOUT_MINUTES, self._is_cat)  # (n, 4, 2)
        self._shortest, self._longest = minutes[..., 0], minutes[..., 1]
        n = len(pets)
        self._state: IndexArray = np.where(dice[0] < 0.8, ASLEEP, LYING)  # noqa: PLR2004 - at first
        self._until_ms = begin_ms + (dice[1] * 40 * 60_000).astype(np.int64)
        self._level = _activity(self._state, dice[2])
        self._lean = np.zeros(n)
        memory = [ACTIVITY_MEMORY_S, GAIT_MEMORY_S]
        self._memory = np.exp(-step_s / np.array(memory))[:, None]
        self._kick = np.sqrt(1 - self._memory**2)
        self._noise = np.zeros((2, n))
        self._still_memory = np.array([[np.exp(-step_s / STILL_MEMORY_S)]])
        self._still = np.where(self._state == ASLEEP, 0.95, 0.6)[None, :]

    def hours(self, block: Block) -> FloatArray:
        """Hour of each pet's own day, shape (n,)."""
        hours: FloatArray = (block.hour - self._late_h) % 24
        return hours

    def advance(
        self,
        block: Block,
        bout_dice: FloatArray,
        step_dice: FloatArray,
        feels: Mapping[str, FloatArray],
        excited: Sequence[Spell],
    ) -> Movement:
        """Move on by a block.

        Args:
            block: the block that follows the last one.
            bout_dice: uniform, shape (BOUT_DICE, n).
            step_dice: normal, shape (T, STEP_DICE, n).
            feels: effects of illness by field of Effect, each of shape (n,).
            excited: the spells of EXCITEMENTS that go on.
        """
        state, level, lean = self._bouts(block, bout_dice, feels)
        noise = follow(self._noise, self._memory, step_dice * self._kick)
        bursts = np.full(level.shape, ACTIVITY_SD)
        stress = np.zeros(level.shape)
        awake = state != ASLEEP
        for spell in excited:
            _excite(spell, level, bursts, stress, awake)
        alive = level * (self._vigor * np.exp(-feels["weak"]))
        activity = np.minimum(alive * np.exp(bursts * noise[:, 0]), 100.0)
        symmetry = self._symmetry - feels["limp"]
        gait = np.clip(symmetry + lean + GAIT_SD * noise[:, 1], 0.0, 1.0)
        gait[activity < MOVING_ABOVE] = np.nan
        calm = np.clip(1 - activity / STILL_BELOW, 0, 1) * (1 - self._still_memory)
        stillness = follow(self._still, self._still_memory, calm[:, None])[:, 0]
        return Movement(activity, gait, stillness, awake, stress)

    def _bouts(
        self, block: Block, dice: FloatArray, feels: Mapping[str, FloatArray]
    ) -> tuple[IndexArray, FloatArray, FloatArray]:
        """State, level of activity and lean of the gait at each step: at most one bout ends."""
        over = np.flatnonzero(self._until_ms < block.end_ms)
        state = np.repeat(self._state[None], len(block.steps), axis=0)
        level = np.repeat(self._level[None], len(block.steps), axis=0)
        lean = np.repeat(self._lean[None], len(block.steps), axis=0)
        if not len(over):
            return state, level, lean
        which, length, strength, side = dice[:, over]
        old = self._state[over]
        new = self._choose(over, which, block, feels)
        new = np.where((old >= POTTERING) & (new == ASLEEP), LYING, new)
        lasts = log_between(length, self._shortest[over, new], self._longest[over, new])
        lasts = np.where(new == ASLEEP, lasts * np.exp(-feels["restless"][over]), lasts)
        later = block.steps >= self._until_ms[over]
        self._state[over] = new
        self._level[over] = _activity(new, strength)
        self._lean[over] = between(side, -0.01, 0.01)
        self._until_ms[over] += np.maximum(lasts * 60_000, 60_000).astype(np.int64)
        state[:, over] = np.where(later, new, state[:, over])
        level[:, over] = np.where(later, self._level[over], level[:, over])
        lean[:, over] = np.where(later, self._lean[over], lean[:, over])
        return state, level, lean

    def _choose(
        self, over: IndexArray, which: FloatArray, block: Block, feels: Mapping[str, FloatArray]
    ) -> IndexArray:
        day = liveliness(self.hours(block)[over], self._is_cat[over])
        odds = self._night[:, over] * (1 - day) + self._day[:, over] * day
        tired, restless = feels["lethargic"][over], feels["restless"][over]
        odds[ASLEEP] *= np.exp(tired)
        odds[POTTERING:] *= np.exp(-tired)
        odds[LYING] *= np.exp(restless)
        odds[POTTERING] *= np.exp(restless * (2 - day))
        ladder = np.cumsum(odds, axis=0)
        chosen: IndexArray = (which * ladder[-1] >= ladder).sum(axis=0)
        return chosen


def liveliness(hours: FloatArray, is_cat: BoolArray) -> FloatArray:
    """How awake the time of day makes a pet, 0 to 1: dogs by day, cats at dusk and dawn."""
    dog = np.clip(0.5 + 0.85 * np.cos((hours - 14.0) / 24 * 2 * np.pi), 0.0, 1.0)
    cat = 0.25 + 0.75 * np.maximum(_bump(hours, 6.5), _bump(hours, 19.5))
    lively: FloatArray = np.where(is_cat, cat, dog)
    return lively


def _bump(hours: FloatArray, at: float) -> FloatArray:
    away = (hours - at + 12) % 24 - 12
    bump: FloatArray = np.exp(-((away / 2.0) ** 2))
    return bump


def _of_species(table: Mapping[str, object], is_cat: BoolArray) -> FloatArray:
    rows = np.array([table["dog"], table["cat"]], dtype=np.float64)
    chosen: FloatArray = rows[is_cat.astype(np.int64)]
    return chosen


def _activity(state: IndexArray, strength: FloatArray) -> FloatArray:
    table = np.array(BOUT_ACTIVITY)[state]
    return between(strength, table[..., 0], table[..., 1])


def _excite(
    spell: Spell, level: FloatArray, bursts: FloatArray, stress: FloatArray, awake: BoolArray
) -> None:
    asks = EXCITEMENTS[spell.name]
    wanted = between(spell.strength, *asks.activity)
    level[:, spell.pets] = np.where(spell.on, wanted, level[:, spell.pets])
    bursts[:, spell.pets] = np.where(spell.on, asks.bursts, bursts[:, spell.pets])
    added = between(spell.strength, *asks.log_hr)
    stress[:, spell.pets] = np.where(spell.on, added, stress[:, spell.pets])
    awake[:, spell.pets] |= spell.on
