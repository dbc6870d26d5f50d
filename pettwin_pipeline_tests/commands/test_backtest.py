"""`pettwin backtest`: files in, files out, no broker."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pettwin_pipeline.cli import run
from pettwin_pipeline_tests.commands.files import HEADER, Capsys

START = np.datetime64("2026-03-01T00:00:00", "ms")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _frame(pet: str = "rex", hours: int = 3) -> pl.DataFrame:
    """A reading every 5 s, the last but one half hour ill."""
    count = hours * 720
    dice = np.random.default_rng(5)
    bpm = 62 * np.exp(0.08 * dice.standard_normal(count))
    bpm[-720:-360] *= 1.6
    times = START + np.arange(count) * np.timedelta64(5000, "ms")
    stamps = [f"{text}Z" for text in np.datetime_as_string(times)]
    return pl.DataFrame({"pet_id": pet, "timestamp": stamps, "heart_rate": bpm.round(1)})


def _rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _summary(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(folder, "summary.json").read_text())
    return found


def test_a_file_becomes_scores_episodes_a_summary_and_a_picture(capsys: Capsys) -> None:
    frame = _frame()
    frame.write_csv("dogs.csv")
    assert run(["backtest", "dogs.csv", "--out", "out"]) == 0
    scores = _rows("out/scores.csv")
    assert list(scores[0]) == ["pet_id", "timestamp", "score", "flagged", "severity", "reason"]
    assert [one["timestamp"] for one in scores] == frame["timestamp"].to_list()
    assert {one["flagged"] for one in scores} == {"true", "false"}
    episodes = _rows("out/episodes.csv")
    columns = [
        "pet_id",
        "kind",
        "raised_at",
        "started_at",
        "ended_at",
        "severity",
        "signals",
        "reason",
    ]
    assert list(episodes[0]) == columns
    first = episodes[0]
    assert (first["pet_id"], first["kind"], first["signals"]) == ("rex", "health", "heart_rate")
    assert "2026-03-01T02:00" < first["raised_at"] < "2026-03-01T02:05"
    assert first["started_at"] <= first["raised_at"] < first["ended_at"]
    summary = _summary("out")
    assert (summary["readings"], summary["bad_rows"], summary["pets"]) == (2160, 0, 1)
    assert sum(summary["episodes"]["health"].values()) == len(episodes)
    assert Path("out/plot.png").read_bytes().startswith(b"\x89PNG")
    assert "2,160 readings of 1 pets" in capsys.readouterr().out


def test_csv_ndjson_and_parquet_give_the_same() -> None:
    frame = pl.concat([_frame("rex"), _frame("bo")]).sort("timestamp", maintain_order=True)
    frame.write_csv("one.csv")
    frame.write_ndjson("two.ndjson")
    frame.write_parquet("three.parquet")
    assert run(["backtest", "one.csv", "two.ndjson", "three.parquet", "--out", "out"]) == 0
    for name in ("scores.csv", "episodes.csv"):
        contents = {Path("out", kind, name).read_bytes() for kind in ("one", "two", "three")}
        assert len(contents) == 1


def test_columns_are_mapped_and_a_file_of_one_pet_needs_no_column_for_it() -> None:
    _frame().select(pl.col("timestamp").alias("t"), pl.col("heart_rate").alias("bpm")).write_csv(
        "bo.csv"
    )
    assert run(["backtest", "bo.csv", "--out", "o", "--map", "timestamp=t,heart_rate=bpm"]) == 0
    assert {one["pet_id"] for one in _rows("o/scores.csv")} == {"bo"}


def test_bad_rows_are_counted_shown_and_keep_their_place(capsys: Capsys) -> None:
    frame = _frame().with_columns(pl.col("heart_rate").cast(pl.String))
    lines = frame.write_csv().splitlines()
    lines[5] = "rex,yesterday,60"
    lines[7] = "rex"
    lines[9] = lines[9].rpartition(",")[0] + ",fast"
    Path("a.csv").write_text("\n".join(lines))
    assert run(["backtest", "a.csv", "--out", "o"]) == 0
    scores = _rows("o/scores.csv")
    assert len(scores) == len(frame)
    assert scores[4]["timestamp"] == "yesterday"
    assert scores[4]["reason"].startswith("not a reading: timestamp: 'yesterday'")
    assert (_summary("o")["bad_rows"], _summary("o")["bad_cells"]) == (2, 1)
    out = capsys.readouterr().out
    assert "a.csv: line 6: timestamp: 'yesterday' is neither ISO 8601" in out
    assert "a.csv: line 10: heart_rate: 'fast' is not a number" in out


def test_values_of_anything_are_scored_with_signal_generic() -> None:
    values = np.random.default_rng(2).normal(5, 1, 2160)
    values[1500] = 40.0
    frame = _frame().select(pl.col("timestamp").str.slice(0, 19).str.replace("T", " "))
    frame.with_columns(value=values).write_csv("cpu.csv")
    assert run(["backtest", "cpu.csv", "--out", "o", "--signal", "generic"]) == 0
    scores = _rows("o/scores.csv")
    assert scores[1500]["flagged"] == "true"
    assert float(scores[1500]["score"]) >= 3
    raised = [one["raised_at"] for one in _rows("o/episodes.csv")]
    assert "2026-03-01T02:05:00.000Z" in raised
    assert _summary("o")["times_without_offset_taken_as_utc"] is True


def test_recorded_heart_beats_are_read_as_they_are() -> None:
    beats = " ".join(f"{0.9 * number:.1f}" for number in range(400))
    Path("s.csv").write_text(f"{HEADER}1,300,7,boxer,30,4,{beats}\n")
    assert run(["backtest", "s.csv", "--out", "o"]) == 0
    assert {one["pet_id"] for one in _rows("o/scores.csv")} == {"dog-007"}


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        ("a,b\n1,2\n", [], "missing: timestamp; one of heart_rate"),
        ("timestamp,heart_rate\n", [], "no row is a reading"),
        ("timestamp,b\n1,2\n", ["--signal", "generic"], "missing: value. Columns found"),
        ("timestamp,heart_rate\nx,60\n", [], "no row is a reading"),
        ("timestamp,heart_rate\n", ["--map", "heart_rate=bpm"], "no column heart_rate=bpm"),
        ("timestamp,value\n", ["--map", "bpm=value"], "no field bpm; fields are timestamp"),
        ("", [], "Columns found: none"),
        ("\0\1\2", [], "not a text in UTF-8"),
        ("PAR1", [], "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(
    content: str, options: list[str], told: str, capsys: Capsys
) -> None:
    Path("a.csv").write_text(content)
    assert run(["backtest", "a.csv", "--out", "o", *options]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.startswith("pettwin: a.csv: ")
    assert error.count("\n") == 1
    assert not Path("o").exists()


def test_one_bad_file_of_several_does_not_keep_the_others_from_being_read(capsys: Capsys) -> None:
    _frame().write_csv("good.csv")
    assert run(["backtest", "none.csv", "good.csv", "--out", "o"]) == 2
    out = capsys.readouterr().out
    assert "pettwin: none.csv: No such file or directory" in out
    assert "1 of 2 files were not backtested" in out
    assert Path("o/good/scores.csv").exists()


def test_two_files_of_one_name_or_a_file_in_place_of_the_folder_are_refused(
    capsys: Capsys,
) -> None:
    Path("a").mkdir()
    for name in ("x.csv", "a/x.csv"):
        _frame(hours=2).write_csv(name)
    assert run(["backtest", "x.csv", "a/x.csv", "--out", "o"]) == 2
    assert "2 inputs are called x" in capsys.readouterr().err
    assert run(["backtest", "x.csv", "--out", "a/x.csv"]) == 2
    assert "this is a file" in capsys.readouterr().err
