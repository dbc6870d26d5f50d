import json
import threading
from pathlib import Path

import polars as pl
import pytest

from pettwin_pipeline.adapters.files import STORE_FORMAT, BatchFiles
from pettwin_pipeline.batches import OffsetRange, PartitionRange
from pettwin_pipeline.errors import LeaseLostError, SettingsError

FRAME = pl.DataFrame({"pet_id": ["rex", "bo"] * 50, "bpm": [60.5, None] * 50})


def offsets(start: int, end: int, *, lane: int = 0, epoch: str = "e") -> OffsetRange:
    return OffsetRange("t", epoch, lane, (PartitionRange(0, start, end),))


ONE = offsets(0, 5)


@pytest.fixture
def files(tmp_path: Path) -> BatchFiles:
    return BatchFiles.at(str(tmp_path / "data"))


def names(files: BatchFiles) -> list[str]:
    """Every file below, relative to the folder of this layout."""
    root = Path(str(files.root))
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_frame_is_read_as_it_was_written(files: BatchFiles) -> None:
    path = files.write_frame(ONE, "scores", FRAME)
    assert str(path) == str(files.path(ONE, "scores", "parquet"))
    assert files.read_frame(ONE, "scores").equals(FRAME)
    assert files.read_frame(ONE, "scores").schema == FRAME.schema


def test_an_empty_frame_keeps_its_columns(files: BatchFiles) -> None:
    files.write_frame(ONE, "scores", FRAME.clear())
    assert files.read_frame(ONE, "scores").schema == FRAME.schema


def test_json_is_read_as_it_was_written(files: BatchFiles) -> None:
    files.write_json(ONE, "episodes", b'[{"a":1}]')
    assert files.read_json(ONE, "episodes") == b'[{"a":1}]'


def test_the_same_rows_give_the_same_bytes_however_they_were_put_together(
    files: BatchFiles,
) -> None:
    frame = pl.DataFrame({"n": pl.int_range(0, 400_000, eager=True)})
    pieces = pl.concat([frame[:270_001], frame[270_001:]], rechunk=False)
    one = files.write_frame(ONE, "whole", frame).read_bytes()
    assert files.write_frame(ONE, "again", frame).read_bytes() == one
    assert files.write_frame(ONE, "pieces", pieces).read_bytes() == one


def test_names_are_made_of_format_kind_topic_epoch_and_range(files: BatchFiles) -> None:
    files.write_json(ONE, "episodes", b"[]")
    assert names(files) == [f"episodes/t/e/{ONE.name}.json"]
    assert Path(str(files.root)).name == STORE_FORMAT


def test_other_ranges_epochs_lanes_and_kinds_are_other_files(files: BatchFiles) -> None:
    for one in (ONE, offsets(0, 6), offsets(1, 5), offsets(0, 5, lane=1), offsets(0, 5, epoch="f")):
        files.write_json(one, "episodes", b"[]")
        files.write_json(one, "verdicts", b"[]")
        files.write_frame(one, "episodes", FRAME)
    assert len(names(files)) == 15


def test_a_file_is_replaced_whole_and_nothing_temporary_is_left(files: BatchFiles) -> None:
    files.write_json(ONE, "episodes", b"[" + b"1," * 1000 + b"1]")
    files.write_json(ONE, "episodes", b"[2]")
    assert files.read_json(ONE, "episodes") == b"[2]"
    assert names(files) == [f"episodes/t/e/{ONE.name}.json"]


def test_a_reader_sees_the_old_file_or_the_new_one(files: BatchFiles) -> None:
    contents = {bytes([letter]) * 200_000 for letter in b"ab"}
    path = files.write(files.path(ONE, "x", "json"), b"a" * 200_000)
    seen: set[bytes] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=look)
    reader.start()
    for content in [*contents] * 10:
        files.write(path, content)
    over.set()
    reader.join()
    assert seen <= contents


def test_what_is_not_there_is_an_error(files: BatchFiles) -> None:
    with pytest.raises(FileNotFoundError):
        files.read_json(ONE, "episodes")
    with pytest.raises(FileNotFoundError):
        files.read_frame(ONE, "scores")
    assert files.read_bytes(files.path(ONE, "scores", "parquet")) is None


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(OSError, match="data"):
        BatchFiles.at(str(tmp_path / "data")).write_json(ONE, "episodes", b"[]")


def test_a_write_that_fails_leaves_nothing_temporary_and_the_old_file(files: BatchFiles) -> None:
    path = files.write_json(ONE, "episodes", b"[1]")
    with pytest.raises(TypeError):
        files.write(path, "not bytes")  # type: ignore[arg-type]
    assert names(files) == [f"episodes/t/e/{ONE.name}.json"]
    assert files.read_json(ONE, "episodes") == b"[1]"


@pytest.mark.parametrize("scheme", ["file://", "local://"])
def test_a_url_of_a_local_folder_is_written_the_same_way(tmp_path: Path, scheme: str) -> None:
    files = BatchFiles.at(f"{scheme}{tmp_path}/data")
    for content in (b"[1]", b"[2]"):
        files.write_json(ONE, "episodes", content)
    assert files.read_json(ONE, "episodes") == b"[2]"
    found = [path.name for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert found == [f"{ONE.name}.json"]


def test_an_object_store_gets_one_put() -> None:
    files = BatchFiles.at("memory://bucket/folder")
    path = files.write_frame(ONE, "scores", FRAME)
    assert files.read_frame(ONE, "scores").equals(FRAME)
    assert [one.name for one in path.parent.iterdir()] == [f"{ONE.name}.parquet"]
    assert json.loads(files.write_json(ONE, "episodes", b"[]").read_bytes()) == []


@pytest.mark.parametrize("url", ["foo://bar", "gs://bucket/folder"])
def test_an_address_that_nothing_here_can_open_names_its_setting(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^PETTWIN_DATA_URL: "):
        BatchFiles.at(url)


def test_who_may_not_write_any_more_leaves_the_old_file_and_nothing_temporary(
    files: BatchFiles,
) -> None:
    path = files.write_json(ONE, "episodes", b"[1]")

    def may_not() -> None:
        raise LeaseLostError("somebody else holds the lane")

    with pytest.raises(LeaseLostError):
        files.write(path, b"[2]", may_not)
    assert names(files) == [f"episodes/t/e/{ONE.name}.json"]
    assert files.read_json(ONE, "episodes") == b"[1]"
