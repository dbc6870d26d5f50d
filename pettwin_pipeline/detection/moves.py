"""Pets whose readings came to several partitions: which baseline stays, and what it takes along.

A pet moves when partitions are added to its topic, or when a producer changes its keys. Where it
was heard of last is its home. What was learnt over days comes from the place where most was learnt;
what is about the last minutes stays that of its home. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pettwin_pipeline.detection.baseline import LEARNT, Baselines, IndexArray
from pettwin_pipeline.detection.snapshots import without


@dataclass(frozen=True, slots=True)
class Move:
    """What was learnt of a pet, from one partition to another."""

    pet_id: str
    learnt_in: int
    home: int
    left: tuple[int, ...]
    """Partitions that forget the pet."""


def plan_moves(baselines: Mapping[int, Baselines]) -> list[Move]:
    """The pets that are in several partitions, by pet id."""
    rows = pl.concat(
        [
            pl.DataFrame(
                {
                    "pet_id": one.pet_ids,
                    "partition": np.full(len(one.pet_ids), partition, np.int32),
                    "last_ms": one.states["last_ms"],
                    "learnt": _learnt(one),
                }
            )
            for partition, one in baselines.items()
        ]
        or [pl.DataFrame(schema={"pet_id": pl.String})]
    )
    if not len(rows):
        return []
    moves = []
    several = rows.filter(pl.col("pet_id").is_duplicated()).sort("pet_id", "partition")
    for (pet_id,), places in several.group_by("pet_id", maintain_order=True):
        home = places.sort("last_ms", "partition")["partition"][-1]
        learnt_in = places.sort("learnt", "last_ms", "partition")["partition"][-1]
        left = tuple(partition for partition in places["partition"] if partition != home)
        moves.append(Move(str(pet_id), learnt_in, home, left))
    return moves


def _learnt(baselines: Baselines) -> IndexArray:
    """How many slots the levels of each pet have learnt, shape (n,)."""
    weight = baselines.states["weight"]
    slots: IndexArray = weight.reshape(len(weight), -1).sum(axis=1, dtype=np.int64)
    return slots


def bring_home(baselines: Mapping[int, Baselines], moves: Sequence[Move]) -> dict[int, Baselines]:
    """The homes, with what was learnt elsewhere.

    Args:
        baselines: of every partition; not changed.
        moves: as planned.
    """
    homes = {one.home for one in moves if one.learnt_in != one.home}
    changed = {p: Baselines(baselines[p].pet_ids, baselines[p].states.copy()) for p in homes}
    for one in moves:
        if one.learnt_in != one.home:
            source, home = baselines[one.learnt_in], changed[one.home]
            for name in LEARNT:
                learnt = source.states[name][_row(source, one.pet_id)]
                home.states[name][_row(home, one.pet_id)] = learnt
    return changed


def forget_moved(baselines: Mapping[int, Baselines], moves: Sequence[Move]) -> dict[int, Baselines]:
    """The partitions that pets left, without them."""
    gone: dict[int, list[str]] = {}
    for one in moves:
        for partition in one.left:
            gone.setdefault(partition, []).append(one.pet_id)
    return {p: without(baselines[p], pl.Series("pet_id", pets)) for p, pets in gone.items()}


def _row(baselines: Baselines, pet_id: str) -> int:
    row = baselines.pet_ids.index_of(pet_id)
    if row is None:
        raise ValueError(f"{pet_id} has no baseline here")
    return row
