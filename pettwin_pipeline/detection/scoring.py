"""A batch of one partition scored against the baselines of its pets: readings in, scores out.

The one entry to the detector. The same readings cut into other batches give the same scores,
episodes and ids; a batch scored again gives the same bytes. Pure.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pettwin_pipeline.detection.baseline import Baselines, StateArray
from pettwin_pipeline.detection.clinical import CodeArray
from pettwin_pipeline.detection.episodes import Episode, Place, name_episode
from pettwin_pipeline.detection.hearts import SEVERITIES
from pettwin_pipeline.detection.screen import Change, screen
from pettwin_pipeline.detection.slots import STATUSES, cut_into_slots


@dataclass(frozen=True, slots=True)
class Scored:
    """What a batch of one partition came to.

    Attributes:
        scores: one row a reading, in stream order: partition, offset, pet_id, time_ms,
            status (scored, late, repeated), score (deviation over threshold, 1.0 alarms, 0 while
            the pet is not judged), flagged (an episode is going on), severity (of the worst that
            is, empty without one). All are as of the last slot of the pet that was closed when the
            reading came.
        episodes: every change of an episode, in stream order.
        baselines: of all pets of the partition, moved on.
    """

    scores: pl.DataFrame
    episodes: list[Episode]
    baselines: Baselines


def score_batch(readings: pl.DataFrame, baselines: Baselines) -> Scored:
    """Score readings of one partition.

    Args:
        readings: frame of READING_SCHEMA, in the order of offsets, of a single partition.
        baselines: as the batch before left them; not changed.
    """
    if readings.is_empty():
        nothing = np.zeros(0, np.uint8)
        return Scored(_scores_frame(readings, nothing, nothing, nothing), [], baselines)
    moved, pet = baselines.with_pets(readings["pet_id"])
    score, worst = moved.states["score"][pet], moved.states["worst"][pet]
    slotted = cut_into_slots(readings, pet, moved.states)
    screened = screen(moved.states, slotted.closed)
    seen = slotted.last_closed >= 0
    last = slotted.last_closed[seen]
    score[seen], worst[seen] = screened.score[last], screened.worst[last]
    scores = _scores_frame(readings, slotted.status, score, worst)
    return Scored(scores, _episodes(readings, screened.changes), moved)


def digest_scores(scores: pl.DataFrame) -> str:
    """A digest of every value, in the order of the rows: equal scores have equal digests.

    Made of the values and not of a file, whose bytes change with the library that writes it.
    """
    digest = hashlib.blake2b(digest_size=16)
    for column in scores.iter_columns():
        if column.dtype == pl.String:
            digest.update(column.str.len_bytes().to_numpy().tobytes())
            digest.update((column.str.join("").item() or "").encode())
        else:
            digest.update(column.to_numpy().tobytes())
    return digest.hexdigest()


def _scores_frame(
    readings: pl.DataFrame, status: CodeArray, score: StateArray, worst: StateArray
) -> pl.DataFrame:
    names = pl.Series("status", STATUSES).gather(pl.Series(status))
    severities = pl.Series("severity", ("", *SEVERITIES[1:])).gather(pl.Series(worst))
    return readings.select("partition", "offset", "pet_id", "time_ms").with_columns(
        names,
        pl.Series("score", score, dtype=pl.Float32),
        pl.Series("flagged", worst > 0, dtype=pl.Boolean),
        severities,
    )


def _episodes(readings: pl.DataFrame, changes: Sequence[Change]) -> list[Episode]:
    episodes = []
    for change in sorted(changes, key=lambda one: (one.closing_row, one.channel)):
        pet_id, partition, offset, time_ms = readings.select(
            "pet_id", "partition", "offset", "time_ms"
        ).row(change.closing_row)
        episodes.append(name_episode(change, Place(pet_id, partition, offset, time_ms)))
    return episodes
