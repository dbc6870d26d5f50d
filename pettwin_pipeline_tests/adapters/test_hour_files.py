"""Files of whole hours: named by hour and first range, found again by offsets."""

from pathlib import Path

import polars as pl
import pytest

from pettwin_pipeline.adapters.files import BatchFiles
from pettwin_pipeline.adapters.hour_files import HOUR_S, HourFiles, ended_s, hour_of
from pettwin_pipeline.batches import OffsetRange, PartitionRange

NOON_S = 1_772_366_400
"""2026-03-01 12:00 UTC."""


@pytest.fixture
def hours(tmp_path: Path) -> HourFiles:
    return HourFiles(BatchFiles.at(str(tmp_path)), "t", "e")


def rows(*places: tuple[int, int], pet: str = "rex") -> pl.DataFrame:
    """Rows of (partition, offset), later offsets at earlier times."""
    partitions, offsets = zip(*places, strict=True)
    return pl.DataFrame(
        {
            "partition": pl.Series(partitions, dtype=pl.Int32),
            "offset": pl.Series(offsets, dtype=pl.Int64),
            "pet_id": [pet] * len(places),
            "time_ms": [-offset for offset in offsets],
        }
    )


def one(*parts: tuple[int, int, int]) -> OffsetRange:
    return OffsetRange("t", "e", 0, tuple(PartitionRange(*part) for part in parts))


def test_an_hour_begins_at_its_first_second() -> None:
    assert hour_of(NOON_S + 0.5) == hour_of(NOON_S + HOUR_S - 0.001) == NOON_S
    assert hour_of(NOON_S - 0.001) == NOON_S - HOUR_S


def test_files_are_named_by_hour_and_first_range(hours: HourFiles) -> None:
    path = hours.write(NOON_S, 17, rows((0, 1)))
    assert str(path).endswith("v1/hours/t/e/2026-03-01T12-0000000017.parquet")
    assert ended_s(path.name, 0.0) == NOON_S + HOUR_S
    assert ended_s("notes.txt", 7.0) == 7.0


def test_the_rows_of_a_range_are_found_in_all_files_of_its_hour(hours: HourFiles) -> None:
    hours.write(NOON_S, 1, rows((0, 1), (0, 2), (0, 3), (1, 1)))
    hours.write(NOON_S, 9, pl.concat([rows((1, 2), (1, 3)), rows((0, 4), pet="bo")]))
    hours.write(NOON_S + HOUR_S, 12, rows((0, 3)))
    found = hours.read(NOON_S, [one((0, 2, 5), (1, 1, 3))])
    assert found is not None
    places = list(found.select("partition", "offset").iter_rows())
    assert places == [(0, 2), (0, 3), (0, 4), (1, 1), (1, 2)]


def test_an_hour_that_is_gone_has_no_rows(hours: HourFiles) -> None:
    assert hours.read(NOON_S, [one((0, 2, 5))]) is None
    assert hours.paths() == []


def test_rows_of_a_pet_lie_together_in_the_order_of_time(hours: HourFiles) -> None:
    path = hours.write(NOON_S, 1, pl.concat([rows((0, 1), (0, 5)), rows((0, 3), pet="bo")]))
    kept = pl.read_parquet(path.read_bytes())
    assert list(kept.select("pet_id", "offset").iter_rows()) == [("bo", 3), ("rex", 5), ("rex", 1)]
