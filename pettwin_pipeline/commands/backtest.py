"""`pettwin backtest`: the detection of the stream over a user's own files.

Needs neither Kafka nor Dagster. For each input a folder with scores.csv, episodes.csv,
summary.json and plot.png.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from pettwin_pipeline.commands.backtest_files import open_table
from pettwin_pipeline.commands.progress import Progress
from pettwin_pipeline.commands.user_files import one_line
from pettwin_pipeline.detection.recording import (
    THRESHOLDS,
    Backtested,
    EpisodeRow,
    backtest_series,
    backtest_vitals,
)
from pettwin_pipeline.detection.screen import DETECTOR_VERSION
from pettwin_pipeline.errors import InputFileError, PettwinError, SettingsError
from pettwin_pipeline.readings.columns import Table
from pettwin_pipeline.readings.timestamps import render_timestamp

Signal = Literal["vitals", "generic"]
EPISODE_COLUMNS: Final = (
    "pet_id",
    "kind",
    "raised_at",
    "started_at",
    "ended_at",
    "severity",
    "signals",
    "reason",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be backtested.

    Attributes:
        inputs: paths of CSV, NDJSON or Parquet files, or of recorded heart beats.
        out: folder of the results.
        signal: vitals, or generic: a column `value`.
        mapping: from fields of ours to columns of theirs.
        pet_id: the pet of every row, for files that do not name it.
    """

    inputs: tuple[str, ...]
    out: str
    signal: Signal = "vitals"
    mapping: tuple[tuple[str, str], ...] = ()
    pet_id: str | None = None


def run(plan: Plan, say: Callable[[str], None]) -> int:
    """Backtest every input; returns the exit code.

    A file that cannot be read is one line, and does not keep the others from being read.

    Raises:
        InputFileError: the only input cannot be read.
    """
    folders = _folders(plan)
    failed = 0
    for path, folder in folders.items():
        try:
            _backtest(plan, path, folder, say)
        except InputFileError as error:
            if len(folders) == 1:
                raise
            say(f"pettwin: {error}")
            failed += 1
    if failed:
        say(f"{failed} of {len(folders)} files were not backtested")
    return PettwinError.exit_code if failed else 0


def _folders(plan: Plan) -> dict[str, Path]:
    """Where the results of each input go.

    Raises:
        SettingsError: two inputs have one name, or the folder is a file.
    """
    out = Path(plan.out)
    if out.exists() and not out.is_dir():
        raise SettingsError(f"--out {plan.out}: this is a file; name a folder")
    if len(plan.inputs) == 1:
        return {plan.inputs[0]: out}
    names = Counter(Path(path).stem for path in plan.inputs)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise SettingsError(
            f"{names[twice[0]]} inputs are called {twice[0]}: their results would lie in one folder"
        )
    return {path: out / Path(path).stem for path in plan.inputs}


def _backtest(plan: Plan, path: str, folder: Path, say: Callable[[str], None]) -> None:
    began_s = time.monotonic()
    with Progress(f"{Path(path).name}: reading", 1, say) as progress:
        table = open_table(path, plan.signal, dict(plan.mapping), plan.pet_id, progress.advance_to)
    for problem in table.problems:
        say(f"{path}: line {problem.line}: {one_line(problem.text)}")
    more = table.bad_rows + table.bad_cells - len(table.problems)
    if more > 0:
        say(f"{path}: and {more:,} more bad rows or cells")
    readings = len(table.rows) - table.bad_rows
    if not readings:
        raise InputFileError(f"{path}: no row is a reading")
    result = Backtested()
    with Progress(f"{Path(path).name}: scoring", readings, say) as progress:
        for done in _score(plan.signal, table.rows, result):
            progress.advance_to(done, f"{done:,} readings")
    summary = _summarise(plan, path, table, result)
    folder.mkdir(parents=True, exist_ok=True)
    result.scores.write_csv(folder / "scores.csv")
    _episodes_frame(result.episodes).write_csv(folder / "episodes.csv")
    _draw(folder / "plot.png", table.rows, result, plan.signal)
    summary["seconds"] = round(time.monotonic() - began_s, 1)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    say(_in_words(summary, folder))


def _score(signal: Signal, rows: pl.DataFrame, result: Backtested) -> Iterator[int]:
    return (backtest_series if signal == "generic" else backtest_vitals)(rows, result)


def _draw(path: Path, rows: pl.DataFrame, result: Backtested, signal: Signal) -> None:
    from pettwin_pipeline.commands.backtest_picture import draw

    path.write_bytes(draw(rows, result, THRESHOLDS[signal]))


def _episodes_frame(episodes: Sequence[EpisodeRow]) -> pl.DataFrame:
    rows = [
        (
            one.pet_id,
            one.kind,
            render_timestamp(one.raised_ms),
            render_timestamp(one.started_ms),
            None if one.ended_ms is None else render_timestamp(one.ended_ms),
            one.severity,
            "+".join(one.signals),
            one.reason,
        )
        for one in episodes
    ]
    schema = dict.fromkeys(EPISODE_COLUMNS, pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row")


def _summarise(plan: Plan, path: str, table: Table, result: Backtested) -> dict[str, Any]:
    rows, scores = table.rows, result.scores
    good = rows.filter(pl.col("problem").is_null())
    known = ("pet_id", "timestamp", "time_ms", "problem")
    signals = [name for name in rows.columns if name not in known]
    first, last = _span(good)
    return {
        "input": path,
        "signal": plan.signal,
        "detector_version": DETECTOR_VERSION,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": len(rows),
        "readings": len(good),
        "bad_rows": table.bad_rows,
        "bad_cells": table.bad_cells,
        "problems": [{"line": one.line, "text": one_line(one.text)} for one in table.problems],
        "columns": [name for name in signals if good[name].null_count() < len(good)],
        "in_order_of_time": result.in_order,
        "repeated_or_late": result.repeated,
        "times_without_offset_taken_as_utc": table.naive,
        "pets": good["pet_id"].n_unique(),
        "first_reading": render_timestamp(first),
        "last_reading": render_timestamp(last),
        "score_flagged_from": THRESHOLDS[plan.signal],
        "flagged_readings": int(scores["flagged"].sum()),
        "episodes": {
            kind: dict(Counter(one.severity for one in result.episodes if one.kind == kind))
            for kind in ("health", "sensor")
        },
        "note": "An automatic observation, not veterinary advice.",
    }


def _span(good: pl.DataFrame) -> tuple[int, int]:
    times = good["time_ms"].to_numpy()
    return int(times.min()), int(times.max())


def _in_words(summary: dict[str, Any], folder: Path) -> str:
    counts = {kind: sum(found.values()) for kind, found in summary["episodes"].items()}
    notes = [f"{summary['bad_rows']:,} bad rows, {summary['bad_cells']:,} bad cells"]
    if not summary["in_order_of_time"]:
        notes.append("not in the order of time: sorted")
    if summary["times_without_offset_taken_as_utc"]:
        notes.append("times without an offset taken as UTC")
    return (
        f"{summary['input']}: {summary['readings']:,} readings of {summary['pets']} pets, "
        f"{counts['health']} health and {counts['sensor']} sensor episodes in {folder} "
        f"({'; '.join(notes)})"
    )
