"""What a heart does at rest whatever this pet's own baseline says, by species and size.

A table of engineering choices, not veterinary advice. Sources: Holter recordings of healthy dogs
(Vet Rec 1991 129:213), cats at home (J Fel Med Surg 2005), heart rate against weight in dogs
(JSAP 2013 54:318). Knows nothing of time or state: the screen holds a 2-minute median against it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pettwin_pipeline.readings.schema import SIZES, SPECIES

FloatArray = npt.NDArray[np.float64]
CodeArray = npt.NDArray[np.uint8]
Band = tuple[float, float]


@dataclass(frozen=True, slots=True)
class RestingHeart:
    """Heart rates at rest in beats per minute.

    Attributes:
        usual: asleep and awake, before anything is known of a pet.
        asleep: what a 2-minute median should not leave, for minutes on end, while asleep.
        awake: the same while awake and at rest.
        critical: what no pet of this kind should leave at rest.
    """

    usual: Band
    asleep: Band
    awake: Band
    critical: Band


_DOG: Final = RestingHeart((62.0, 76.0), (35.0, 110.0), (45.0, 160.0), (25.0, 200.0))
_LARGE_DOG: Final = RestingHeart((62.0, 76.0), (35.0, 110.0), (45.0, 140.0), (25.0, 190.0))
_CAT: Final = RestingHeart((118.0, 132.0), (75.0, 200.0), (90.0, 200.0), (60.0, 240.0))
_OTHER: Final = RestingHeart((100.0, 100.0), (20.0, 300.0), (20.0, 300.0), (10.0, 350.0))


def resting_heart(species: str, size: str) -> RestingHeart:
    """What is known of a species (dog, cat, other) and size (small ... giant, na)."""
    if species == "dog":
        return _LARGE_DOG if size in {"large", "giant"} else _DOG
    return _CAT if species == "cat" else _OTHER


UNSAID: Final = len(SPECIES) * len(SIZES) - 1
"""Code of a pet whose collar said nothing of its kind: other, na. The largest of all codes."""
ASLEEP, AWAKE, UNKNOWN = 0, 1, 2
"""What the pet does at rest: the third index of LIMITS. Unknown has the wider limits of both."""


def _table(pick: Callable[[RestingHeart], tuple[Band, ...]]) -> FloatArray:
    return np.log([[pick(resting_heart(one, size)) for size in SIZES] for one in SPECIES])


def _limits(heart: RestingHeart) -> tuple[Band, ...]:
    either = (min(heart.asleep[0], heart.awake[0]), max(heart.asleep[1], heart.awake[1]))
    return heart.asleep, heart.awake, either


LIMITS: Final = _table(_limits)
"""Logarithms, shape (species, sizes, 3, 2): asleep, awake or unknown; low, high."""
CRITICAL: Final = _table(lambda heart: (heart.critical,))[:, :, 0]
"""Logarithms, shape (species, sizes, 2): low, high."""
USUAL: Final = _table(lambda heart: (heart.usual,))[:, :, 0]
"""Logarithms, shape (species, sizes, 2): asleep, awake."""


def profile_codes(readings: pl.DataFrame) -> CodeArray:
    """What each reading says of its pet: species * len(SIZES) + size; UNSAID without a species."""
    species = pl.col("species").replace_strict(
        list(SPECIES), range(len(SPECIES)), default=SPECIES.index("other"), return_dtype=pl.UInt8
    )
    size = pl.col("size").replace_strict(
        list(SIZES), range(len(SIZES)), default=SIZES.index("na"), return_dtype=pl.UInt8
    )
    code = pl.when(pl.col("species").is_null()).then(UNSAID).otherwise(species * len(SIZES) + size)
    codes: CodeArray = readings.select(code.cast(pl.UInt8).alias("code"))["code"].to_numpy()
    return codes
