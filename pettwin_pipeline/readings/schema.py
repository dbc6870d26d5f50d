"""What a collar says, as columns: the fields of a reading, their types and plausible ranges.

The one place that names the signals. Knows nothing of Kafka, files or detection. A batch of
readings is a polars frame of `READING_SCHEMA`, in the order (partition, offset); a signal that a
collar did not send is null, and null is never scored.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import polars as pl

SCHEMA_VERSION: Final = 1
"""Version of the message that this release writes; a message without one is taken as version 1."""

SIGNALS: Final = ("heart_rate", "activity_score", "gait_symmetry", "sleep_quality")
"""The four vitals, in the order in which they stand everywhere. A reading has at least one."""

SPECIES: Final = ("dog", "cat", "other")
SIZES: Final = ("small", "medium", "large", "giant", "na")


@dataclass(frozen=True, slots=True)
class PhysicalRange:
    """The closed interval outside of which a value is the sensor's mistake, not the pet's state."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether `value` lies inside."""
        return self.low <= value <= self.high


PHYSICAL_RANGES: Final[dict[str, PhysicalRange]] = {
    "heart_rate": PhysicalRange(5.0, 400.0),  # beats per minute
    "activity_score": PhysicalRange(0.0, 100.0),
    "gait_symmetry": PhysicalRange(0.0, 1.0),
    "sleep_quality": PhysicalRange(0.0, 1.0),
    "respiratory_rate": PhysicalRange(0.0, 400.0),  # breaths per minute; a panting dog reaches 300
    "temperature_c": PhysicalRange(20.0, 50.0),
    "weight_kg": PhysicalRange(0.05, 200.0),
    "age_years": PhysicalRange(0.0, 50.0),
    "battery": PhysicalRange(0.0, 100.0),  # percent
}

READING_SCHEMA: Final[dict[str, pl.DataType]] = {
    "partition": pl.Int32(),
    "offset": pl.Int64(),
    "kafka_ms": pl.Int64(),  # the broker's timestamp of the message, ms since 1970 UTC
    "pet_id": pl.String(),
    "time_ms": pl.Int64(),  # event time, ms since 1970 UTC
    "heart_rate": pl.Float64(),
    "activity_score": pl.Float64(),
    "gait_symmetry": pl.Float64(),
    "sleep_quality": pl.Float64(),
    "species": pl.String(),  # as sent; `tag_species` folds it into the closed set
    "breed": pl.String(),
    "size": pl.String(),
    "weight_kg": pl.Float64(),
    "age_years": pl.Float64(),
    "respiratory_rate": pl.Float64(),
    "temperature_c": pl.Float64(),
    "battery": pl.Float64(),
    "metadata": pl.String(),  # the raw JSON of `metadata`, untouched
}


class RejectReason(StrEnum):
    """Why a message is not a reading. The set is closed: it is a tag on a metric."""

    TOMBSTONE = "tombstone"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    BAD_TIMESTAMP = "bad_timestamp"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    UNKNOWN_SCHEMA_VERSION = "unknown_schema_version"


@dataclass(frozen=True, slots=True)
class Reject:
    """A message that is not a reading: its place, its bytes and the one reason.

    `detail` says what exactly (the field, the value), for the person who reads the dead letters.
    `kafka_ms` is its Kafka timestamp; -1 where it has none.
    """

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    reason: RejectReason
    detail: str
    kafka_ms: int = -1


@dataclass(frozen=True, slots=True)
class AgeLimits:
    """How far event time may lie from the Kafka timestamp of the same message, in ms."""

    max_age_ms: int = 7 * 24 * 3600 * 1000
    max_ahead_ms: int = 5 * 60 * 1000


def tag_species(species: str | None) -> str:
    """Fold a species as sent into dog, cat or other: the bounded set of the metrics."""
    return species if species in SPECIES else "other"
