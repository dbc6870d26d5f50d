"""A pet taken out of every kind of file, and nothing else."""

import re
from pathlib import Path

import polars as pl
import pytest

from pettwin_pipeline.adapters.baseline_files import BaselineFiles
from pettwin_pipeline.adapters.erasing import erase_from_files
from pettwin_pipeline.adapters.files import BatchFiles
from pettwin_pipeline.adapters.hour_files import HourFiles
from pettwin_pipeline.detection.baseline import Baselines
from pettwin_pipeline.detection.episodes import encode_episodes, parse_episodes
from pettwin_pipeline.detection.snapshots import Layer, Snapshot
from pettwin_pipeline.detection.verdicts import encode_verdicts, judge_statistically, parse_verdicts
from pettwin_pipeline.errors import UnknownFormatError
from pettwin_pipeline.metrics.points import Point, encode_points, parse_points
from pettwin_pipeline_tests.adapters.ledgers import episode, offsets

ONE = offsets((0, 0, 9))
EPISODES = [episode("e1", pet_id="rex"), episode("e2", pet_id="bo")]
FRAME = pl.DataFrame(
    {"partition": [0, 0], "offset": [1, 2], "pet_id": ["bo", "rex"], "time_ms": [5, 6]}
)


@pytest.fixture
def files(tmp_path: Path) -> BatchFiles:
    """A batch with two pets, its hour, and its baselines in two layers."""
    made = BatchFiles.at(str(tmp_path))
    made.write_frame(ONE, "readings", FRAME)
    made.write_frame(ONE, "scores", FRAME)
    made.write_json(ONE, "episodes", encode_episodes(EPISODES))
    made.write_json(ONE, "verdicts", encode_verdicts(judge_statistically(EPISODES)))
    made.write_json(ONE, "points_ingest", encode_points([watched("bo"), watched("rex")]))
    made.write_json(ONE, "counts_ingest", b'{"messages":2}')
    HourFiles(made, "t", "e").write(0, 1, FRAME)
    baselines(made).write(9, Snapshot(Layer(), pets("bo", "rex", "tia")))
    baselines(made).write(12, Snapshot(Layer(since=9, depth=1, changed=1), pets("rex")))
    return made


def watched(pet: str) -> Point:
    tags = (("pet_id", pet), ("species", "dog"))
    return Point("pet.health.watch.heart_rate", "gauge", (60.0,), tags)


def pets(*names: str) -> Baselines:
    return Baselines.empty().with_pets(pl.Series("pet_id", names, pl.String))[0]


def baselines(files: BatchFiles) -> BaselineFiles:
    return BaselineFiles(files, "t", "e", 0, "1")


def contents(files: BatchFiles) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in files.root.rglob("*") if path.is_file()}


def test_the_pet_is_in_no_file_any_more_and_the_others_are(files: BatchFiles) -> None:
    erased = erase_from_files(files, "rex")
    assert erased["readings"] == 2, "of the batch and of the hour"
    for what in ("readings", "scores"):
        assert files.read_frame(ONE, what)["pet_id"].to_list() == ["bo"]
    assert [one.pet_id for one in parse_episodes(files.read_json(ONE, "episodes"))] == ["bo"]
    verdicts = parse_verdicts(files.read_json(ONE, "verdicts"))
    assert [one.episode_id for one in verdicts] == ["e2"]
    assert parse_points(files.read_json(ONE, "points_ingest")) == [watched("bo")]
    assert baselines(files).read(12)[1].pet_ids.to_list() == ["bo", "tia"]
    assert not any(b"rex" in content for content in contents(files).values())


def test_files_without_the_pet_are_not_written_anew(files: BatchFiles) -> None:
    before = contents(files)
    assert erase_from_files(files, "nobody") == {"readings": 0}
    assert contents(files) == before


def test_erasing_twice_is_erasing_once(files: BatchFiles) -> None:
    erase_from_files(files, "rex")
    once = contents(files)
    erase_from_files(files, "rex")
    assert contents(files) == once


def test_a_folder_without_files_is_no_error(tmp_path: Path) -> None:
    assert erase_from_files(BatchFiles.at(str(tmp_path / "nothing")), "rex") == {}


def test_the_lanes_are_kept_before_each_file(files: BatchFiles) -> None:
    kept: list[None] = []
    erase_from_files(files, "rex", lambda: kept.append(None))
    assert len(kept) == len(contents(files)) == 9


@pytest.mark.parametrize(("what", "suffix"), [("alerts", "json"), ("readings", "parquet")])
def test_a_broken_file_stops_it_and_is_named(files: BatchFiles, what: str, suffix: str) -> None:
    path = files.write(files.path(ONE, what, suffix), b"[{")
    with pytest.raises(UnknownFormatError, match=re.escape(f"{path} cannot be read")):
        erase_from_files(files, "rex")
