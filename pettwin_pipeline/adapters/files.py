"""Files of a batch, under names made of its range: readings, scores, episodes, points.

Local folders get a temporary name, fsync and a rename; object stores one PUT: a reader sees a whole
file or none. The same range writes the same names again, so a retry replaces what it finds. Knows
paths (any fsspec URL), not what is in the files.
"""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl
from upath import UPath

from pettwin_pipeline.batches import OffsetRange
from pettwin_pipeline.errors import SettingsError

STORE_FORMAT: Final = "v1"
"""The layout below the data URL; another one gets another folder."""


@dataclass(frozen=True, slots=True)
class BatchFiles:
    """The files below one data URL."""

    root: UPath

    @classmethod
    def at(cls, url: str) -> "BatchFiles":
        """Files below any fsspec path: a folder, gs://..., s3://...

        Raises:
            SettingsError: there is no such kind of path, or its library is not installed.
        """
        try:
            root = UPath(url)
            _ = root.fs
        except (ValueError, ImportError) as error:
            raise SettingsError(f"PETTWIN_DATA_URL: {error}") from None
        return cls(root / STORE_FORMAT)

    def path(self, one: OffsetRange, what: str, suffix: str) -> UPath:
        """Where a file of a batch lies."""
        return self.root / what / one.topic / one.epoch / f"{one.name}.{suffix}"

    def write_frame(self, one: OffsetRange, what: str, frame: pl.DataFrame) -> UPath:
        """Write a frame as Parquet; the same rows give the same bytes."""
        return self.write(self.path(one, what, "parquet"), encode_frame(frame))

    def read_frame(self, one: OffsetRange, what: str) -> pl.DataFrame:
        """Read a frame back.

        Raises:
            FileNotFoundError: the batch has none.
        """
        return parse_frame(self.path(one, what, "parquet").read_bytes())

    def write_json(self, one: OffsetRange, what: str, content: bytes) -> UPath:
        """Write bytes that are JSON."""
        return self.write(self.path(one, what, "json"), content)

    def read_json(self, one: OffsetRange, what: str) -> bytes:
        """Read them back.

        Raises:
            FileNotFoundError: the batch has none.
        """
        return self.path(one, what, "json").read_bytes()

    def read_bytes(self, path: UPath) -> bytes | None:
        """What lies at a path; None where nothing does."""
        return path.read_bytes() if path.exists() else None

    def write(
        self, path: UPath, content: bytes, may_still: Callable[[], None] = lambda: None
    ) -> UPath:
        """Write a whole file or none.

        Args:
            path: where.
            content: all of it.
            may_still: called last, when only the name is missing; raises where nothing is to be
                written any more. A disk may hang for longer than a lease lasts.
        """
        if path.protocol not in {"", "file", "local"}:
            may_still()
            path.write_bytes(content)
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            may_still()
            temporary.rename(path)
            _sync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return path


def encode_frame(frame: pl.DataFrame, *, level: int = 1, statistics: bool = False) -> bytes:
    """A frame as Parquet: the same rows give the same bytes.

    Args:
        frame: to write.
        level: of zstd.
        statistics: of each column: for files that are searched.
    """
    buffer = io.BytesIO()
    whole = frame.rechunk()  # the pieces that it was put together from would show
    whole.write_parquet(buffer, compression="zstd", compression_level=level, statistics=statistics)
    return buffer.getvalue()


def parse_frame(content: bytes, columns: list[str] | None = None) -> pl.DataFrame:
    """The way back from `encode_frame`; of some columns only, where they are named."""
    return pl.read_parquet(io.BytesIO(content), columns=columns)


def _sync_folder(folder: UPath) -> None:
    """Make the new name outlast a power cut: the ledger, which names it, does."""
    handle = os.open(folder.path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
