"""Small simulations that several tests look at."""

import numpy as np
import polars as pl

from pettwin_pipeline.readings.simulator import Fleet, Label, simulate

MIDNIGHT_MS = 1_772_323_200_000  # 2026-03-01 00:00 UTC
HOUR_S = 3600.0


def run(
    fleet: Fleet, hours: float, *, seed: int = 1, step_s: float = 2.0, trouble: float = 1.0
) -> tuple[pl.DataFrame, list[Label]]:
    """All readings and labels of a simulation that begins at midnight."""
    chunks = list(
        simulate(
            fleet,
            MIDNIGHT_MS,
            hours * HOUR_S,
            seed=seed,
            step_s=step_s,
            chunk_s=HOUR_S,
            confounder_rate=trouble,
            fault_rate=trouble,
        )
    )
    return (
        pl.concat([chunk.readings for chunk in chunks]),
        [label for chunk in chunks for label in chunk.labels],
    )


def latest(labels: list[Label]) -> list[Label]:
    """Each interval once, as it was last told."""
    return list({label.label_id: label for label in labels}.values())


def by_pet(readings: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The readings of each pet, in the order of time."""
    parts = readings.partition_by("pet_id", maintain_order=True)
    return {part["pet_id"][0]: part for part in parts}


def during(of_pet: pl.DataFrame, label: Label) -> pl.DataFrame:
    """The readings of a pet during a closed label."""
    times = of_pet["time_ms"]
    begin, end = (int(times.search_sorted(ms)) for ms in (label.start_ms, label.end_ms))
    return of_pet[begin:end]


def middle(values: pl.Series) -> float:
    """The median of what is not null."""
    return float(np.median(values.drop_nulls().to_numpy()))


def share(values: pl.Series) -> float:
    """The share of true among what is not null."""
    return float(np.mean(values.drop_nulls().to_numpy()))


def asleep(readings: pl.DataFrame) -> pl.DataFrame:
    """Readings of pets that have not moved for minutes."""
    return readings.filter((pl.col("activity_score") < 3) & (pl.col("sleep_quality") > 0.85))
