import json
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettwin_pipeline.errors import InputFileError
from pettwin_pipeline.readings.decode import decode_batch
from pettwin_pipeline.readings.tables import (
    RowProblem,
    TableRow,
    parse_csv,
    parse_ndjson,
    restamp,
)
from pettwin_pipeline_tests.readings.strategies import NOON, NOON_MS, VALUES, at_offsets

MAPPING = {"pet_id": "dog", "timestamp": "when", "heart_rate": "bpm"}


def said(row: TableRow | RowProblem) -> dict[str, Any]:
    """What the message of a row decodes to."""
    assert isinstance(row, TableRow), row
    decoded = decode_batch(**at_offsets([row.message], [-1]))
    (found,) = decoded.readings.to_dicts()
    assert (found["pet_id"], found["time_ms"]) == (row.pet_id, row.time_ms)
    return {name: value for name, value in found.items() if value is not None}


def problem(row: TableRow | RowProblem) -> str:
    assert isinstance(row, RowProblem), row
    return f"{row.line}: {row.text}"


def test_mapped_columns_become_a_message_and_others_do_not() -> None:
    lines = ["dog,when,bpm,breed,notes", f'7,{NOON},61,"boxer, old",slept']
    (row,) = parse_csv(lines, MAPPING)
    assert isinstance(row, TableRow)
    assert json.loads(row.message) == {
        "schema_version": 1,
        "pet_id": "7",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "heart_rate": 61.0,
        "breed": "boxer, old",
    }
    assert (row.line, row.pet_id, row.time_ms) == (2, "7", NOON_MS)


def test_a_file_of_one_pet_needs_no_column_for_it() -> None:
    (row,) = parse_csv(["timestamp,gait_symmetry", f"{NOON},0.9"], pet_id="rex")
    assert said(row)["pet_id"] == "rex"
    (row,) = parse_csv(["pet_id,timestamp,gait_symmetry", f"no,{NOON},0.9"], pet_id="rex")
    assert said(row)["pet_id"] == "rex"


@pytest.mark.parametrize(
    "text",
    [
        NOON,
        "2026-03-01T12:00:00",
        "2026-03-01 12:00",
        "2026-03-01T14:00:00+02:00",
        "1772366400",
        "1772366400.0",
        "1772366400000",
    ],
)
def test_times_are_iso_or_since_1970(text: str) -> None:
    (row,) = parse_csv(["timestamp,heart_rate", f"{text},60"], pet_id="rex")
    assert said(row)["time_ms"] == NOON_MS


def test_fractions_of_an_epoch_second_are_kept() -> None:
    (row,) = parse_ndjson(['{"timestamp": 1772366400.25, "heart_rate": 60}'], pet_id="rex")
    assert said(row)["time_ms"] == NOON_MS + 250


@pytest.mark.parametrize("nothing", ["", " ", "NA", "NaN", "null", "None"])
def test_cells_that_say_nothing_are_absent(nothing: str) -> None:
    lines = ["timestamp,heart_rate,activity_score", f"{NOON},{nothing},5"]
    (row,) = parse_csv(lines, pet_id="rex")
    assert "heart_rate" not in said(row)


BAD = [
    ("60", "1 cells for 3 columns"),
    (f"rex,{NOON},fast", "bpm: 'fast' is not a number"),
    (f"rex,{NOON},inf", "bpm: 'inf' is not a number"),
    (f"rex,{NOON},1_00", "bpm: '1_00' is not a number"),
    (f"rex,{NOON},900", "heart_rate: 900.0 is not within 5 to 400"),
    (f"rex,{NOON},", "none of heart_rate"),
    (f",{NOON},60", "pet_id: missing"),
    ("rex,,60", "timestamp: missing"),
    ("rex,1 March,60", "when: '1 March' is neither ISO 8601 nor"),
    ("rex,20260301,60", "when: '20260301' is neither"),
    ("rex,12.5,60", "when: '12.5' is neither"),
    ("rex,1e300,60", "when: '1e300' is neither"),
    (f"re\x07x,{NOON},60", "control characters"),
    (f"re\udc80x,{NOON},60", "not Unicode"),
    (f"{'x' * 140_000},{NOON},60", "field larger than field limit"),
]


@pytest.mark.parametrize(("line", "text"), BAD)
def test_a_bad_row_is_a_problem_with_its_line_and_the_next_goes_on(line: str, text: str) -> None:
    bad, good = parse_csv(["dog,when,bpm", line, f"rex,{NOON},60"], MAPPING)
    assert problem(bad).startswith("2: ")
    assert text in problem(bad)
    assert isinstance(good, TableRow)
    assert good.line == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("true", "bpm: True is neither a number nor a text"),
        ("[60]", "bpm: [60] is neither"),
        ('"x"', "bpm: 'x' is not a number"),
        ("1" * 400, "is not a number"),
        ("NaN", "none of heart_rate"),
        ("60", None),
        ('"60"', None),
    ],
)
def test_values_of_ndjson_are_numbers_or_texts(value: str, text: str | None) -> None:
    lines = [f'{{"dog": "rex", "when": "{NOON}", "bpm": {value}}}']
    (row,) = parse_ndjson(lines, MAPPING)
    if text is None:
        assert said(row)["heart_rate"] == 60.0
    else:
        assert text in problem(row)


