"""A user's own recordings as columns: every row of the file, in its order, in one frame.

The rules of `tables`, for whole columns: where that gives one message a row, here a row keeps its
place whatever is in it. A cell that is no number says nothing; a row without a pet or a time is no
reading. Both are counted and named. Knows nothing of files.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from pettwin_pipeline.readings.message import MAX_TEXT, TEXTS
from pettwin_pipeline.readings.tables import (
    MILLISECONDS_FROM,
    NOTHING,
    SECONDS_FROM,
    RowProblem,
    parse_object,
)
from pettwin_pipeline.readings.timestamps import LATEST_MS, parse_timestamp, parse_timestamps

CHUNK: Final = 50_000
"""Rows that are taken together."""
SHOWN_PROBLEMS: Final = 5
KINDS: Final = ("species", "size")
"""Texts of a closed set: people write Dog where we write dog."""
_UTC_OFFSET: Final = r"(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"
_DATE_SPACE: Final = r"^(\d{4}-\d{2}-\d{2}) "

Chunk = tuple[list[int], list[str | None], dict[str, pl.Series]]
"""Lines, what is wrong with each row as a whole, and the cells by field."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file.

    Attributes:
        rows: `pet_id` and `timestamp` as they stand in the file, `time_ms` (ms since 1970 UTC, null
            where the row is no reading), the numbers by field (null where a cell says nothing), the
            texts, and `problem` (null, or why the row is no reading).
        problems: the first ones, of rows and of cells.
        bad_rows: how many rows are no readings.
        bad_cells: how many cells are no numbers.
        naive: whether there were times without an offset: they are taken as UTC.
    """

    rows: pl.DataFrame
    problems: tuple[RowProblem, ...]
    bad_rows: int
    bad_cells: int
    naive: bool


def csv_chunks(
    records: Iterator[tuple[int, list[str] | str]],
    header: Sequence[str],
    columns: Mapping[str, str],
) -> Iterator[Chunk]:
    """The cells of the rows of `tables.read_csv`, by field."""
    nothing = [""] * len(header)
    while taken := list(islice(records, CHUNK)):
        wrong = [cells if isinstance(cells, str) else None for _, cells in taken]
        cells_of = [nothing if isinstance(cells, str) else cells for _, cells in taken]
        cells = {}
        for name, column in columns.items():
            at = header.index(column)
            cells[name] = pl.Series(name, [row[at] for row in cells_of], pl.String)
        yield [line for line, _ in taken], wrong, cells


def ndjson_chunks(
    numbered: Iterable[tuple[int, str]], columns: Mapping[str, str]
) -> Iterator[Chunk]:
    """The values of lines of JSON, by field. Lines of spaces are passed over."""
    lines = ((line, text) for line, text in numbered if text.strip())
    while taken := list(islice(lines, CHUNK)):
        found = [_object(text) for _, text in taken]
        wrong = [None if one is not None else "not a JSON object" for one in found]
        cells = {
            name: _series(name, [one.get(column) if one else None for one in found])
            for name, column in columns.items()
        }
        yield [line for line, _ in taken], wrong, cells


def frame_chunks(frame: pl.DataFrame, columns: Mapping[str, str]) -> Iterator[Chunk]:
    """The columns of a frame, by field; its rows are numbered from 1."""
    for begin in range(0, len(frame), CHUNK):
        part = frame[begin : begin + CHUNK]
        cells = {name: part[column].alias(name) for name, column in columns.items()}
        yield list(range(begin + 1, begin + len(part) + 1)), [None] * len(part), cells


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return parse_object(text)
    return found if isinstance(found, dict) else None


def _series(name: str, values: list[Any]) -> pl.Series:
    """A column of one type: numbers if all are, else texts."""
    if all(value is None or type(value) in (int, float) for value in values):
        return pl.Series(name, values, pl.Float64, strict=False)
    texts = [value if value is None or isinstance(value, str) else repr(value) for value in values]
    return pl.Series(name, texts, pl.String)


class _Counter:
    """Problems in the order of the rows: the first are kept, all are counted."""

    def __init__(self) -> None:
        self.kept: list[RowProblem] = []
        self.rows = self.cells = 0

    def note(self, problems: Mapping[int, str]) -> None:
        left = SHOWN_PROBLEMS - len(self.kept)
        self.kept += [RowProblem(line, problems[line]) for line in sorted(problems)[:left]]


def build_table(
    chunks: Iterable[Chunk], numbers: Sequence[str], *, pet_id: str | None = None
) -> Table:
    """Read the cells of chunks.

    Args:
        chunks: with a column `timestamp`, and `pet_id` unless it is given.
        numbers: fields that are numbers.
        pet_id: the pet of every row.
    """
    counter, frames, naive = _Counter(), [], False
    for lines, wrong, cells in chunks:
        frame, is_naive = _read_chunk(lines, wrong, cells, numbers, pet_id=pet_id, counter=counter)
        frames.append(frame)
        naive |= is_naive
    rows = pl.concat(frames) if frames else pl.DataFrame(schema={"problem": pl.String})
    return Table(rows, tuple(counter.kept), counter.rows, counter.cells, naive)


def _read_chunk(
    lines: list[int],
    wrong: list[str | None],
    cells: Mapping[str, pl.Series],
    numbers: Sequence[str],
    *,
    pet_id: str | None,
    counter: _Counter,
) -> tuple[pl.DataFrame, bool]:
    """A frame as in Table, and whether a time had no offset."""
    notes: dict[int, str] = {}
    problem = np.array(wrong, dtype=object)
    columns = {}
    for name in numbers:
        if name in cells:
            columns[name], bad = _numbers(cells[name])
            bad &= pl.Series(problem == None)  # noqa: E711 - elementwise
            counter.cells += int(bad.sum())
            for row in bad.arg_true().to_list()[:SHOWN_PROBLEMS]:
                notes[lines[row]] = f"{name}: {_shown(cells[name][row])} is not a number"
    stamps = cells["timestamp"]
    time_ms, naive = _times(stamps)
    whose = _texts(cells["pet_id"]) if pet_id is None else pl.Series([pet_id] * len(lines))
    for row in time_ms.is_null().arg_true().to_list():
        shown = _shown(stamps[row])
        text = f"timestamp: {shown} is neither ISO 8601 nor seconds or ms since 1970"
        problem[row] = problem[row] or text
    for row in whose.is_null().arg_true().to_list():
        problem[row] = problem[row] or "no pet_id"
    bad_rows = np.flatnonzero(problem != None).tolist()  # noqa: E711 - elementwise
    counter.rows += len(bad_rows)
    notes |= {lines[row]: str(problem[row]) for row in bad_rows}
    counter.note(notes)
    problems = pl.Series(problem.tolist(), dtype=pl.String)
    texts = {name: _texts(cells[name]) for name in TEXTS if name in cells and name != "pet_id"}
    texts |= {name: texts[name].str.to_lowercase() for name in KINDS if name in texts}
    frame = pl.DataFrame(
        {
            "pet_id": whose.fill_null(""),
            "timestamp": _texts(stamps).fill_null(""),
            "time_ms": time_ms,
            **columns,
            **texts,
            "problem": problems,
        }
    )
    is_reading = pl.col("problem").is_null()
    return frame.with_columns(pl.when(is_reading).then(pl.col("time_ms")).alias("time_ms")), naive


def _shown(value: object) -> str:
    return repr(value)[:60]


def _said(texts: pl.Series) -> pl.Series:
    """Texts without spaces around them; null where they say nothing."""
    bare = texts.str.strip_chars()
    nothing = bare.str.to_lowercase().is_in(list(NOTHING))
    return bare.set(nothing, None)


def _numbers(cells: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Finite numbers, null where there is none; and which cells should have been one."""
    if cells.dtype == pl.String:
        said = _said(cells)
        values = said.cast(pl.Float64, strict=False)
    elif cells.dtype.is_numeric() or cells.dtype == pl.Null:
        said = cells.cast(pl.Float64)
        said = values = said.set(said.is_nan(), None)
    else:
        said, values = cells, pl.Series(cells.name, [None] * len(cells), pl.Float64)
    values = values.set(values.is_infinite(), None).set(values.is_nan(), None)
    return values, values.is_null() & said.is_not_null()


