"""Baselines kept as what each batch changed, and as whole snapshots now and then."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.detection.baseline import BASELINE_FORMAT, Baselines
from pettwin_pipeline.detection.snapshots import (
    Layer,
    Snapshot,
    encode_snapshot,
    only,
    overlay,
    parse_snapshot,
    plan_snapshot,
    without,
)
from pettwin_pipeline.errors import UnknownFormatError


def pets(*names: str) -> pl.Series:
    return pl.Series("pet_id", names, pl.String)


def some(*names: str, weight: int = 1) -> Baselines:
    """Baselines of these pets, told apart by a weight."""
    made, _rows = Baselines.empty().with_pets(pets(*names))
    made.states["weight"] = weight
    return made


def weights(baselines: Baselines) -> dict[str, int]:
    return dict(zip(baselines.pet_ids, baselines.states["weight"][:, 0].tolist(), strict=True))


def test_the_first_snapshot_is_whole() -> None:
    moved = some("bo", "rex")
    assert plan_snapshot(moved, pets("rex"), None, 32) == Snapshot(Layer(), moved)


def test_a_batch_keeps_only_the_pets_that_it_touched() -> None:
    moved = some("bo", "rex", "tia")
    made = plan_snapshot(moved, pets("rex"), (100, Layer()), 32)
    assert made.layer == Layer(since=100, depth=1, changed=1)
    assert weights(made.baselines) == {"rex": 1}


@pytest.mark.parametrize(
    "below",
    [
        pytest.param(Layer(since=5, depth=30, changed=0), id="as many batches as the setting says"),
        pytest.param(Layer(since=5, depth=1, changed=2), id="as many changes as there are pets"),
    ],
)
def test_a_whole_snapshot_follows(below: Layer) -> None:
    moved = some("bo", "rex", "tia")
    assert plan_snapshot(moved, pets("rex"), (100, below), 32 - 1).layer == Layer()


def test_a_batch_without_readings_changes_nothing_and_keeps_nothing() -> None:
    made = plan_snapshot(some("bo", "rex"), pets(), (100, Layer()), 32)
    assert made.layer == Layer(since=100, depth=1, changed=0)
    assert weights(made.baselines) == {}


def test_the_newest_state_of_each_pet_counts() -> None:
    layers = [some("bo", "rex"), some("rex", "tia", weight=2), some("ada", "tia", weight=3)]
    assert weights(overlay(layers)) == {"ada": 3, "bo": 1, "rex": 2, "tia": 3}
    assert overlay(layers).pet_ids.to_list() == ["ada", "bo", "rex", "tia"]


def test_some_and_all_but_some_are_everything() -> None:
    whole = some("bo", "rex", "tia")
    assert weights(only(whole, pets("tia", "nobody"))) == {"tia": 1}
    assert weights(without(whole, pets("tia", "nobody"))) == {"bo": 1, "rex": 1}


NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5, unique=True)


@given(st.lists(NAMES, min_size=1, max_size=12), st.integers(1, 6))
def test_what_is_read_back_is_what_the_batches_left(
    batches: Sequence[list[str]], every: int
) -> None:
    """As the files do it: each batch on top of the one before, read down to the whole one."""
    files: dict[int, bytes] = {}
    moved, below = Baselines.empty(), None
    for number, touched in enumerate(batches):
        moved, rows = moved.with_pets(pets(*touched))
        moved.states["weight"][rows] = number + 100
        made = plan_snapshot(moved, pets(*touched), below, every)
        files[number] = encode_snapshot(made)
        below = number, made.layer
        chain: list[Baselines] = []
        at: int | None = number
        while at is not None:
            snapshot = parse_snapshot(files[at])
            chain.insert(0, snapshot.baselines)
            at = snapshot.layer.since
        back = overlay(chain)
        assert back.pet_ids.to_list() == moved.pet_ids.to_list()
        assert np.array_equal(back.states, moved.states)
        assert len(chain) <= every
        assert sum(len(one.pet_ids) for one in chain[1:]) < max(1, len(moved.pet_ids))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"format":2}\n', "baselines of format 2; this release knows 1"),
        (b"PK\x03\x04", "these are no baselines"),
        (
            b'{"format":1}\n{"format":%d,"pet_ids":["a"]}\n' % BASELINE_FORMAT,
            "baselines of 1 pets are not whole",
        ),
    ],
)
def test_a_file_that_is_not_ours_is_one_clear_line(content: bytes, told: str) -> None:
    with pytest.raises(UnknownFormatError, match=told):
        parse_snapshot(content)
