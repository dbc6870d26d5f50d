"""`pettwin replay` of files that are not what was hoped for: one line, and nothing sent."""

import os

import pytest

from pettwin_pipeline.cli import run
from pettwin_pipeline_tests.commands.files import CSV, HEADER, MAP, Capsys, Write
from pettwin_pipeline_tests.commands.place import Place


def refused(capsys: Capsys, *arguments: str) -> str:
    """The one line with which it ended."""
    assert run(["replay", *arguments]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("pettwin: ")
    assert told.err.count("\n") == 1
    assert "acknowledged" not in told.out
    return told.err


def test_a_format_that_is_given_is_not_guessed(place: Place, write: Write, capsys: Capsys) -> None:
    name = write("dogs.ndjson", CSV)
    assert run(["replay", name, *MAP, "--format", "csv"]) == 0
    assert len(place.readings()) == 3
    capsys.readouterr()
    assert "not a file of heart beats" in refused(capsys, name, "--format", "heartbeats")


def test_nothing_is_sent_when_one_of_several_files_cannot_be_used(
    place: Place, write: Write, capsys: Capsys
) -> None:
    assert refused(capsys, write("dogs.csv", CSV), "none.csv", *MAP) == (
        "pettwin: none.csv: No such file or directory\n"
    )
    assert place.sent() == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "missing: pet_id; timestamp"),
        ("a,b\n1,2\n", "Columns found: a, b"),
        ("dog,when\n", "no column heart_rate=bpm"),
        ("dog,when,bpm\n", "no row is a reading"),
        ("dog,when,bpm\nrex,tomorrow,60\n", "no row is a reading: line 2: when: 'tomorrow'"),
        ("\x1b[2J,\r,\x07\n", "Columns found"),
        ("x" * 200_000, "field larger than field limit"),
        ("x," * 60_000, "..."),
    ],
)
def test_a_file_without_readings_is_one_line(
    place: Place, write: Write, capsys: Capsys, text: str, told: str
) -> None:
    options = MAP if text.startswith("dog") else ()
    line = refused(capsys, write("dogs.csv", text), *options)
    assert line.startswith("pettwin: dogs.csv: ")
    assert told in line
    assert line.rstrip("\n").isprintable()
    assert len(line) < 1000


def test_a_binary_file_a_folder_and_a_pipe_are_one_line(place: Place, capsys: Capsys) -> None:
    (place.folder / "dogs.csv.gz").write_bytes(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" * 9)
    assert "dogs.csv.gz: not a text in UTF-8" in refused(capsys, "dogs.csv.gz")
    (place.folder / "folder").mkdir()
    assert refused(capsys, "folder") == "pettwin: folder: Is a directory\n"
    read, write = os.pipe()
    for options in ((), ("--format", "csv")):
        assert "cannot be read twice" in refused(capsys, f"/dev/fd/{read}", *options)
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("row", ["x,20,7,beagle,9,4,1 2 3", "1,20,7,beagle,9,4,3 2 1", "1,20"])
def test_heart_beats_with_a_broken_row_are_refused_with_its_line(
    place: Place, write: Write, capsys: Capsys, row: str
) -> None:
    good = "1,20,7,beagle,9,4,1 2 3 4 5 6\n"
    line = refused(capsys, write("beats.csv", f"{HEADER}{good}{row}\n"))
    assert "pettwin: beats.csv: line 3: not a session" in line


def test_a_session_that_is_too_long_for_a_cell_is_one_line(
    place: Place, write: Write, capsys: Capsys
) -> None:
    beats = " ".join(map(str, range(30_000)))
    line = refused(capsys, write("beats.csv", f"{HEADER}1,30000,7,beagle,9,4,{beats}\n"))
    assert "pettwin: beats.csv: field larger than field limit" in line


def test_options_that_would_be_ignored_are_refused(
    place: Place, write: Write, capsys: Capsys
) -> None:
    name = write("dogs.csv", CSV)
    assert "--episodes is for recorded heart beats" in refused(capsys, name, *MAP, "--episodes")
    for options in (MAP, ("--pet-id", "rex")):
        assert "heart beats name their pets" in refused(capsys, *options)
    assert "--map bpm: allowed is our_field=their_column" in refused(capsys, name, "--map", "bpm")
    assert "no field pulse" in refused(capsys, name, "--map", "pulse=bpm")
    assert place.sent() == []
