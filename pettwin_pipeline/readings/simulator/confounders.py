"""What excites a healthy pet and must not alarm: exercise, play, the vet, a thunderstorm.

Tables of how often and how long, and of what they ask of the body. A storm comes over a region and
so over many pets at the same time. What a collar does wrong is in `collar`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pettwin_pipeline.readings.simulator.fleet import Pet
from pettwin_pipeline.readings.simulator.grid import (
    BLOCKS_A_DAY,
    STORM,
    Block,
    Dice,
    FloatArray,
    IndexArray,
)
from pettwin_pipeline.readings.simulator.spells import (
    SPELL_DICE,
    Spell,
    SpellEvent,
    SpellKind,
    Spells,
    chances,
)

REGIONS: Final = 4
"""Pets live in four regions, by their number."""


@dataclass(frozen=True, slots=True)
class Excitement:
    """What an outing or a fright asks of the body.

    Attributes:
        activity: lowest and highest level of activity_score, by the strength of the spell.
        bursts: standard deviation of log activity from moment to moment: play comes in bursts.
        log_hr: stress, added to the logarithm of heart rate beyond what moving costs.
    """

    activity: tuple[float, float]
    bursts: float
    log_hr: tuple[float, float]


OUTINGS: Final = (
    SpellKind("exercise", 2.4, (20.0, 60.0), "confounder", daytime=True),
    SpellKind("play", 5.0, (4.0, 20.0), "confounder", daytime=True),
    SpellKind("vet_visit", 0.1, (20.0, 60.0), "confounder", daytime=True),
)
STORMS: Final = (SpellKind("thunderstorm", 0.15, (30.0, 150.0), "confounder"),)
EXCITEMENTS: Final = {
    "exercise": Excitement((50.0, 75.0), 0.15, (0.0, 0.0)),
    "play": Excitement((40.0, 75.0), 0.5, (0.0, 0.08)),
    "vet_visit": Excitement((14.0, 30.0), 0.45, (0.20, 0.42)),
    "thunderstorm": Excitement((10.0, 24.0), 0.55, (0.12, 0.32)),
}
CATS_DO_NOT: Final = "exercise"


def outings(pets: Sequence[Pet], rate: float) -> Spells:
    """Exercise, play and visits to the vet of some pets; `rate` multiplies how often."""
    table = chances(OUTINGS, len(pets), rate)
    is_cat = np.array([pet.species == "cat" for pet in pets])
    table[[kind.name for kind in OUTINGS].index(CATS_DO_NOT), is_cat] = 0.0
    return Spells(OUTINGS, table)


class Storms:
    """Thunderstorms: one stream of weather a region, the same for every slice of the fleet."""

    def __init__(self, pets: Sequence[Pet], first: int, seed: int, rate: float) -> None:
        region: IndexArray = (first + np.arange(len(pets))) % REGIONS
        fearful = np.array([pet.fearful for pet in pets])
        self._under = [np.flatnonzero((region == one) & fearful) for one in range(REGIONS)]
        self._dice = Dice(seed, STORM, 0, REGIONS)
        chance = STORMS[0].per_day * rate / BLOCKS_A_DAY
        self._weather = Spells(STORMS, np.full((1, REGIONS), chance))

    def advance(self, block: Block) -> list[SpellEvent]:
        """Move on by a block; the events of each pet that is afraid."""
        told = self._weather.advance(block, self._dice.uniform(SPELL_DICE), np.ones(REGIONS))
        return [
            SpellEvent(int(pet), one.kind, one.begin_ms, one.end_ms, one.strength, one.ended)
            for one in told
            for pet in self._under[one.pet]
        ]

    def going(self, block: Block) -> list[Spell]:
        """The storms that frightened pets live through in this block."""
        spells = []
        for storm in self._weather.going(block):
            for column, region in enumerate(storm.pets):
                pets = self._under[region]
                if len(pets):
                    one = [column] * len(pets)
                    on, since = storm.on[:, one], storm.since[:, one]
                    spells.append(Spell(storm.name, pets, on, storm.strength[one], since))
        return spells


def daylight(pets_hour: FloatArray) -> FloatArray:
    """How much of a day it is for people, 0 at night to 1 in the afternoon, by hour of the day."""
    light: FloatArray = np.clip(1.6 * np.cos((pets_hour - 14.5) / 24 * 2 * np.pi) + 0.35, 0.0, 1.0)
    return light
