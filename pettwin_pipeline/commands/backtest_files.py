"""The inputs of a backtest as tables: CSV, NDJSON, Parquet, recorded heart beats.

Knows how each is opened, and what a file without a usable column is told.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Final

import polars as pl

from pettwin_pipeline.commands.user_files import first_line, is_parquet, kind_of, one_line
from pettwin_pipeline.errors import InputFileError
from pettwin_pipeline.readings.columns import (
    Chunk,
    Table,
    build_table,
    csv_chunks,
    frame_chunks,
    ndjson_chunks,
)
from pettwin_pipeline.readings.heartbeats import parse_sessions, recorded_readings
from pettwin_pipeline.readings.message import NUMBERS
from pettwin_pipeline.readings.schema import SIGNALS
from pettwin_pipeline.readings.tables import FIELDS, PEEKED, find_columns, parse_object, read_csv
from pettwin_pipeline.readings.timestamps import render_timestamp

VALUE: Final = "value"
SENSORS: Final = (*SIGNALS, "battery")

Mapped = Mapping[str, str]
Report = Callable[[float, str], None]


def open_table(
    path: str, signal: str, mapping: Mapped, pet_id: str | None, report: Report
) -> Table:
    """The rows of a file.

    Args:
        path: of the file.
        signal: vitals or generic.
        mapping: from fields of ours to columns of theirs.
        pet_id: the pet of every row. None: the file's column, or its name where it has none.
        report: takes the share of the file that is read, and a note.

    Raises:
        InputFileError: it cannot be read, or has no usable column; names the file.
    """
    try:
        return _open(path, signal, mapping, pet_id, report)
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror or error}") from None
    except (InputFileError, csv.Error) as error:
        raise InputFileError(f"{path}: {one_line(str(error))}") from None
    except pl.exceptions.PolarsError as error:
        raise InputFileError(f"{path}: cannot be read: {one_line(str(error))}") from None


def _open(path: str, signal: str, mapping: Mapped, pet_id: str | None, report: Report) -> Table:
    if Path(path).is_dir():
        raise InputFileError("this is a folder; name the files in it")
    numbers = (VALUE,) if signal == "generic" else NUMBERS
    if is_parquet(path):
        frame = pl.read_parquet(path, memory_map=False)
        columns = _columns(frame.columns, signal, mapping)
        pet = pet_id or (None if "pet_id" in columns else Path(path).stem)
        return build_table(frame_chunks(frame, columns), numbers, pet_id=pet)
    first = first_line(path)
    kind = kind_of(path, first)
    if kind == "heartbeats" and signal == "vitals":
        return _of_heartbeats(path)
    with Path(path).open(encoding="utf-8", errors="replace", newline="") as file:
        lines = _watched(file, Path(path).stat().st_size, report)
        if kind == "ndjson":
            numbered = enumerate(lines, start=1)
            head = list(islice(numbered, PEEKED))
            names = dict.fromkeys(name for _, line in head for name in parse_object(line) or ())
            columns = _columns(list(names), signal, mapping)
            chunks: Iterator[Chunk] = ndjson_chunks(chain(head, numbered), columns)
        else:
            header, records = read_csv(lines)
            columns = _columns(header, signal, mapping)
            chunks = csv_chunks(records, header, columns)
        pet = pet_id or (None if "pet_id" in columns else Path(path).stem)
        return build_table(chunks, numbers, pet_id=pet)


def _columns(found: list[str], signal: str, mapping: Mapped) -> dict[str, str]:
    if signal == "generic":
        fields = ("timestamp", "pet_id", VALUE)
        needed: tuple[str, ...] = ("timestamp",)
        return find_columns(found, mapping, needed=needed, one_of=(VALUE,), fields=fields)
    return find_columns(found, mapping, needed=("timestamp",), one_of=SIGNALS, fields=FIELDS)


def _watched(lines: Iterable[str], size: int, report: Report) -> Iterator[str]:
    """The lines; how far they are is reported now and then, by characters."""
    seen = 0
    for number, line in enumerate(lines, start=1):
        seen += len(line)
        if number % 20_000 == 0:
            report(min(seen / max(size, 1), 1.0), f"{number:,} lines")
        yield line


def _of_heartbeats(path: str) -> Table:
    with Path(path).open(encoding="utf-8", errors="replace", newline="") as file:
        readings = recorded_readings(parse_sessions(file))
    stamps = [render_timestamp(time_ms) for time_ms in readings["time_ms"]]
    rows = readings.with_columns(
        pl.Series("timestamp", stamps, pl.String), pl.lit(None, pl.String).alias("problem")
    )
    return Table(rows, (), 0, 0, naive=False)
