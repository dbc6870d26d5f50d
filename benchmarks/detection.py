"""How well and how fast the detector works, next to a rolling z-score in the same run.

    python benchmarks/detection.py [sessions.csv]

Prints everything that docs/detection.md quotes; the fleet and the series are in files of their own.
Quality, on recorded heart beats of healthy dogs asleep: heart rate is the mean of the last 10 s on
a grid of 2 s, a dog's sessions are joined, and one kind of episode a pass is put in every 30
minutes. An episode counts as found when an alarm begins in it or within 60 s after. False alarms
are those on the recordings as they are. Chance is what alarms at the same rate, but at any time,
would find. Dogs with even numbers may be looked at when a setting is chosen; the others judge it.
Speed, on made-up readings: microseconds a reading, and bytes of kept baseline a pet.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from pettwin_pipeline.detection.baseline import Baselines, encode_baselines
from pettwin_pipeline.detection.clinical import FloatArray
from pettwin_pipeline.detection.hearts import is_at_least
from pettwin_pipeline.detection.scoring import score_batch
from pettwin_pipeline.detection.verdicts import LEAST_SEVERITY
from pettwin_pipeline.readings.heartbeats import parse_sessions, recorded_readings
from pettwin_pipeline.readings.injections import INJECTIONS, inject_every
from pettwin_pipeline.readings.schema import READING_SCHEMA

SESSIONS = Path(__file__).parents[2] / "shared" / "data" / "dog_heartbeats" / "sessions.csv"
GRACE_MS = 60_000
START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000

Alarms = Mapping[str, Sequence[int]]
"""Event times in ms at which something was told, by pet."""


def as_batch(readings: pl.DataFrame) -> pl.DataFrame:
    """A frame of READING_SCHEMA: what is missing is null, offsets count from 0."""
    places = readings.with_columns(
        pl.lit(0).alias("partition"), pl.int_range(pl.len()).alias("offset")
    )
    missing = [pl.lit(None).alias(name) for name in READING_SCHEMA if name not in places.columns]
    return places.with_columns(missing).select(list(READING_SCHEMA)).cast(pl.Schema(READING_SCHEMA))


def level_alarms(readings: pl.DataFrame) -> dict[str, Alarms]:
    """What our detector tells: each rise of each episode, and those of medium and up."""
    told: dict[str, dict[str, list[int]]] = {"all that is told": {}, "medium and up": {}}
    for one in score_batch(as_batch(readings), Baselines.empty()).episodes:
        if one.ended_ms is not None or one.kind != "health":
            continue
        told["all that is told"].setdefault(one.pet_id, []).append(one.raised_ms)
        if is_at_least(one.severity, LEAST_SEVERITY):
            told["medium and up"].setdefault(one.pet_id, []).append(one.raised_ms)
    return {f"this, {name}": alarms for name, alarms in told.items()}


def z_alarms(readings: pl.DataFrame) -> dict[str, Alarms]:
    """Rolling z-score of 30 readings, own value included, above 2.5; silent for 5 minutes after."""
    told: dict[str, list[int]] = {}
    for part in readings.drop_nulls("heart_rate").partition_by("pet_id"):
        rate, times = part["heart_rate"], part["time_ms"].to_numpy()
        spread = rate.rolling_std(30, ddof=0)
        z = ((rate - rate.rolling_mean(30)) / spread).abs().fill_null(0.0).fill_nan(0.0)
        last_ms = -HOUR_MS
        for at_ms in times[(z > 2.5).to_numpy()].tolist():
            if at_ms - last_ms >= 300_000:
                told.setdefault(str(part["pet_id"][0]), []).append(at_ms)
                last_ms = at_ms
    return {"z-score, 5 min cool-down": told}


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    z, share = 1.96, hits / total
    middle = share + z * z / (2 * total)
    half = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (middle - half) / (1 + z * z / total), (middle + half) / (1 + z * z / total)


def bootstrap(values: Sequence[float], statistic: Callable[[FloatArray], object]) -> str:
    """The 95 % interval of a statistic of some values, by drawing them again."""
    dice = np.random.default_rng(1)
    many = np.asarray(values, np.float64)
    draws = [statistic(dice.choice(many, len(many))) for _ in range(1000)]
    low, high = np.percentile(np.array(draws, np.float64), [2.5, 97.5])
    return f"{low:.2f} {high:.2f}"


def print_quality(title: str, readings: pl.DataFrame) -> None:
    """False alarms, recall and chance of both detectors on some dogs."""
    lengths_ms = readings.group_by("pet_id").agg(pl.col("time_ms").max() - pl.col("time_ms").min())
    hours = float(lengths_ms["time_ms"].sum()) / HOUR_MS
    print(f"\n{title}: {readings['pet_id'].n_unique()} dogs, {hours:.1f} h")
    ill = {kind: inject_every(readings, kinds=[kind]) for kind in INJECTIONS}
    head = "".join(f"{f'{kind} ({len(labels)})':>30}" for kind, (_, labels) in ill.items())
    print(f"{'':26}{'false/h':>8}{head}")
    for detect in (z_alarms, level_alarms):
        false = {
            name: sum(map(len, alarms.values())) / hours
            for name, alarms in detect(readings).items()
        }
        cells: dict[str, list[str]] = {name: [] for name in false}
        for changed, labels in ill.values():
            for name, alarms in detect(changed).items():
                spans = [(one.pet_id, one.start_ms, _end_ms(one.end_ms)) for one in labels]
                hits = sum(
                    any(begin <= at_ms <= end for at_ms in alarms.get(pet, ()))
                    for pet, begin, end in spans
                )
                low, high = wilson(hits, len(spans))
                chance = 1 - np.exp(-false[name] * (spans[0][2] - spans[0][1]) / HOUR_MS)
                cells[name].append(
                    f"{hits / len(spans):.2f} [{low:.2f} {high:.2f}] chance {chance:.2f}"
                )
        for name, row in cells.items():
            print(f"{name:26}{false[name]:8.2f}" + "".join(f"{cell:>30}" for cell in row))


def _end_ms(end_ms: int | None) -> int:
    if end_ms is None:
        raise ValueError("an injected episode has an end")
    return end_ms + GRACE_MS


def print_days_of_illness(readings: pl.DataFrame) -> None:
    """Share of time flagged, and what is told, while an illness lasts: dogs of over 2.5 hours.

    A dog's recording is repeated after itself for two days; only the repetitions are ill.
    """
    print("\ntwo days of illness after hours of health: share flagged, told a day")
    for factor in (1.0, 1.25, 1.4, 0.6):
        flagged, second, alerts, dogs = 0.0, 0.0, 0.0, 0
        for part in readings.partition_by("pet_id"):
            length = int(part["time_ms"].max()) - START_MS + 10_000  # type: ignore[arg-type]
            if length < 2.5 * HOUR_MS:
                continue
            times = 1 + 48 * HOUR_MS // length
            later = [
                part.with_columns(
                    pl.col("time_ms") + turn * length,
                    pl.col("heart_rate") * (factor if turn else 1.0),
                )
                for turn in range(times)
            ]
            scored = score_batch(as_batch(pl.concat(later)), Baselines.empty())
            begin_ms = START_MS + length
            ill = scored.scores.filter(pl.col("time_ms") >= begin_ms)
            flagged += float(ill["flagged"].sum()) / len(ill)
            late = ill.filter(pl.col("time_ms") >= begin_ms + 24 * HOUR_MS)
            second += float(late["flagged"].sum()) / len(late)
            told = [
                one
                for one in scored.episodes
                if one.ended_ms is None and one.kind == "health" and one.raised_ms > begin_ms
            ]
            alerts += len(told) / ((times - 1) * length / (24 * HOUR_MS))
            dogs += 1
        print(
            f"x{factor:<5} flagged {flagged / dogs:.2f}, on the second day {second / dogs:.2f}, "
            f"told {alerts / dogs:5.1f} a day   ({dogs} dogs)"
        )


def made_up(rows: int, pets: int, start_ms: int) -> pl.DataFrame:
    """Readings of pets at rest, interleaved, every 2 s."""
    dice = np.random.default_rng(1)
    number = np.arange(rows)
    names = pl.Series([f"pet-{pet:07d}" for pet in range(pets)])
    return as_batch(
        pl.DataFrame(
            {
                "pet_id": names.gather(pl.Series(number % pets)),
                "time_ms": start_ms + number // pets * 2000,
                "heart_rate": 62 * np.exp(0.1 * dice.standard_normal(rows)),
                "activity_score": dice.uniform(0, 10, rows),
                "sleep_quality": dice.uniform(0.8, 1.0, rows),
                "species": "dog",
                "size": "medium",
            }
        )
    )


def best_s(work: Callable[[], object], times: int = 5) -> float:
    """The shortest of some runs, in seconds."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def print_speed() -> None:
    """Microseconds a reading of score_batch, with a baseline kept of the batch before."""
    print("\nscore_batch, baselines kept    us/reading   us/slot   bytes a pet   encode ms")
    for rows, pets in ((200_000, 1_000), (20_000, 10), (200_000, 200_000)):
        kept = score_batch(made_up(pets, pets, START_MS), Baselines.empty()).baselines
        batch = made_up(rows, pets, START_MS + 10_000)
        taken = best_s(partial(score_batch, batch, kept))
        encode = best_s(partial(encode_baselines, kept))
        slots = pets * max(rows // pets // 5, 1)
        size = len(encode_baselines(kept)) / pets
        print(
            f"{rows:8,} readings {pets:8,} pets {taken / rows * 1e6:12.2f} "
            f"{taken / slots * 1e6:9.2f} {size:13.0f} {encode * 1000:11.1f}"
        )


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sessions", nargs="?", type=Path, default=SESSIONS, help="recorded beats")
    path = parser.parse_args().sessions
    if path.exists():
        with path.open(encoding="utf-8", newline="") as lines:
            readings = recorded_readings(parse_sessions(lines), START_MS)
        number = pl.col("pet_id").str.extract(r"(\d+)$").cast(pl.Int64)
        print_quality("all dogs", readings)
        print_quality("even numbers (settings were chosen here)", readings.filter(number % 2 == 0))
        print_quality("odd numbers (settings are judged here)", readings.filter(number % 2 == 1))
        print_days_of_illness(readings)
    else:
        print(f"no recordings at {path}: quality is not measured")
    from detection_fleet import print_fleet
    from detection_series import print_series

    print_fleet(pets=60, days=4.0, seed=901)
    print_series()
    print_speed()


if __name__ == "__main__":
    main()
