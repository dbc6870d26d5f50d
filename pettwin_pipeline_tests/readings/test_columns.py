from datetime import UTC, datetime

import polars as pl
import pytest

from pettwin_pipeline.readings.columns import (
    SHOWN_PROBLEMS,
    Table,
    build_table,
    csv_chunks,
    frame_chunks,
    ndjson_chunks,
)
from pettwin_pipeline.readings.message import NUMBERS
from pettwin_pipeline.readings.tables import read_csv
from pettwin_pipeline_tests.readings.strategies import NOON, NOON_MS


def _csv(*lines: str, pet_id: str | None = None) -> Table:
    header, records = read_csv(lines)
    columns = {name: name for name in header}
    return build_table(csv_chunks(records, header, columns), NUMBERS, pet_id=pet_id)


def _ndjson(*lines: str) -> Table:
    names = ("pet_id", "timestamp", "heart_rate", "species")
    chunks = ndjson_chunks(enumerate(lines, start=1), {name: name for name in names})
    return build_table(chunks, NUMBERS)


def _problems(table: Table) -> list[str]:
    return [f"{one.line}: {one.text}" for one in table.problems]


def test_rows_keep_their_order_and_their_times_as_they_stand() -> None:
    table = _csv("pet_id,timestamp,heart_rate", f"b,{NOON},61", f"a,{NOON},62.5")
    assert table.rows.select("pet_id", "timestamp", "time_ms", "heart_rate").rows() == [
        ("b", NOON, NOON_MS, 61.0),
        ("a", NOON, NOON_MS, 62.5),
    ]
    assert (table.bad_rows, table.bad_cells, table.naive) == (0, 0, False)


@pytest.mark.parametrize("cell", ["", " ", "NA", "n/a", "nan", "NaN", "null", "None"])
def test_an_empty_cell_says_nothing_and_is_no_problem(cell: str) -> None:
    table = _csv("pet_id,timestamp,heart_rate", f"a,{NOON},{cell}")
    assert table.rows["heart_rate"].to_list() == [None]
    assert (table.bad_rows, table.bad_cells) == (0, 0)


@pytest.mark.parametrize("cell", ["abc", "inf", "-inf", "1_000", "6o", "1e999"])
def test_a_cell_that_is_no_number_is_counted_and_its_row_stays_a_reading(cell: str) -> None:
    table = _csv("pet_id,timestamp,heart_rate,activity_score", f"a,{NOON},{cell},3")
    assert table.rows.select("heart_rate", "activity_score", "problem").rows() == [
        (None, 3.0, None)
    ]
    assert _problems(table) == [f"2: heart_rate: {cell!r} is not a number"]
    assert (table.bad_rows, table.bad_cells) == (0, 1)


def test_rows_that_are_no_readings_keep_their_place_and_say_why() -> None:
    table = _csv("pet_id,timestamp,heart_rate", f"a,{NOON},60", "a,soon,60", f",{NOON},60", "a,b")
    assert table.rows["time_ms"].to_list() == [NOON_MS, None, None, None]
    assert table.rows["problem"].to_list() == [
        None,
        "timestamp: 'soon' is neither ISO 8601 nor seconds or ms since 1970",
        "no pet_id",
        "2 cells for 3 columns",
    ]
    assert table.bad_rows == 3
    assert [one.line for one in table.problems] == [3, 4, 5]


def test_all_problems_are_counted_and_the_first_are_kept() -> None:
    lines = [f"a,{NOON},x"] * 20
    table = _csv("pet_id,timestamp,heart_rate", *lines)
    assert table.bad_cells == 20
    assert [one.line for one in table.problems] == list(range(2, 2 + SHOWN_PROBLEMS))


@pytest.mark.parametrize(
    ("text", "naive"),
    [
        ("2026-03-01T12:00:00Z", False),
        ("2026-03-01T13:00:00+01:00", False),
        ("2026-03-01 12:00:00", True),
        ("2026-03-01T12:00:00.000", True),
        ("2026-03-01 12:00", True),
        (" 2026-03-01T12:00Z ", False),
        ("1772366400", False),
        ("1772366400000", False),
        ("1.7723664e9", False),
    ],
)
def test_times_are_taken_in_many_forms_and_without_an_offset_as_utc(text: str, naive: bool) -> None:
    table = _csv("pet_id,timestamp,heart_rate", f"a,{text},60")
    assert table.rows["time_ms"].to_list() == [NOON_MS]
    assert table.naive is naive


@pytest.mark.parametrize("text", ["", "2026-03-01", "noon", "20260301", "1e300", "-1"])
def test_what_is_no_moment_is_not_taken_for_one(text: str) -> None:
    table = _csv("pet_id,timestamp,heart_rate", f"a,{text},60")
    assert table.rows["time_ms"].to_list() == [None]
    assert table.bad_rows == 1


def test_a_file_of_one_pet_needs_no_column_for_it() -> None:
    table = _csv("timestamp,heart_rate", f"{NOON},60", pet_id="rex")
    assert table.rows["pet_id"].to_list() == ["rex"]


def test_lines_of_json_give_the_same_and_bad_ones_keep_their_place() -> None:
    table = _ndjson(
        f'{{"pet_id": 7, "timestamp": "{NOON}", "heart_rate": 61, "species": "Dog"}}',
        "",
        "{broken",
        f'{{"pet_id": 7, "timestamp": "{NOON}", "heart_rate": NaN}}',
        f'{{"pet_id": 7, "timestamp": {NOON_MS}, "heart_rate": "fast"}}',
        f'{{"pet_id": 7, "timestamp": "{NOON}", "heart_rate": true}}',
        "[1]",
    )
    assert table.rows["pet_id"].to_list() == ["7", "", "7", "7", "7", ""]
    assert table.rows["heart_rate"].to_list() == [61.0, None, None, None, None, None]
    assert table.rows["time_ms"].to_list() == [NOON_MS, None, NOON_MS, NOON_MS, NOON_MS, None]
    assert table.rows["species"].to_list()[0] == "dog"
    assert _problems(table) == [
        "3: not a JSON object",
        "5: heart_rate: 'fast' is not a number",
        "6: heart_rate: 'True' is not a number",
        "7: not a JSON object",
    ]


def test_columns_of_a_frame_may_be_of_any_type() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    frame = pl.DataFrame({"who": [1, 2], "when": [noon, None], "bpm": ["60", "x"], "gait": [1, 0]})
    columns = {"pet_id": "who", "timestamp": "when", "heart_rate": "bpm", "gait_symmetry": "gait"}
    table = build_table(frame_chunks(frame, columns), NUMBERS)
    assert table.rows["pet_id"].to_list() == ["1", "2"]
    assert table.rows["time_ms"].to_list() == [NOON_MS, None]
    assert table.rows["heart_rate"].to_list() == [60.0, None]
    assert table.rows["gait_symmetry"].to_list() == [1.0, 0.0]
    assert table.naive is False
