"""The baselines of a partition on disk: a file an offset, one upon the other."""

from pathlib import Path

import polars as pl
import pytest

from pettwin_pipeline.adapters.baseline_files import BaselineFiles
from pettwin_pipeline.adapters.files import BatchFiles
from pettwin_pipeline.detection.baseline import Baselines
from pettwin_pipeline.detection.snapshots import Layer, Snapshot
from pettwin_pipeline.errors import BaselinesMissingError


@pytest.fixture
def files(tmp_path: Path) -> BaselineFiles:
    return BaselineFiles(BatchFiles.at(str(tmp_path)), "t", "e", 3, "2")


def some(*names: str) -> Baselines:
    return Baselines.empty().with_pets(pl.Series("pet_id", names, pl.String))[0]


def write_three(files: BaselineFiles) -> None:
    files.write(10, Snapshot(Layer(), some("bo")))
    files.write(20, Snapshot(Layer(since=10, depth=1, changed=1), some("rex")))
    files.write(35, Snapshot(Layer(since=20, depth=2, changed=2), some("tia")))


def test_files_are_named_by_topic_epoch_detector_partition_and_offset(files: BaselineFiles) -> None:
    wanted = "baselines/t/e/detector2/partition00003/00000000000000000480.baselines"
    assert str(files.path(480)) == str(files.files.root / wanted)


def test_a_partition_that_was_never_scored_has_none(files: BaselineFiles) -> None:
    assert files.offsets() == []


def test_the_pets_of_all_files_down_to_the_whole_one_are_read(files: BaselineFiles) -> None:
    write_three(files)
    layer, baselines = files.read(35)
    assert layer == Layer(since=20, depth=2, changed=2)
    assert baselines.pet_ids.to_list() == ["bo", "rex", "tia"]
    assert files.read(20)[1].pet_ids.to_list() == ["bo", "rex"]
    assert files.chain(35) == [35, 20, 10]
    assert files.offsets() == [10, 20, 35]


def test_a_file_that_is_gone_is_named(files: BaselineFiles) -> None:
    write_three(files)
    files.path(10).unlink()
    with pytest.raises(BaselinesMissingError, match="partition 3 as of offset 10 are missing"):
        files.read(35)


def test_what_a_dead_writer_left_is_no_file(files: BaselineFiles) -> None:
    write_three(files)
    (Path(str(files.folder)) / ".00000000000000000040.baselines.77.new").write_bytes(b"half")
    assert files.offsets() == [10, 20, 35]
