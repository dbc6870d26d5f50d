"""What `pettwin backtest` takes for a million rows of one, ten and a hundred pets.

    python benchmarks/backtest.py [--rows 1000000]

The whole command, in a process of its own: start, reading, scoring, scores.csv and the picture. The
readings are made up, every 2 s, heart rate alone or all signals, with a fever now and then; pets
take turns. Prints seconds and rows a second.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

START_MS = 1_772_323_200_000
STEP_MS = 2000
HOUR = 3600 * 1000 // STEP_MS
GOAL_S = 20


def recording(rows: int, pets: int, *, all_signals: bool) -> pl.DataFrame:
    """Readings by time: nights and days, half an hour of fever a day, exercise where it shows."""
    dice = np.random.default_rng(pets)
    number = np.arange(rows)
    pet, step = number % pets, number // pets
    night = np.sin(2 * np.pi * step / (24 * HOUR) + pet)
    fever = (step + 7 * HOUR * (pet + 1)) % (24 * HOUR) < HOUR // 2
    rate = 68 * np.exp(0.06 * night + 0.35 * fever + 0.07 * dice.standard_normal(rows))
    columns = {
        "pet_id": pl.Series([f"pet-{one:03d}" for one in range(pets)]).gather(pl.Series(pet)),
        "timestamp": pl.Series(START_MS + step * STEP_MS).cast(pl.Datetime("ms", "UTC")),
        "heart_rate": np.round(rate, 1),
    }
    if all_signals:
        activity = np.where(night > 0, dice.uniform(0, 10, rows), dice.uniform(0, 1, rows))
        runs = (step // HOUR) % 12 == 5
        columns |= {
            "activity_score": np.round(np.where(runs, 40.0, activity), 1),
            "gait_symmetry": np.round(dice.uniform(0.94, 0.98, rows), 3),
            "sleep_quality": np.round(np.where(night > 0, 0.5, dice.uniform(0.9, 1, rows)), 2),
        }
    return pl.DataFrame(columns)


def backtest_s(path: Path) -> float:
    """Seconds of the command."""
    began = time.perf_counter()
    command = [str(Path(sys.executable).with_name("pettwin")), "backtest", str(path), "--out"]
    subprocess.run([*command, str(path.parent / "out")], check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    print(f"pettwin backtest, {rows:,} rows (goal {GOAL_S} s for a million)")
    with tempfile.TemporaryDirectory() as folder:
        for pets, all_signals in ((1, False), (1, True), (10, True), (100, True)):
            table = recording(rows, pets, all_signals=all_signals)
            csv, parquet = Path(folder) / "table.csv", Path(folder) / "table.parquet"
            table.write_csv(csv, datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ")
            table.write_parquet(parquet)
            for path in (csv, parquet):
                taken = backtest_s(path)
                signals = "all signals" if all_signals else "heart rate alone"
                print(
                    f"{pets:4} pets, {signals:16} {path.suffix[1:]:8}"
                    f"{taken:6.1f} s {rows / taken:10,.0f} rows/s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
