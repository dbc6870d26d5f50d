"""A user's own recordings, CSV or NDJSON, to messages: row by row, without holding the file.

The rules of such files, which `columns` shares: how columns are found, cells read and times told. A
mapping says which of their columns is which field of ours: `{"heart_rate": "bpm"}`. A row becomes
a message that decodes to a reading, or a problem that names its line; a bad row never raises. Only
a file that has no usable columns at all does, before its first row.
"""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

import msgspec
import polars as pl

from pettwin_pipeline.errors import InputFileError
from pettwin_pipeline.readings.examination import NO_KAFKA_TIME, Fault, examine
from pettwin_pipeline.readings.message import NUMBERS, TEXTS
from pettwin_pipeline.readings.schema import SCHEMA_VERSION, SIGNALS, AgeLimits
from pettwin_pipeline.readings.timestamps import LATEST_MS, parse_timestamp, render_timestamp

FIELDS: Final = ("timestamp", *TEXTS, *NUMBERS)
"""Fields of ours that a column can be mapped to."""

PEEKED: Final = 100  # rows of an NDJSON file that are asked for their columns
NOTHING: Final = frozenset({"", "na", "n/a", "nan", "null", "none"})
SECONDS_FROM: Final = 1e8  # below is no moment but a date like 20260301, or a count from 0
MILLISECONDS_FROM: Final = 1e11  # from here on it is in ms: as seconds it were the year 5138

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the file as a message.

    Attributes:
        line: where it stands, from 1.
        pet_id: key of the message.
        time_ms: event time, ms since 1970 UTC.
        message: ready for the topic.
    """

    line: int
    pet_id: str
    time_ms: int
    message: bytes

    def moved(self, by_ms: int) -> "TableRow":
        """The same row at another time."""
        time_ms = self.time_ms + by_ms
        fields = msgspec.json.decode(self.message) | {"timestamp": render_timestamp(time_ms)}
        return replace(self, time_ms=time_ms, message=msgspec.json.encode(fields))


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that is not a reading: the line, from 1, and what is wrong with it."""

    line: int
    text: str


def parse_csv(
    lines: Iterable[str], mapping: Mapping[str, str] | None = None, *, pet_id: str | None = None
) -> Iterator[TableRow | RowProblem]:
    """The rows of a CSV file whose first line names the columns.

    Times are ISO 8601, in UTC where they have no offset, or seconds or milliseconds since 1970.
    Cells that are empty, NA, NaN, null or None say nothing.

    Args:
        lines: of the file.
        mapping: from fields of ours to columns of theirs; a field that is not here is looked for
            under its own name.
        pet_id: the pet of every row, for a file that does not name it.

    Raises:
        InputFileError: a column that is needed or mapped is not there.
    """
    header, records = read_csv(lines)
    columns = _find_reading(header, mapping or {}, pet_id)
    return _csv_rows(records, header, columns, pet_id)


def parse_ndjson(
    lines: Iterable[str], mapping: Mapping[str, str] | None = None, *, pet_id: str | None = None
) -> Iterator[TableRow | RowProblem]:
    """The rows of a file with one JSON object a line; the rest is as in `parse_csv`.

    The columns are those of the first 100 lines. Lines of spaces are passed over.
    """
    numbered = enumerate(lines, start=1)
    first = [one for one, _ in zip(numbered, range(PEEKED), strict=False)]
    names = dict.fromkeys(name for _, line in first for name in parse_object(line) or ())
    columns = _find_reading(list(names), mapping or {}, pet_id)
    return _ndjson_rows(chain(first, numbered), columns, pet_id)


def restamp(readings: pl.DataFrame, end_ms: int) -> pl.DataFrame:
    """Readings moved in time so that the last one is at `end_ms`, ms since 1970 UTC."""
    return readings.with_columns(pl.col("time_ms") + (end_ms - pl.col("time_ms").max()))


def _find_reading(
    found: Sequence[str], mapping: Mapping[str, str], pet_id: str | None
) -> dict[str, str]:
    needed = ("timestamp",) if pet_id is not None else ("pet_id", "timestamp")
    return find_columns(found, mapping, needed=needed, one_of=SIGNALS)


