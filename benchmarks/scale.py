"""What a reading costs from ten pets to a million: bytes to scores, without a broker.

    python benchmarks/scale.py --pets 10 10000 1000000

Every batch has the same number of readings, spread over as many pets as there are: with a million
of them a batch holds a fifth of them once. All pets are known and warm before (an hour of one pet,
copied), and their slots begin at different times, so that any batch closes a fifth of its readings'
slots. Each size runs in a process of its own, so that its peak of memory is its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

STEP_MS, SLOT_MS = 2000, 10_000
START_MS = 1_772_323_200_000
WARM_MS = 3_600_000
GOAL = 1.15


def measure(pets: int, readings: int, batches: int) -> dict[str, float]:
    """One size, in this process."""
    import numpy as np
    import polars as pl

    from pettwin_pipeline.detection.baseline import Baselines, encode_baselines, parse_baselines
    from pettwin_pipeline.detection.scoring import score_batch
    from pettwin_pipeline.readings.decode import decode_batch
    from pettwin_pipeline.readings.encode import encode_readings

    dice = np.random.default_rng(1)
    names = pl.Series("pet_id", [f"pet-{pet:07d}" for pet in range(pets)])
    phase_ms = dice.integers(0, SLOT_MS, pets)

    def messages(first: int, count: int, whose: pl.Series, begin_ms: int) -> list[bytes]:
        """Readings number `first` and on of pets that take turns."""
        number = np.arange(first, first + count)
        pet = number % len(whose)
        columns = {
            "pet_id": whose.gather(pl.Series(pet)),
            "time_ms": begin_ms + phase_ms[pet] + number // len(whose) * STEP_MS,
            "heart_rate": np.round(62 * np.exp(0.05 * dice.standard_normal(count)), 1),
            "activity_score": np.round(dice.uniform(0, 10, count), 1),
            "gait_symmetry": np.round(dice.uniform(0.9, 1.0, count), 3),
            "sleep_quality": np.round(dice.uniform(0.8, 1.0, count), 2),
            "species": ["dog"] * count,
            "size": ["medium"] * count,
        }
        return encode_readings(pl.DataFrame(columns))

    def decoded(values: list[bytes], first: int) -> pl.DataFrame:
        count = len(values)
        offsets = np.arange(first, first + count)
        stamps = np.full(count, -1, np.int64)
        keys: list[bytes | None] = [None] * count
        return decode_batch(values, keys, np.zeros(count, np.int32), offsets, stamps).readings

    hour = messages(0, WARM_MS // STEP_MS, names[:1], START_MS)
    warm = score_batch(decoded(hour, 0), Baselines.empty()).baselines
    baselines = Baselines(names, np.repeat(warm.states, pets))
    costs: dict[str, list[float]] = {"decode": [], "score": []}
    for batch in range(batches):
        first = batch * readings
        values = messages(first, readings, names, START_MS + WARM_MS + SLOT_MS)
        marks = [time.perf_counter()]
        frame = decoded(values, first)
        marks.append(time.perf_counter())
        baselines = score_batch(frame, baselines).baselines
        marks.append(time.perf_counter())
        for name, one, after in zip(costs, marks, marks[1:], strict=False):
            costs[name].append(1e6 * (after - one) / readings)
    del frame, values
    began = time.perf_counter()
    kept = encode_baselines(baselines)
    written = time.perf_counter()
    parse_baselines(kept)
    read = time.perf_counter()
    in_memory = baselines.states.nbytes + baselines.pet_ids.estimated_size()
    return {
        **{name: min(each) for name, each in costs.items()},
        "snapshot_ms": 1000 * (written - began),
        "restore_ms": 1000 * (read - written),
        "memory_bytes": in_memory / pets,
        "disk_bytes": len(kept) / pets,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pets", type=int, nargs="+", default=[10, 10_000, 1_000_000])
    parser.add_argument("--readings", type=int, default=200_000, help="of a batch")
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one", action="store_true", help="measure in this process, as JSON")
    arguments = parser.parse_args()
    if arguments.one:
        found = measure(arguments.pets[0], arguments.readings, arguments.batches)
        print(json.dumps(found))
        return
    sizes = ("--readings", str(arguments.readings), "--batches", str(arguments.batches))
    rounds: dict[int, list[dict[str, float]]] = {pets: [] for pets in arguments.pets}
    for _ in range(arguments.rounds):
        for pets, found in rounds.items():
            command = [sys.executable, __file__, "--one", "--pets", str(pets), *sizes]
            found.append(json.loads(subprocess.check_output(command)))
    print(f"batches of {arguments.readings:,} readings, best of {arguments.batches} in each of")
    print(f"{arguments.rounds} rounds")
    print(
        f"{'pets':>10}{'decode':>9}{'score':>9}{'both':>9}   {'against the first':<18}"
        f"{'bytes a pet':>12}{'on disk':>9}{'snapshot':>10}{'restore':>9}{'peak':>9}"
    )
    least = None
    for pets, found in rounds.items():
        one = {name: min(each[name] for each in found) for name in found[0]}
        both = one["decode"] + one["score"]
        least = least or both
        print(
            f"{pets:>10,}{one['decode']:>6.2f} us{one['score']:>6.2f} us{both:>6.2f} us   "
            f"{f'{both / least:.2f} (goal {GOAL})':<18}"
            f"{one['memory_bytes']:>12.0f}{one['disk_bytes']:>9.0f}"
            f"{one['snapshot_ms']:>7.0f} ms{one['restore_ms']:>6.0f} ms{one['peak_mb']:>6.0f} MB"
        )


if __name__ == "__main__":
    main()