def test_lines_of_ndjson_that_are_no_object_are_problems_and_empty_ones_nothing() -> None:
    good = f'{{"pet_id": 3, "timestamp": "{NOON}", "heart_rate": 60}}'
    found = list(parse_ndjson(["\ufeff" + good, "", "[1]", "{", "[" * 100_000, good]))
    assert [row.line for row in found] == [1, 3, 4, 5, 6]
    assert [problem(row) for row in found[1:4]] == [f"{n}: not a JSON object" for n in (3, 4, 5)]
    assert said(found[4])["pet_id"] == "3"


def test_columns_of_ndjson_may_first_appear_further_down() -> None:
    lines = [f'{{"pet_id": "a", "timestamp": "{NOON}"}}'] * 2
    lines.append(f'{{"pet_id": "a", "timestamp": "{NOON}", "sleep_quality": 1}}')
    found = list(parse_ndjson(lines))
    assert [type(row) for row in found] == [RowProblem, RowProblem, TableRow]


@pytest.mark.parametrize(
    ("header", "mapping", "text"),
    [
        ("dog,when,bpm", {}, "missing: pet_id; timestamp; one of heart_rate"),
        ("pet_id,timestamp,battery", {}, "missing: one of heart_rate"),
        ("dog,when,bpm", {**MAPPING, "heart_rate": "hr"}, "no column heart_rate=hr"),
        ("dog,when,bpm", {**MAPPING, "pulse": "bpm"}, "no field pulse; fields are timestamp"),
        ("", {}, "Columns found: none"),
    ],
)
def test_a_file_without_the_needed_columns_says_what_it_has_and_how_to_map(
    header: str, mapping: dict[str, str], text: str
) -> None:
    with pytest.raises(InputFileError) as caught:
        parse_csv([header], mapping)
    assert text in str(caught.value)
    if "Columns found" in str(caught.value) and header:
        assert f"Columns found: {header.replace(',', ', ')}. " in str(caught.value)
        assert "heart_rate=bpm" in str(caught.value)


def test_ndjson_without_the_needed_columns_raises_before_its_first_row() -> None:
    with pytest.raises(InputFileError, match="Columns found: a, b"):
        parse_ndjson(['{"a": 1}', '{"b": 1}'])


def test_a_file_is_read_no_further_than_it_is_asked() -> None:
    read: list[int] = []

    def lines() -> Iterator[str]:
        yield "pet_id,timestamp,heart_rate"
        for number in range(1000):
            read.append(number)
            yield f"a,{NOON},60"

    rows = parse_csv(lines())
    next(rows)
    assert len(read) < 3


def test_a_row_moves_in_time_with_all_that_it_says() -> None:
    (row,) = parse_csv(["timestamp,heart_rate,breed", f"{NOON},60.5,boxer"], pet_id="rex")
    assert isinstance(row, TableRow)
    later = said(row.moved(86_400_250))
    assert later == said(row) | {"time_ms": NOON_MS + 86_400_250}


def test_restamped_readings_end_at_the_moment_and_keep_their_distances() -> None:
    readings = pl.DataFrame({"time_ms": [5, 17, 10], "pet_id": ["a", "b", "a"]})
    moved = restamp(readings, NOON_MS)
    assert moved["time_ms"].to_list() == [NOON_MS - 12, NOON_MS, NOON_MS - 7]
    assert moved["pet_id"].to_list() == ["a", "b", "a"]
    assert restamp(readings.clear(), NOON_MS).is_empty()


CELLS = st.text(max_size=12) | st.sampled_from([NOON, "60", '"', "1e999", "-0", "0x10", "\udcff"])


@settings(deadline=None, max_examples=150)
@given(st.lists(st.lists(CELLS, min_size=2, max_size=5).map(",".join), max_size=4))
def test_no_line_of_csv_raises(lines: list[str]) -> None:
    for row in parse_csv(["dog,when,bpm", *lines], MAPPING):
        if isinstance(row, TableRow):
            said(row)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=4), st.text(max_size=20))
def test_no_line_of_ndjson_raises(values: list[tuple[str, str, str]], line: str) -> None:
    good = f'{{"dog": "rex", "when": "{NOON}", "bpm": 60}}'
    odd = [f'{{"dog": {one}, "when": {two}, "bpm": {three}}}' for one, two, three in values]
    found = list(parse_ndjson([good, *odd, line], MAPPING))
    assert isinstance(found[0], TableRow)
    for row in found:
        if isinstance(row, TableRow):
            said(row)
