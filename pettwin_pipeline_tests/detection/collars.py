"""Readings made for tests of detection: one pet's collar, and streams of several."""

from collections.abc import Sequence

import polars as pl

from pettwin_pipeline.detection.baseline import Baselines
from pettwin_pipeline.detection.episodes import Episode
from pettwin_pipeline.detection.scoring import Scored, score_batch
from pettwin_pipeline.readings.schema import READING_SCHEMA

SLOT_MS = 10_000
START_MS = 1_772_323_200_000  # 2026-03-01 00:00 UTC, the begin of a slot
MINUTE = 6  # slots
HOUR = 360

Value = float | None


def wear(
    bpm: Sequence[Value],
    *,
    pet_id: str = "rex",
    species: str | None = "dog",
    size: str | None = "medium",
    start_ms: int = START_MS,
    step_ms: int = SLOT_MS,
    activity: Sequence[Value] | Value = 0.0,
    stillness: Sequence[Value] | Value = 1.0,
) -> pl.DataFrame:
    """Readings of one pet, one a slot unless told otherwise."""
    count = len(bpm)
    return pl.DataFrame(
        {
            "pet_id": [pet_id] * count,
            "time_ms": [start_ms + step_ms * number for number in range(count)],
            "heart_rate": list(bpm),
            "activity_score": _each(activity, count),
            "sleep_quality": _each(stillness, count),
            "species": [species] * count,
            "size": [size] * count,
        },
        schema_overrides=READING_SCHEMA,
    )


def _each(value: Sequence[Value] | Value, count: int) -> list[Value]:
    return [value] * count if value is None or isinstance(value, float) else list(value)


def stream(*collars: pl.DataFrame) -> pl.DataFrame:
    """What the collars sent, by time, as a frame of READING_SCHEMA of partition 0."""
    return in_order(pl.concat(collars).sort("time_ms", maintain_order=True))


def in_order(readings: pl.DataFrame) -> pl.DataFrame:
    """Readings as they stand, as a frame of READING_SCHEMA of partition 0."""
    placed = readings.with_columns(
        pl.lit(0).alias("partition"), pl.int_range(100, 100 + pl.len()).alias("offset")
    )
    missing = [pl.lit(None).alias(name) for name in READING_SCHEMA if name not in placed.columns]
    return placed.with_columns(missing).select(
        pl.col(name).cast(dtype) for name, dtype in READING_SCHEMA.items()
    )


def score(*collars: pl.DataFrame, baselines: Baselines | None = None) -> Scored:
    """What the detector makes of a stream, from nothing unless told otherwise."""
    return score_batch(stream(*collars), Baselines.empty() if baselines is None else baselines)


def of_health(scored: Scored) -> list[Episode]:
    """What was told of the pets, not of their collars."""
    return [one for one in scored.episodes if one.kind == "health"]


def begun(scored: Scored) -> list[Episode]:
    """Each episode of health as it was first told."""
    first: dict[str, Episode] = {}
    for one in of_health(scored):
        first.setdefault(one.episode_id, one)
    return list(first.values())


def told(scored: Scored) -> list[Episode]:
    """Every change of health but the ends."""
    return [one for one in of_health(scored) if one.ended_ms is None]


def ended(scored: Scored) -> list[Episode]:
    """The ends of health."""
    return [one for one in of_health(scored) if one.ended_ms is not None]
