"""Recorded sessions of real dogs: from the times of their heart beats to readings.

The recordings tell the heart rate and nothing else, so the other signals are null. Resampling
follows the protocol of the measurements in the documents: the mean rate of the last 10 s, every
2 s, a dog's sessions joined. Knows nothing of where the lines come from.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pettwin_pipeline.errors import InputFileError
from pettwin_pipeline.readings.schema import READING_SCHEMA

COLUMNS: Final = (
    "session",
    "duration_s",
    "pet_id",
    "breed",
    "weight_kg",
    "age_years",
    "beat_times_s",
)
STEP_S: Final = 2
WINDOW_S: Final = 10
SHORTEST_S: Final = 0.2  # between two beats: below is one beat seen twice
LONGEST_S: Final = 6.0  # above are beats not seen; pauses of a healthy dog reach 5.7 s
FEWEST: Final = 3  # intervals that make a mean

LARGEST_KG: Final = (("small", 10.0), ("medium", 25.0), ("large", 45.0), ("giant", math.inf))
"""Sizes of dogs and the weight that each stays below."""

FIELDS: Final = (
    "pet_id",
    "time_ms",
    "heart_rate",
    "species",
    "breed",
    "size",
    "weight_kg",
    "age_years",
)

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Session:
    """One recording of one dog, checked when built.

    Attributes:
        session: its number.
        pet_id: `dog-014`.
        duration_s: its length.
        beats_s: moments of the heart beats from its begin on, ascending; may be empty.
    """

    session: int
    pet_id: str
    duration_s: float
    breed: str
    weight_kg: float
    age_years: float
    beats_s: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers = (self.duration_s, self.weight_kg, self.age_years, *self.beats_s)
        if not all(math.isfinite(number) and number >= 0 for number in numbers):
            raise ValueError("numbers are finite and not negative")
        if self.duration_s == 0 or self.weight_kg == 0:
            raise ValueError("duration_s and weight_kg are above 0")
        if any(later < earlier for earlier, later in pairwise(self.beats_s)):
            raise ValueError("beat_times_s are ascending")

    @property
    def size(self) -> str:
        """The dog's size, from its weight."""
        return next(name for name, limit in LARGEST_KG if self.weight_kg < limit)


def parse_sessions(lines: Iterable[str]) -> Iterator[Session]:
    """Recorded sessions from the lines of a CSV file with COLUMNS, one after the other.

    Raises:
        InputFileError: a column is missing or a row cannot be read; names the line.
    """
    rows = csv.DictReader(lines)
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise InputFileError(f"not a file of heart beats: no column {', '.join(missing)}")
    for row in rows:
        try:
            yield _parse_session(row)
        except (ValueError, TypeError) as error:  # a short row has None in place of texts
            raise InputFileError(f"line {rows.line_num}: not a session: {error}") from None


def _parse_session(row: dict[str, str]) -> Session:
    return Session(
        session=int(row["session"]),
        pet_id=f"dog-{int(row['pet_id']):03d}",
        duration_s=float(row["duration_s"]),
        breed=row["breed"],
        weight_kg=float(row["weight_kg"]),
        age_years=float(row["age_years"]),
        beats_s=tuple(map(float, row["beat_times_s"].split())),
    )


def resample(session: Session) -> tuple[FloatArray, FloatArray]:
    """Moments, seconds from the session's begin, and the mean heart rate of the 10 s before each.

    The moments lie on a grid of 2 s. The rate, in beats a minute, is that of the intervals between
    the beats of the 10 s; impossible intervals are left out. A moment without 10 s before it, or
    with too few intervals, has no rate and is not there.
    """
    beats = np.array(session.beats_s, np.float64)
    if len(beats) < FEWEST:
        return np.empty(0), np.empty(0)
    interval = np.diff(beats)  # the i-th lies between the beats i and i + 1
    possible = (interval >= SHORTEST_S) & (interval <= LONGEST_S)
    count = np.concatenate([[0], np.cumsum(possible)])
    total = np.concatenate([[0.0], np.cumsum(np.where(possible, interval, 0.0))])
    grid = np.arange(WINDOW_S, session.duration_s + 1e-9, STEP_S)
    first = np.searchsorted(beats, grid - WINDOW_S, side="left").clip(max=len(beats) - 1)
    last = np.maximum(np.searchsorted(beats, grid, side="right") - 1, first)
    number = count[last] - count[first]
    seconds = total[last] - total[first]
    told = number >= FEWEST
    return grid[told], 60.0 * number[told] / seconds[told]


def recorded_readings(sessions: Iterable[Session], start_ms: int = 0) -> pl.DataFrame:
    """Readings of recorded sessions: each dog's sessions joined on a clock that begins at start_ms.

    Args:
        sessions: in the order in which a dog's sessions follow one another.
        start_ms: ms since 1970 UTC, the same for every dog.

    Returns:
        Frame of FIELDS, typed as in READING_SCHEMA, by time and pet. Heart rates have one decimal.
    """
    by_pet: dict[str, list[Session]] = {}
    for session in sessions:
        by_pet.setdefault(session.pet_id, []).append(session)
    schema = pl.Schema({name: READING_SCHEMA[name] for name in FIELDS})
    frames = [pl.DataFrame(schema=schema)]
    for some in by_pet.values():
        frames += (frame.cast(schema) for frame in _join(some, start_ms))
    return pl.concat(frames).sort("time_ms", "pet_id")


def _join(sessions: Sequence[Session], start_ms: int) -> Iterator[pl.DataFrame]:
    """A frame of FIELDS for each session of a dog; a session begins where the last one ended."""
    begin_s = 0
    for one in sessions:
        moments_s, rates = resample(one)
        yield pl.DataFrame(
            {
                "pet_id": one.pet_id,
                "time_ms": start_ms + (1000 * (begin_s + moments_s)).astype(np.int64),
                "heart_rate": np.round(rates, 1),
                "species": "dog",
                "breed": one.breed,
                "size": one.size,
                "weight_kg": one.weight_kg,
                "age_years": one.age_years,
            }
        )
        begin_s += math.ceil(one.duration_s / STEP_S) * STEP_S
