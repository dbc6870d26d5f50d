"""From produce to alert on the real stack: `pettwin up --dagster --broker kafka`, readings live.

    python benchmarks/latency.py --seconds 120 [--folder KEPT]

Readings come evenly, 1,000 a second, stamped when they are sent. A reading has arrived once its
range is done: its alerts and offsets are committed and the ledger says so. Every reading counts,
those of the first seconds too. The parts are those of its range: from its own stamp until the
sensor requested the range, from there until the first step began, and the steps as Dagster logged
them. Needs Java 17 and Maven. With --folder the state stays there, for benchmarks/disk.py.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from disk import BEFORE, sizes

from pettwin_pipeline.adapters.files import BatchFiles
from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.ledger import Ledger, open_ledger
from pettwin_pipeline.adapters.ledger_records import RangeRecord
from pettwin_pipeline.commands.sending import Sender
from pettwin_pipeline.commands.simulate import Plan, messages_of
from pettwin_pipeline.settings import Settings
from pettwin_pipeline.stack.ports import free_port

EVERY_S = 2.0
SLICE_S = 0.1
PATIENCE_S = 120
STEPS = {"read": "telemetry_batch", "score": "anomaly_scores", "judge": "verdicts"}
GOALS = {50: 6.0, 95: 9.0}

Seconds = npt.NDArray[np.float64]


@contextmanager
def running_stack(environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    """A `pettwin up` with Kafka and Dagster, in a process of its own."""
    command = [sys.executable, "-m", "pettwin_pipeline.cli", "up", "--dagster"]
    command += ["--broker", "kafka", "--port", str(free_port())]
    with (folder / "up.log").open("w+") as log:
        stack = subprocess.Popen(command, env=os.environ | environment, cwd=folder, stdout=log)
        try:
            await_text(folder / "up.log", "up; Ctrl-C", stack)
            yield
        finally:
            stack.terminate()
            stack.wait(PATIENCE_S)


def await_text(path: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    """Until a log says so."""
    end_s = time.monotonic() + PATIENCE_S
    while text not in path.read_text():
        if process.poll() is not None or time.monotonic() > end_s:
            raise RuntimeError(f"the stack did not come up: {path.read_text()}")
        time.sleep(0.2)


def send(settings: Settings, rate: int, seconds: int) -> int:
    """Send readings evenly; how many."""
    plan = Plan(pets=round(rate * EVERY_S), minutes=seconds / 60, ill_share=0.2, onset_h=(0, 0.02))
    topic = settings.kafka_topic
    in_slice = round(rate * SLICE_S)
    began_s = time.monotonic()
    with Kafka(settings) as kafka, Sender(settings, kafka, [topic]) as sender:
        sent = 0
        for chunk in plan.chunks(plan.start_ms(time.time()), EVERY_S):
            messages = messages_of(chunk.readings, keep_times=False)
            for at in range(0, len(messages), in_slice):
                sender.wait(began_s + sent / rate - time.monotonic())
                sender.send(topic, messages[at : at + in_slice])
                sent += len(messages[at : at + in_slice])
    return sent


def await_done(settings: Settings, ledger: Ledger, wanted: int) -> list[RangeRecord]:
    """The ranges, once all of the messages are in one that is done."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        done = ledger.done_since(settings.kafka_topic, 0)
        if sum(one.counts["messages"] for one in done) >= wanted:
            return done
        if time.monotonic() > end_s:
            raise RuntimeError("the readings were not all scored in time")
        time.sleep(1)


def parts_of(settings: Settings, done: list[RangeRecord]) -> dict[str, Seconds]:
    """Seconds of each reading in each part of its way, and in all of them."""
    import dagster as dg

    files = BatchFiles.at(settings.data_url)
    found: dict[str, list[Seconds]] = {}
    with dg.DagsterInstance.from_config(str(settings.state.dagster_home)) as instance:
        for record in done:
            run_id, finished_s = record.run_id or "", record.finished_s or 0.0
            steps = {one.step_key: one for one in instance.get_run_step_stats(run_id)}
            first_s = steps["telemetry_batch"].start_time or 0.0
            stats = instance.get_run_stats(run_id)
            sent_s = files.read_frame(record.range, "readings")["kafka_ms"].to_numpy() / 1000
            last_s = steps["health_alerts"].start_time or 0.0
            fixed = {
                "launch": (stats.start_time or 0.0) - record.requested_s,
                "first step": first_s - (stats.start_time or 0.0),
                **{name: _took(steps[step]) for name, step in STEPS.items()},
                "commit": finished_s - last_s,
            }
            fixed["between steps"] = finished_s - record.requested_s - sum(fixed.values())
            parts = {"tick wait": record.requested_s - sent_s}
            parts |= {name: np.full(len(sent_s), took) for name, took in fixed.items()}
            for name, seconds in (parts | {"all": finished_s - sent_s}).items():
                found.setdefault(name, []).append(seconds)
    return {name: np.concatenate(each) for name, each in found.items()}


def _took(step: object) -> float:
    """Seconds of a step."""
    return float(step.end_time - step.start_time)  # type: ignore[attr-defined]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=1000, help="readings a second")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--interval", type=int, default=5, help="PETTWIN_BATCH_INTERVAL_S")
    parser.add_argument("--folder", type=Path, help="keep the state there")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        environment = dict.fromkeys(Settings.names(), "") | {
            "PETTWIN_STATE_DIR": str(folder / "state"),
            "PETTWIN_BATCH_INTERVAL_S": str(arguments.interval),
        }
        settings = Settings.load(environment)
        with (
            running_stack(environment, folder),
            closing(open_ledger(settings.ledger_url)) as ledger,
        ):
            (folder / BEFORE).write_text(json.dumps(sizes(settings.state.root)))
            sent = send(settings, arguments.rate, arguments.seconds)
            done = await_done(settings, ledger, sent)
        parts = parts_of(settings, done)
    print(f"load of this machine: {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    print(f"{sent:,} readings at {arguments.rate:,}/s in {len(done)} ranges", end=", ")
    print(f"an interval of {arguments.interval} s; seconds of a reading")
    print(f"{'':16}{'p50':>8}{'p95':>8}{'most':>8}")
    for name, seconds in parts.items():
        p50, p95 = np.percentile(seconds, [50, 95])
        goals = f"   goal p50 {GOALS[50]:.0f}, p95 {GOALS[95]:.0f}" if name == "all" else ""
        print(f"{name:16}{p50:>8.2f}{p95:>8.2f}{seconds.max():>8.2f}{goals}")


if __name__ == "__main__":
    main()
