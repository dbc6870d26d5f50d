"""A whole recording through the detector, as the stream goes through it: rows in, rows out.

What `score_batch` makes of a user's file: every row keeps its place; rows that are no readings are
not scored and say why. Rows are scored in the order of time. Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pettwin_pipeline.detection.baseline import Baselines
from pettwin_pipeline.detection.episodes import Episode
from pettwin_pipeline.detection.generic import FLAG_AT, GenericState, score_series
from pettwin_pipeline.detection.hearts import SEVERITIES
from pettwin_pipeline.detection.scoring import score_batch
from pettwin_pipeline.readings.schema import READING_SCHEMA

BATCH: Final = 200_000
"""Readings that are scored together: it changes nothing but memory and the progress bar."""
SCORE_COLUMNS: Final = ("pet_id", "timestamp", "score", "flagged", "severity", "reason")
VALUE: Final = "value"
GENERIC_SEVERITY: Final = "medium"
NEVER_RARER: Final = 12.0  # -log10: what is shown of a share


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """An episode as it was told at one reading. Times in ms since 1970 UTC."""

    pet_id: str
    kind: str
    raised_ms: int
    started_ms: int
    ended_ms: int | None
    severity: str
    signals: tuple[str, ...]
    reason: str


@dataclass(slots=True)
class Backtested:
    """What a recording came to.

    Attributes:
        scores: frame of SCORE_COLUMNS, a row for each row of the file, in its order.
        episodes: in the order in which they were raised.
        in_order: whether each pet's readings stood in the order of time.
        repeated: readings with a time that their pet had before: they are not scored.
    """

    scores: pl.DataFrame = field(default_factory=pl.DataFrame)
    episodes: list[EpisodeRow] = field(default_factory=list)
    in_order: bool = True
    repeated: int = 0


def backtest_vitals(rows: pl.DataFrame, result: Backtested) -> Iterator[int]:
    """Score the vitals of a recording into `result`; yields how many rows are done.

    Args:
        rows: `pet_id`, `timestamp`, `time_ms`, `problem` and any columns of READING_SCHEMA, see
            `readings.columns`.
        result: filled when the last number was yielded.
    """
    readings, place = _readings(rows, result)
    baselines, scored, told = Baselines.empty(), [], list[Episode]()
    for begin in range(0, len(readings), BATCH):
        batch = score_batch(readings[begin : begin + BATCH], baselines)
        baselines = batch.baselines
        scored.append(batch.scores.select("pet_id", "status", "score", "flagged", "severity"))
        told += batch.episodes
        yield min(begin + BATCH, len(readings))
    frame = pl.concat(scored) if scored else score_batch(readings, baselines).scores
    result.repeated = int((frame["status"] != "scored").sum())
    result.episodes = _rows_of(told)
    reasons = _reasons(frame["pet_id"], told)
    result.scores = _in_place(rows, place, frame.with_columns(reasons))


def backtest_series(rows: pl.DataFrame, result: Backtested) -> Iterator[int]:
    """Score the column `value` of a recording, a series a pet; as `backtest_vitals`."""
    readings, place = _readings(rows, result)
    values = readings[VALUE].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    score, flagged = np.zeros(len(readings)), np.zeros(len(readings), np.bool_)
    reasons: list[str] = [""] * len(readings)
    done = 0
    for some in readings.with_row_index("row").partition_by("pet_id", maintain_order=True):
        at, state = some["row"].to_numpy(), GenericState()
        for begin in range(0, len(at), BATCH):
            part = at[begin : begin + BATCH]
            score[part], flagged[part] = score_series(values[part], state)
            done += len(part)
            yield done
        result.episodes += _flags(some, values[at], score[at], flagged[at], reasons)
    result.episodes.sort(key=lambda one: (one.raised_ms, one.pet_id))
    frame = pl.DataFrame(
        {
            "score": np.round(score, 4),
            "flagged": flagged,
            "severity": np.where(flagged, GENERIC_SEVERITY, ""),
            "reason": reasons,
        }
    )
    result.scores = _in_place(rows, place, frame)


def _readings(rows: pl.DataFrame, result: Backtested) -> tuple[pl.DataFrame, npt.NDArray[np.int64]]:
    """The rows that are readings, by time, and the place of each in the file."""
    known = [name for name in rows.columns if name in READING_SCHEMA or name == VALUE]
    readings = (
        rows.select(*known, "problem").with_row_index("row").filter(rows["problem"].is_null())
    )
    back = pl.col("time_ms").diff().over("pet_id").min()
    earliest_step = readings.select(back)["time_ms"].item() if len(readings) else None
    result.in_order = earliest_step is None or earliest_step >= 0
    readings = readings.sort("time_ms", maintain_order=True)
    place = readings["row"].cast(pl.Int64).to_numpy()
    absent = [pl.lit(None).alias(name) for name in READING_SCHEMA if name not in known]
    numbered = readings.with_columns(*absent).with_columns(
        pl.lit(0).alias("partition"), pl.int_range(pl.len()).alias("offset")
    )
    kinds = READING_SCHEMA | ({VALUE: pl.Float64()} if VALUE in known else {})
    return numbered.select(pl.col(name).cast(kind) for name, kind in kinds.items()), place


def _in_place(
    rows: pl.DataFrame, place: npt.NDArray[np.int64], scored: pl.DataFrame
) -> pl.DataFrame:
    """Scores at the places of their rows; the other rows say why they have none."""
    order = np.full(len(rows), len(scored), np.int64)
    order[place] = np.arange(len(place))
    nothing = pl.DataFrame({"score": 0.0, "flagged": False, "severity": "", "reason": ""})
    columns = scored.select(
        pl.col("score").cast(pl.Float64), "flagged", pl.col("severity").cast(pl.String), "reason"
    )
    found = pl.concat([columns, nothing])[order]
    problem = "not a reading: " + rows["problem"]
    return (
        rows.select("pet_id", "timestamp")
        .hstack(found)
        .with_columns(pl.coalesce(problem, "reason").alias("reason"))
        .select(SCORE_COLUMNS)
    )


def _rows_of(told: Sequence[Episode]) -> list[EpisodeRow]:
    """What was told: a row where an episode begins and where it becomes more severe."""
    ends = {one.episode_id: one.ended_ms for one in told if one.ended_ms is not None}
    return [
        EpisodeRow(
            pet_id=one.pet_id,
            kind=one.kind,
            raised_ms=one.raised_ms,
            started_ms=one.started_ms,
            ended_ms=ends.get(one.episode_id),
            severity=one.severity,
            signals=one.signals,
            reason=one.reason,
        )
        for one in told
        if one.ended_ms is None
    ]


def _reasons(pets: pl.Series, told: Sequence[Episode]) -> pl.Series:
    """The reason of each reading: that of the worst episode of its pet that goes on."""
    going: dict[str, dict[str, Episode]] = {}
    changes = dict[int, str]()
    for one in told:
        mine = going.setdefault(one.pet_id, {})
        if one.ended_ms is None:
            mine[one.episode_id] = one
        else:
            mine.pop(one.episode_id, None)
        worst = max(mine.values(), key=_worst, default=None)
        changes[one.offset] = "" if worst is None else worst.reason
    marks = pl.Series("reason", [None] * len(pets), pl.String)
    marks = marks.scatter(list(changes), pl.Series(list(changes.values()), dtype=pl.String))
    frame = pl.DataFrame({"pet_id": pets, "reason": marks})
    filled = frame.select(pl.col("reason").forward_fill().over("pet_id"))["reason"]
    return filled.fill_null("")


def _worst(one: Episode) -> tuple[bool, int, float]:
    return one.kind == "health", SEVERITIES.index(one.severity), one.peak


def _flags(
    some: pl.DataFrame,
    values: npt.NDArray[np.float64],
    score: npt.NDArray[np.float64],
    flagged: npt.NDArray[np.bool_],
    reasons: list[str],
) -> list[EpisodeRow]:
    """A row for each flag of a series; its reason is noted at its reading too."""
    level = np.cumsum(np.nan_to_num(values)) / np.maximum(np.cumsum(np.isfinite(values)), 1)
    rows = []
    for at in np.flatnonzero(flagged).tolist():
        side = "above" if values[at] >= level[at] else "below"
        share = "" if score[at] > NEVER_RARER else f", as {10 ** -score[at]:.1g} of the values are"
        reason = f"{values[at]:.6g} is far {side} the mean of {level[at]:.6g}{share}"
        row = some.row(at, named=True)
        reasons[row["row"]] = reason
        rows.append(
            EpisodeRow(
                pet_id=row["pet_id"],
                kind="health",
                raised_ms=row["time_ms"],
                started_ms=row["time_ms"],
                ended_ms=row["time_ms"],
                severity=GENERIC_SEVERITY,
                signals=(VALUE,),
                reason=reason,
            )
        )
    return rows


THRESHOLDS: Final = {"vitals": 1.0, "generic": FLAG_AT}
"""Scores from which on something is flagged."""
