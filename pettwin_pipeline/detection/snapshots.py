"""Baselines of a partition as of an offset, as they are kept: whole, or as what a batch changed.

A batch writes the pets that it touched, and a whole snapshot once enough of these lie on top of one
another: whoever reads them back reads about twice the pets at most. Knows bytes and offsets; where
they lie is known to `adapters/baseline_files`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import polars as pl

from pettwin_pipeline.detection.baseline import (
    Baselines,
    Head,
    encode_baselines,
    parse_baselines,
    parse_head,
)

SNAPSHOT_FORMAT: Final = 1


class Layer(Head, frozen=True):
    """What a file says of itself in its first line."""

    format: int = SNAPSHOT_FORMAT
    since: int | None = None
    """The offset whose file lies below this one; None: this one is whole."""
    depth: int = 0
    """How many files lie below it."""
    changed: int = 0
    """Pets in it and in those below, down to the whole one, which is not counted."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One file: its layer, and the pets in it."""

    layer: Layer
    baselines: Baselines


def plan_snapshot(
    moved: Baselines, touched: pl.Series, below: tuple[int, Layer] | None, every: int
) -> Snapshot:
    """What a batch writes: the pets that it touched, or all of them.

    Args:
        moved: baselines of all pets of the partition after the batch.
        touched: ids of the pets that the batch has readings of; unique.
        below: the offset and the layer that the batch began from; None at the very first.
        every: batches from one whole snapshot to the next, at most.
    """
    if below is not None:
        since, layer = below
        changed = layer.changed + len(touched)
        if layer.depth + 1 < every and changed < len(moved.pet_ids):
            return Snapshot(
                Layer(since=since, depth=layer.depth + 1, changed=changed), only(moved, touched)
            )
    return Snapshot(Layer(), moved)


def only(baselines: Baselines, pet_ids: pl.Series) -> Baselines:
    """Some of the pets."""
    chosen = baselines.pet_ids.is_in(pet_ids.implode()).to_numpy()
    return Baselines(baselines.pet_ids.filter(chosen), baselines.states[chosen])


def overlay(layers: Sequence[Baselines]) -> Baselines:
    """The newest state of every pet; `layers` from the oldest to the newest."""
    if len(layers) == 1:
        return layers[0]
    names = pl.concat([one.pet_ids for one in layers])
    newest = (
        pl.DataFrame({"pet_id": names})
        .with_row_index("row")
        .group_by("pet_id")
        .agg(pl.col("row").max())
        .sort("pet_id")
    )
    states = np.concatenate([one.states for one in layers])
    return Baselines(newest["pet_id"], states[newest["row"].to_numpy()])


def without(baselines: Baselines, pet_ids: pl.Series) -> Baselines:
    """All but these pets."""
    return only(baselines, baselines.pet_ids.filter(~baselines.pet_ids.is_in(pet_ids.implode())))


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """A line of JSON and the baselines: the same snapshot gives the same bytes."""
    return msgspec.json.encode(snapshot.layer) + b"\n" + encode_baselines(snapshot.baselines)


def parse_snapshot(content: bytes) -> Snapshot:
    """The way back from `encode_snapshot`.

    Raises:
        UnknownFormatError: written by a release with another format, or not whole.
    """
    head, _, rest = content.partition(b"\n")
    return Snapshot(parse_layer(head), parse_baselines(rest))


def parse_layer(line: bytes) -> Layer:
    """What a file says of itself, by its first line.

    Raises:
        UnknownFormatError: as `parse_snapshot` does.
    """
    return parse_head(line, Layer, SNAPSHOT_FORMAT)
