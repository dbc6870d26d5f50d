"""Definitions for the tests of the Dagster parts: a sensor that asks for one run, and its run.

The run notes its beginning and its end in the folder of the environment variable NOTES, and waits
for the file `go` in between. Loaded by a code server, not by the tests.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

NOTES = Path(os.environ["NOTES"])


@dg.op
def wait_for_go() -> None:
    (NOTES / "began").touch()
    while not (NOTES / "go").exists():
        time.sleep(0.1)
    (NOTES / "ended").touch()


@dg.job(executor_def=dg.in_process_executor)
def patient_job() -> None:
    wait_for_go()


@dg.sensor(
    job=patient_job,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def tick(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
    with (NOTES / "ticks").open("a") as ticks:
        ticks.write(f"{os.getpid()}\n")
    yield dg.RunRequest(run_key="once")


defs = dg.Definitions(jobs=[patient_job], sensors=[tick])