def _texts(cells: pl.Series) -> pl.Series:
    if cells.dtype == pl.Float64:  # whole numbers of JSON: 7, not 7.0
        whole = (cells == cells.round()).fill_null(value=True).all()
        cells = cells.cast(pl.Int64, strict=False) if whole else cells
    said = _said(cells.cast(pl.String, strict=False))
    return said.str.slice(0, MAX_TEXT)


def _times(cells: pl.Series) -> tuple[pl.Series, bool]:
    """Moments in ms since 1970 UTC, null where a cell is none; and whether one had no offset."""
    if isinstance(cells.dtype, pl.Datetime):
        return cells.dt.epoch("ms"), cells.dtype.time_zone is None
    if cells.dtype == pl.Date:
        return cells.cast(pl.Datetime("ms")).dt.epoch("ms"), True
    numbers, no_number = _numbers(cells)
    ok = numbers.is_between(SECONDS_FROM, LATEST_MS)
    as_ms = numbers.zip_with((numbers >= MILLISECONDS_FROM).fill_null(value=True), numbers * 1000)
    moments = as_ms.set(~ok, None).round().cast(pl.Int64, strict=False)
    if cells.dtype != pl.String or not no_number.any():
        return moments, False
    rows = no_number.arg_true()
    texts = cells.gather(rows).str.strip_chars().str.replace(_DATE_SPACE, "${1}T")
    naive = ~texts.str.contains(_UTC_OFFSET).fill_null(value=True)
    # a date alone ends like an offset: 2026-03-01 is no moment, with or without a Z
    parsed = parse_timestamps(texts.zip_with(~naive, texts + "Z"))
    again = parsed.is_null().arg_true()
    found = [parse_timestamp(text, naive_is_utc=True) for text in texts.gather(again)]
    parsed = parsed.scatter(again, pl.Series(found, dtype=pl.Int64))
    return moments.scatter(rows, parsed), bool(naive.any())
