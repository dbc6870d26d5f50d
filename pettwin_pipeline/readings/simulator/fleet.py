"""Who the pets are: species, breed, size, the heart of each, and which of them will fall ill.

Everything about a pet is drawn once, here, and frozen. Pet number i is the same in a fleet of 10
and of 10,000 of the same seed and shares. Knows nothing of time series.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pettwin_pipeline.readings.simulator.grid import BEGIN, COHORT, ILL, WHO, Dice, FloatArray
from pettwin_pipeline.readings.simulator.illness import (
    HOUR_MS,
    ILLNESSES,
    PERSISTENT,
    Illness,
    plan_illness,
)

DECK: Final = 10
"""Illness is dealt evenly: of each ten pets in a row the same share falls ill, in a drawn order."""

TOP_SPEED: Final = 1000.0
"""Any faster, and an illness would be over within one block of the simulation."""


@dataclass(frozen=True, slots=True)
class Breed:
    """A breed and what its adults weigh."""

    name: str
    species: str
    size: str
    kg: tuple[float, float]


BREEDS: Final = (
    Breed("chihuahua", "dog", "small", (1.8, 3.5)),
    Breed("dachshund", "dog", "small", (6.0, 11.0)),
    Breed("jack russell terrier", "dog", "small", (5.5, 8.5)),
    Breed("beagle", "dog", "medium", (9.0, 14.0)),
    Breed("border collie", "dog", "medium", (13.0, 21.0)),
    Breed("french bulldog", "dog", "medium", (9.0, 14.0)),
    Breed("labrador retriever", "dog", "large", (25.0, 37.0)),
    Breed("german shepherd", "dog", "large", (24.0, 40.0)),
    Breed("boxer", "dog", "large", (25.0, 34.0)),
    Breed("great dane", "dog", "giant", (48.0, 78.0)),
    Breed("european shorthair", "cat", "small", (3.2, 6.0)),
    Breed("maine coon", "cat", "small", (5.0, 9.0)),
    Breed("siamese", "cat", "small", (2.8, 5.0)),
)


@dataclass(frozen=True, slots=True)
class Resting:
    """The distribution of resting heart rate over the pets of a species, beats per minute."""

    mean_bpm: float
    sd_bpm: float
    slope_per_kg: float
    mean_kg: float
    bounds_bpm: tuple[float, float]


RESTING: Final = {
    # asleep; spread and slope: recordings of healthy dogs, JSAP 2013 54:318
    "dog": Resting(62.0, 11.0, -0.2, 20.0, (40.0, 95.0)),
    # awake at home: J Fel Med Surg 2005
    "cat": Resting(132.0, 19.0, 0.0, 4.5, (92.0, 185.0)),
}
BREATHS_A_MINUTE: Final = {"dog": (13.0, 2.5), "cat": (18.0, 2.5)}  # asleep: Rishniw 2012
ARRHYTHMIA: Final = {"dog": (0.15, 0.30), "cat": (0.04, 0.10)}  # share of RR, breathing in and out


@dataclass(frozen=True, slots=True)
class Pet:
    """One pet, as it is while nothing ails it, and what will.

    Attributes:
        resting_bpm: median heart rate of a dog asleep, of a cat awake at rest at home.
        breaths_hz: breathing while asleep.
        arrhythmia: share by which RR intervals swing with the breath.
        lag_s: how long the heart takes to follow activity.
        vigor: how lively, a factor of activity around 1.
        gait: its own symmetry of gait, 0 to 1.
        chronotype_h: how much later its day is than the clock's.
        fearful: of thunder.
        vitals_plus: whether its collar measures respiration and temperature as well.
        battery: percent at the start of the simulation.
        phase: where in a step its collar sends, 0 to 1.
    """

    pet_id: str
    species: str
    breed: str
    size: str
    weight_kg: float
    age_years: float
    resting_bpm: float
    breaths_hz: float
    arrhythmia: float
    lag_s: float
    vigor: float
    gait: float
    chronotype_h: float
    fearful: bool
    vitals_plus: bool
    battery: float
    phase: float
    illness: Illness | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """Pets in the order of their ids."""

    pets: tuple[Pet, ...]

    @classmethod
    def draw(
        cls,
        pets: int,
        seed: int,
        *,
        ill_share: float = 0.1,
        cat_share: float = 0.3,
        illnesses: Sequence[str] = ILLNESSES,
        onset_h: tuple[float, float] = (2.0, 24.0),
        speed: float = 1.0,
    ) -> "Fleet":
        """Draw a fleet.

        Args:
            pets: how many.
            seed: 0 or more; the same seed gives the same pets.
            ill_share: share of pets that fall ill, dealt evenly. Which illness goes around.
            cat_share: chance that a pet is a cat.
            illnesses: names of COURSES that are dealt.
            onset_h: earliest and latest onset, hours after the simulation's start.
            speed: courses pass this many times faster, 1 to 1000: for demonstrations.

        Raises:
            ValueError: a share outside 0 to 1, an unknown illness, a speed outside its range.
        """
        if pets < 1 or seed < 0:
            raise ValueError(f"{pets} pets, seed {seed}: at least one pet, and a seed of 0 or more")
        if not (0 <= ill_share <= 1 and 0 <= cat_share <= 1):
            raise ValueError(f"ill_share {ill_share}, cat_share {cat_share}: shares lie in 0 to 1")
        _check_illness(illnesses, onset_h, speed)
        healthy = [
            pet
            for first in range(0, pets, COHORT)
            for pet in _draw_cohort(first, min(COHORT, pets - first), seed, cat_share)
        ]
        which = _deal(pets, seed, ill_share, len(illnesses))
        dice = _dice(seed, ILL, pets, rows=4)
        return cls(
            tuple(
                _fall_ill(pet, illnesses[which[i]], dice[:, i], onset_h, speed)
                if which[i] >= 0
                else pet
                for i, pet in enumerate(healthy)
            )
        )


def _check_illness(illnesses: Sequence[str], onset_h: tuple[float, float], speed: float) -> None:
    unknown = sorted(set(illnesses) - set(ILLNESSES))
    if unknown or not illnesses:
        raise ValueError(f"illnesses {unknown}: known are {', '.join(ILLNESSES)}")
    if not 0 <= onset_h[0] <= onset_h[1]:
        raise ValueError(f"onset_h {onset_h}: earliest and latest, in this order")
    if not 1 <= speed <= TOP_SPEED:
        raise ValueError(f"speed {speed}: allowed is 1 to {TOP_SPEED}")


def _dice(seed: int, purpose: int, pets: int, rows: int) -> FloatArray:
    return Dice(seed, purpose, 0, pets).uniform(rows)


def _draw_cohort(first: int, pets: int, seed: int, cat_share: float) -> list[Pet]:
    uniform = Dice(seed, WHO, first, pets).uniform(10)
    normal = Dice(seed, BEGIN, first, pets).normal(4)
    return [
        _draw_pet(first + column, uniform[:, column], normal[:, column], cat_share)
        for column in range(pets)
    ]


def _draw_pet(number: int, uniform: FloatArray, normal: FloatArray, cat_share: float) -> Pet:
    species = "cat" if uniform[0] < cat_share else "dog"
    breeds = [breed for breed in BREEDS if breed.species == species]
    breed = breeds[int(uniform[1] * len(breeds))]
    weight = breed.kg[0] + uniform[2] * (breed.kg[1] - breed.kg[0])
    rest = RESTING[species]
    bpm = rest.mean_bpm + rest.sd_bpm * normal[0] + rest.slope_per_kg * (weight - rest.mean_kg)
    breaths, spread = BREATHS_A_MINUTE[species]
    low, high = ARRHYTHMIA[species]
    return Pet(
        pet_id=f"sim-{number + 1:04d}",
        species=species,
        breed=breed.name,
        size=breed.size,
        weight_kg=round(float(weight), 1),
        age_years=round(float(0.8 + 13.0 * uniform[3] ** 1.3), 1),
        resting_bpm=float(np.clip(bpm, *rest.bounds_bpm)),
        breaths_hz=float(np.clip(breaths + spread * normal[1], 9.0, 24.0)) / 60.0,
        arrhythmia=float(low + uniform[4] * (high - low)),
        lag_s=float(20.0 + 40.0 * uniform[5]),
        vigor=float(np.exp(0.15 * normal[2])),
        gait=float(np.clip(0.965 + 0.01 * normal[3], 0.935, 0.985)),
        chronotype_h=float(-1.0 + 2.0 * uniform[6]),
        fearful=bool(uniform[7] < (0.4 if species == "dog" else 0.25)),
        vitals_plus=bool(uniform[8] < 0.35),  # noqa: PLR2004 - a share of collars
        battery=float(30.0 + 70.0 * uniform[9]),
        phase=float((number * 0.6180339887498949) % 1.0),
    )


def _deal(pets: int, seed: int, share: float, illnesses: int) -> list[int]:
    """Which illness each pet gets, -1 for none; later pets change nothing for earlier ones."""
    offset, first = np.random.default_rng([seed, ILL]).random(2)
    place = np.empty(pets, dtype=np.int64)
    for begin in range(0, pets, DECK):
        order = np.random.default_rng([seed, ILL, begin]).permutation(DECK)
        place[begin : begin + DECK] = begin + order[: pets - begin]
    dealt = np.floor((place + 1) * share + offset)
    is_ill = dealt > np.floor(place * share + offset)
    kind = (dealt.astype(np.int64) + int(first * illnesses)) % illnesses
    return [int(k) for k in np.where(is_ill, kind, -1)]


def _fall_ill(
    pet: Pet, name: str, dice: FloatArray, onset_h: tuple[float, float], speed: float
) -> Pet:
    earliest, latest = onset_h
    onset = round((earliest + float(dice[0]) * (latest - earliest)) * HOUR_MS)
    course = [float(one) for one in dice[1:]]
    illness = plan_illness(name, onset, course, speed, scaled=name in PERSISTENT)
    return replace(pet, illness=illness)