def find_columns(
    found: Sequence[str],
    mapping: Mapping[str, str],
    *,
    needed: Sequence[str],
    one_of: Sequence[str],
    fields: Sequence[str] = FIELDS,
) -> dict[str, str]:
    """From fields of ours to the columns of theirs that are there.

    Args:
        found: the columns of the file.
        mapping: from fields to columns; what is not here is looked for under its own name.
        needed: fields that a file cannot do without.
        one_of: fields of which it has at least one.
        fields: that can be mapped.

    Raises:
        InputFileError: a field is unknown, or a column is needed or mapped and not there.
    """
    unknown = [name for name in mapping if name not in fields]
    if unknown:
        raise InputFileError(f"no field {', '.join(unknown)}; fields are {', '.join(fields)}")
    absent = [f"{name}={column}" for name, column in mapping.items() if column not in found]
    columns = {name: mapping.get(name, name) for name in fields}
    columns = {name: column for name, column in columns.items() if column in found}
    missing = [name for name in needed if name not in columns]
    if not columns.keys() & set(one_of):
        missing.append(f"one of {', '.join(one_of)}" if len(one_of) > 1 else one_of[0])
    if absent or missing:
        problem = f"no column {', '.join(absent)}" if absent else f"missing: {'; '.join(missing)}"
        raise InputFileError(
            f"{problem}. Columns found: {', '.join(found) or 'none'}. Say which is which with a "
            f"mapping of our field to your column, such as {one_of[0]}=bpm"
        )
    return columns


def read_csv(lines: Iterable[str]) -> tuple[list[str], Iterator[tuple[int, list[str] | str]]]:
    """The header of a CSV file, and of each row its line and its cells, or what is wrong with it.

    Empty lines are passed over.

    Raises:
        InputFileError: the header cannot be read.
    """
    reader = csv.reader(lines)
    try:
        header = [name.strip().removeprefix("\ufeff") for name in next(reader, [])]
    except csv.Error as error:
        raise InputFileError(f"not a CSV file: {error}") from None
    return header, _csv_cells(reader, len(header))


def _csv_cells(reader: Any, count: int) -> Iterator[tuple[int, list[str] | str]]:
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, str(error)
            continue
        if len(cells) == count:
            yield reader.line_num, cells
        elif cells:
            yield reader.line_num, f"{len(cells)} cells for {count} columns"


def _csv_rows(
    records: Iterable[tuple[int, list[str] | str]],
    header: Sequence[str],
    columns: Mapping[str, str],
    pet_id: str | None,
) -> Iterator[TableRow | RowProblem]:
    for line, cells in records:
        if isinstance(cells, str):
            yield RowProblem(line, cells)
            continue
        texts = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        said = {name: cell for name, cell in texts.items() if cell.casefold() not in NOTHING}
        yield _build_row(line, said, columns, pet_id)


def _ndjson_rows(
    numbered: Iterable[tuple[int, str]], columns: Mapping[str, str], pet_id: str | None
) -> Iterator[TableRow | RowProblem]:
    for line, text in numbered:
        if not text.strip():
            continue
        said = parse_object(text)
        if said is None:
            yield RowProblem(line, "not a JSON object")
        else:
            yield _build_row(line, said, columns, pet_id)


def parse_object(line: str) -> dict[str, Any] | None:
    """The object of a line; NaN and Infinity, which Python writes, say nothing in it."""
    try:
        found = json.loads(line.removeprefix("\ufeff"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _build_row(
    line: int, said: Values, columns: Mapping[str, str], pet_id: str | None
) -> TableRow | RowProblem:
    """The row as a message that is known to decode."""
    row: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
    if pet_id is not None:
        row["pet_id"] = pet_id
    for name, column in columns.items():
        value = said.get(column)
        if value is None or name in row:
            continue
        try:
            row[name] = _convert(name, value)
        except ValueError as error:
            return RowProblem(line, f"{column}: {error}")
    try:
        message = msgspec.json.encode(row)
    except UnicodeEncodeError:
        return RowProblem(line, "a text that is not Unicode")
    found = examine(message, NO_KAFKA_TIME, AgeLimits())
    if isinstance(found, Fault):
        return RowProblem(line, found.detail)
    return TableRow(line, found["pet_id"], found["time_ms"], message)


def _convert(name: str, value: Any) -> str | float:
    """A cell as the value of a field.

    Raises:
        ValueError: it says what is wrong.
    """
    shown = repr(value)[:60]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{shown} is neither a number nor a text")  # noqa: TRY004
    if name == "timestamp":
        time_ms = parse_time(value)
        if time_ms is None:
            raise ValueError(f"{shown} is neither ISO 8601 nor seconds or ms since 1970")
        return render_timestamp(time_ms)
    if name in TEXTS:
        return str(value)
    number = parse_number(value)
    if number is None:
        raise ValueError(f"{shown} is not a number")
    return number


def parse_time(value: str | float) -> int | None:
    """A moment, ISO 8601 or seconds or ms since 1970, in ms since 1970 UTC; None: it is none."""
    number = parse_number(value)
    if number is None:
        return parse_timestamp(str(value), naive_is_utc=True)
    if not SECONDS_FROM <= number <= LATEST_MS:
        return None
    return round(number if number >= MILLISECONDS_FROM else number * 1000)


def parse_number(value: str | float) -> float | None:
    """A finite number, or None."""
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    plain = not isinstance(value, str) or "_" not in value  # 1_000 is for programs
    return number if plain and math.isfinite(number) else None
