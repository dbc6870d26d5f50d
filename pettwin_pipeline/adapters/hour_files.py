"""Readings and scores of whole hours: what the many small files of batches are put together into.

An hour is one of processing time, in UTC: that in which a range was done. Rows are sorted by pet
and event time, for whoever looks at a pet; the rows of a range are found again by their offsets.
Knows paths and frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import polars as pl
from upath import UPath

from pettwin_pipeline.adapters.files import BatchFiles, encode_frame, parse_frame
from pettwin_pipeline.batches import OffsetRange, join_parts

HOUR_S: Final = 3600
FOLDER: Final = "hours"
_NAME: Final = "%Y-%m-%dT%H"


def hour_of(time_s: float) -> int:
    """The hour in which a time lies: its first second, since 1970 UTC."""
    return int(time_s // HOUR_S) * HOUR_S


@dataclass(frozen=True, slots=True)
class HourFiles:
    """The hours of one topic."""

    files: BatchFiles
    topic: str
    epoch: str

    @property
    def folder(self) -> UPath:
        """Where they lie."""
        return self.files.root / FOLDER / self.topic / self.epoch

    def write(self, hour_s: int, first_id: int, rows: pl.DataFrame) -> UPath:
        """Write some rows of an hour.

        Args:
            hour_s: first second of the hour.
            first_id: number of the first range in it: the same ranges give the same name.
            rows: of `READING_SCHEMA` and their scores.
        """
        path = self.folder / f"{_name(hour_s)}-{first_id:010d}.parquet"
        ordered = rows.sort("pet_id", "time_ms", "partition", "offset")
        return self.files.write(path, encode_hour(ordered))

    def read(
        self, hour_s: int, ranges: Sequence[OffsetRange], columns: list[str] | None = None
    ) -> pl.DataFrame | None:
        """The rows of ranges, in the order (partition, offset); None where the hour is gone.

        Args:
            hour_s: first second of the hour.
            ranges: that were done in it.
            columns: beside partition and offset; all of them where they are not named.
        """
        chosen = pl.any_horizontal(
            (pl.col("partition") == part.partition)
            & pl.col("offset").is_between(part.start, part.end, closed="left")
            for part in join_parts(part for one in ranges for part in one.parts)
        )
        wanted = None if columns is None else ["partition", "offset", *columns]
        files = (path.read_bytes() for path in self.paths(hour_s))
        found = [parse_frame(content, wanted).filter(chosen) for content in files]
        return pl.concat(found).sort("partition", "offset") if found else None

    def paths(self, hour_s: int | None = None) -> list[UPath]:
        """The files of an hour, or of all of them, in order."""
        begin = "" if hour_s is None else _name(hour_s)
        if not self.folder.exists():
            return []
        return sorted(
            (path for path in self.folder.iterdir() if path.name.startswith(begin)), key=str
        )


def encode_hour(rows: pl.DataFrame) -> bytes:
    """Sorted rows as the bytes of a file."""
    return encode_frame(rows, level=3, statistics=True)


def ended_s(name: str, otherwise_s: float) -> float:
    """When the hour of a file ended, by its name; `otherwise_s` where it is no name of ours."""
    try:
        begun = datetime.strptime(name.rpartition("-")[0], _NAME).replace(tzinfo=UTC)
    except ValueError:
        return otherwise_s
    return begun.timestamp() + HOUR_S


def _name(hour_s: int) -> str:
    return datetime.fromtimestamp(hour_s, tz=UTC).strftime(_NAME)
