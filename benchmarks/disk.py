"""What a day of operation leaves on the disk, from the state folder of a short run.

    python benchmarks/latency.py --folder KEPT && python benchmarks/disk.py KEPT

Looks at what is there, folder by folder, whatever it is: Parquet and Kafka grow with the readings,
everything else with the runs (baselines with the runs and the pets that a run touches). What was
there before the first readings is taken off, where the run noted it (`before.json`). Blocks on the
disk are counted, not lengths: a small file costs a whole block.
"""

import argparse
import json
from contextlib import closing
from pathlib import Path

from pettwin_pipeline.adapters.ledger import open_ledger
from pettwin_pipeline.settings import Settings

BEFORE = "before.json"
DAY_S = 86_400
MIB, GIB = 2**20, 2**30
KAFKA_DAYS = 7.0
"""What Kafka keeps of a topic unless told."""


def sizes(state: Path) -> dict[str, int]:
    """Bytes on the disk of everything in a state folder: of the data by kind, else by part."""
    found: dict[str, int] = {}
    for path in state.rglob("*"):
        if path.is_file():
            inside = path.relative_to(state).parts
            name = "/".join(inside[:3:2]) if inside[0] == "data" else inside[0].partition(".")[0]
            found[name] = found.get(name, 0) + path.stat().st_blocks * 512
    return found


def grows_with_readings(state: Path, name: str) -> bool:
    """Whether a part grows with the readings, not with the runs."""
    if not name.startswith("data/"):
        return name == "kafka"
    kind = name.partition("/")[2]
    return any(state.glob(f"data/*/{kind}/**/*.parquet"))


def kept_days(settings: Settings, name: str) -> float:
    """How long a part is kept by retention."""
    return {
        "kafka": KAFKA_DAYS,
        "dagster": settings.pettwin_keep_runs_days,
        "ledger": settings.pettwin_keep_ledger_days,
    }.get(name, settings.pettwin_keep_readings_days)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="that latency.py kept; its state is in state/")
    parser.add_argument("--rate", type=int, default=1000, help="readings a second, of a day")
    parser.add_argument("--interval", type=int, default=30, help="seconds between runs, of a day")
    arguments = parser.parse_args()
    state = arguments.folder / "state"
    settings = Settings.load({"PETTWIN_STATE_DIR": str(state)})
    with closing(open_ledger(settings.ledger_url)) as ledger:
        done = ledger.done_since(settings.kafka_topic, 0)
    noted = arguments.folder / BEFORE
    before = json.loads(noted.read_text()) if noted.exists() else {}
    runs, readings = len(done), sum(one.counts["readings"] for one in done)
    a_day = {True: DAY_S * arguments.rate, False: DAY_S / arguments.interval}
    print(f"measured: {readings:,} readings in {runs} runs; a day: {a_day[True]:,} readings at")
    print(f"{arguments.rate:,}/s in {a_day[False]:,.0f} runs of one lane")
    print(f"{'':24}{'measured':>13}{'a unit':>22}{'a day':>12}{'kept':>8}{'in the end':>12}")
    totals = [0.0, 0.0]
    for name, size in sorted(sizes(state).items(), key=lambda one: -one[1]):
        by_reading = grows_with_readings(state, name)
        grown = max(0, size - before.get(name, 0))
        unit = grown / (readings if by_reading else runs)
        daily, days = unit * a_day[by_reading], kept_days(settings, name)
        totals = [totals[0] + daily, totals[1] + daily * days]
        what = f"{unit:,.1f} B a reading" if by_reading else f"{unit / 1024:,.1f} KiB a run"
        print(
            f"{name:24}{grown / MIB:>9.2f} MiB{what:>22}{daily / GIB:>8.2f} GiB"
            f"{days:>6.0f} d{daily * days / GIB:>8.1f} GiB"
        )
    print(f"{'all':24}{'':35}{totals[0] / GIB:>8.2f} GiB{'':8}{totals[1] / GIB:>8.1f} GiB")
    print("without retention a day's bytes come on top every day")


if __name__ == "__main__":
    main()
