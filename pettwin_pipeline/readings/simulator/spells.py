"""Spells: what begins now and then, lasts a while and ends, for many pets at once.

Play, a visit to the vet, a loose collar, a gap in the radio: all of them are spells, told apart by
a table. Of the kinds in one table a pet has at most one at a time. Knows how often and how long,
not what a spell does to a reading.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pettwin_pipeline.readings.simulator.grid import (
    BLOCKS_A_DAY,
    NEVER,
    Block,
    BoolArray,
    FloatArray,
    IndexArray,
    log_between,
)
from pettwin_pipeline.readings.simulator.labels import Label, LabelKind, label_id

SPELL_DICE: Final = 4
"""Rows of uniform dice that one table of spells needs a block."""


@dataclass(frozen=True, slots=True)
class SpellKind:
    """How often something happens, how long it lasts, and what it is called."""

    name: str
    per_day: float
    minutes: tuple[float, float]
    """Shortest and longest; drawn evenly in the logarithm."""
    label: LabelKind | None = None
    """None: too ordinary to be labelled."""
    daytime: bool = False
    """Only begins while people are about; `per_day` is then the rate at the height of the day."""


@dataclass(frozen=True, slots=True)
class SpellEvent:
    """A spell began (`ended` false) or ended: the column of its pet and what it is."""

    pet: int
    kind: SpellKind
    begin_ms: int
    end_ms: int
    strength: float
    ended: bool

    def label(self, pet_id: str) -> Label | None:
        """The label that says so, if such a spell has one."""
        if self.kind.label is None:
            return None
        return Label(
            label_id=label_id(pet_id, self.kind.name, self.begin_ms),
            pet_id=pet_id,
            kind=self.kind.label,
            name=self.kind.name,
            start_ms=self.begin_ms,
            end_ms=self.end_ms if self.ended else None,
            severity=round(self.strength, 3),
        )


@dataclass(frozen=True, slots=True)
class Spell:
    """One kind of spell in one block: which pets have it at which steps.

    Attributes:
        name: the kind's name.
        pets: columns of the pets that have it at some step of this block, shape (m,).
        on: shape (T, m).
        strength: uniform in [0, 1), shape (m,).
        since: share of the spell that has passed at each step, below 0 and above 1 outside of it,
            shape (T, m).
    """

    name: str
    pets: IndexArray
    on: BoolArray
    strength: FloatArray
    since: FloatArray


class Spells:
    """The spells of one table for some pets, one block after the other."""

    def __init__(self, kinds: Sequence[SpellKind], chances: FloatArray) -> None:
        """Args: the table, and the chance of each kind to begin within a block, shape (K, n)."""
        pets = chances.shape[1]
        self.kinds = tuple(kinds)
        self._chances = chances
        self._daytime = np.array([kind.daytime for kind in kinds])[:, None]
        self._shortest = np.array([kind.minutes[0] * 60_000 for kind in kinds])
        self._longest = np.array([kind.minutes[1] * 60_000 for kind in kinds])
        self.kind: IndexArray = np.full(pets, -1)
        self.begin_ms: IndexArray = np.full(pets, NEVER)
        self.end_ms: IndexArray = np.full(pets, -NEVER)
        self.strength: FloatArray = np.zeros(pets)

    def advance(self, block: Block, dice: FloatArray, keen: FloatArray) -> list[SpellEvent]:
        """Move on by a block, and tell what begins and ends in it.

        Args:
            block: the block that follows the last one.
            dice: uniform, shape (SPELL_DICE, n).
            keen: what is left by day of the chance of daytime kinds, by the hour and by how
                the pet feels, 0 to 1, shape (n,).
        """
        which, when, length, strength = dice
        ladder = np.cumsum(self._chances * np.where(self._daytime, keen, 1.0), axis=0)
        begins = np.flatnonzero((which < ladder[-1]) & (self.end_ms <= block.begin_ms))
        if len(begins):
            kind = (which[begins] >= ladder[:, begins]).sum(axis=0)
            step = (when[begins] * len(block.steps)).astype(np.int64)
            lasts = log_between(length[begins], self._shortest[kind], self._longest[kind])
            steps = np.maximum(1, np.rint(lasts / block.step_ms)).astype(np.int64)
            self.kind[begins] = kind
            self.begin_ms[begins] = block.begin_ms + step * block.step_ms
            self.end_ms[begins] = self.begin_ms[begins] + steps * block.step_ms
            self.strength[begins] = strength[begins]
        ends = np.flatnonzero((self.end_ms > block.begin_ms) & (self.end_ms <= block.end_ms))
        told = [self._event(int(pet), ended=False) for pet in begins]
        return told + [self._event(int(pet), ended=True) for pet in ends]

    def going(self, block: Block) -> Iterator[Spell]:
        """Each kind that some pet has in this block."""
        pets = np.flatnonzero((self.end_ms > block.begin_ms) & (self.begin_ms < block.end_ms))
        for number in np.unique(self.kind[pets]):
            some = pets[self.kind[pets] == number]
            begin, end = self.begin_ms[some], self.end_ms[some]
            since = (block.steps - begin) / (end - begin)
            on = (block.steps >= begin) & (block.steps < end)
            yield Spell(self.kinds[number].name, some, on, self.strength[some], since)

    def _event(self, pet: int, *, ended: bool) -> SpellEvent:
        begin, end = int(self.begin_ms[pet]), int(self.end_ms[pet])
        kind = self.kinds[self.kind[pet]]
        return SpellEvent(pet, kind, begin, end, float(self.strength[pet]), ended)


def chances(kinds: Sequence[SpellKind], pets: int, rate: float = 1.0) -> FloatArray:
    """The chance of each kind to begin within a block, the same for all pets, shape (K, pets)."""
    per_day = np.array([kind.per_day for kind in kinds]) * rate
    return np.repeat((per_day / BLOCKS_A_DAY)[:, None], pets, axis=1)
