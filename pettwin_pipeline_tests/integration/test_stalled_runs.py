"""A run that hangs beyond its lease while its successor works: woken, it may write nothing."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from pettwin_pipeline_tests.defs.pipeline import DAGSTERS_OWN, Pipeline, calm, failures
from pettwin_pipeline_tests.integration.dying_worker import disturbed
from pettwin_pipeline_tests.integration.outcomes import (
    LONG_S,
    PATIENCE_S,
    Outcome,
    empty_pipeline,
    new_pipeline,
    outcome,
    run_until_done,
    sent_now,
)
from pettwin_pipeline_tests.stack.programs import wait_for

pytestmark = [pytest.mark.integration, DAGSTERS_OWN]

LOST: Final = "run .* does not hold lane 0 any more"
STALLS: Final = {
    "after the lane was taken": ("telemetry_batch", "another run works on the range of this one"),
    "after reading": ("telemetry_batch", LOST),
    "in the middle of writing the readings": ("telemetry_batch", LOST),
    "before the baselines": ("anomaly_scores", LOST),
    "before the transaction": ("health_alerts", "another run commits lane 0 now"),
    "in the open transaction": ("health_alerts", "another run commits lane 0 now"),
    "before the ledger says done": ("health_alerts", LOST),
}
"""Where it hangs, the asset that fails when it goes on, and the reason."""


class Stalled:
    """A run, a process of its own, that has stopped at a point."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        stopped = psutil.Process(process.pid)
        wait_for(lambda: stopped.status() in {psutil.STATUS_STOPPED, "zombie"}, PATIENCE_S)
        assert process.poll() is None, process.communicate()

    def go_on(self) -> dict[str, str]:
        """Wake it and wait for its end; why its steps failed."""
        os.kill(self._process.pid, signal.SIGCONT)
        out, err = self._process.communicate(timeout=PATIENCE_S)
        assert self._process.returncode == 0, err[-2000:]
        failed: dict[str, str] = json.loads(out.splitlines()[-1])
        return failed


@contextmanager
def stalled(pipeline: Pipeline, point: str, tags: Mapping[str, str]) -> Iterator[Stalled]:
    """A run that hangs there; it is gone after the block."""
    program = "pettwin_pipeline_tests.integration.dying_worker"
    process = subprocess.Popen(
        [sys.executable, "-m", program, point, json.dumps(dict(tags)), "stop"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=pipeline.settings.state.root.parent,
    )
    try:
        yield Stalled(process)
    finally:
        process.kill()
        process.communicate()


def everything(pipeline: Pipeline) -> dict[str, Any]:
    """Every file and every row that a run writes, but for the count of failures."""
    root = Path(str(pipeline.files.root))
    found: dict[str, Any] = {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.suffix != ".new"
    }
    with closing(sqlite3.connect(pipeline.settings.state.ledger_file)) as sql:
        for (table,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            found[table] = sql.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
    del found["tallies"]
    return found


@pytest.mark.parametrize("point", STALLS)
def test_a_run_that_hung_beyond_its_lease_writes_nothing_when_it_wakes(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Outcome, point: str
) -> None:
    asset, told = STALLS[point]
    pipeline = new_pipeline(kafka, tmp_path / "pipeline", monkeypatch)
    (request,) = pipeline.tick().run_requests
    with stalled(pipeline, point, request.tags) as old:
        pipeline.let_pass(LONG_S)
        run_until_done(pipeline)
        before = everything(pipeline)
        failed = old.go_on()
    assert list(failed) == [asset]
    assert re.search(told, failed[asset])
    assert everything(pipeline) == before
    assert outcome(pipeline) == undisturbed


def test_a_run_that_hung_until_its_range_was_halved_writes_over_no_baselines_of_the_halves(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = empty_pipeline(kafka, tmp_path / "pipeline", monkeypatch)
    pipeline.send(sent_now([*calm("tia", 1), *calm("rex", 10)]))  # tia is in the first half only
    (request,) = pipeline.tick().run_requests
    with stalled(pipeline, "before the baselines", request.tags) as old:
        pipeline.let_pass(LONG_S)
        for _ in range(2):
            fail_once(pipeline, "after the readings")
        run_until_done(pipeline)
        before = everything(pipeline)
        failed = old.go_on()
    assert re.search(LOST, failed["anomaly_scores"])
    assert everything(pipeline) == before
    done = pipeline.ledger.done_since(pipeline.settings.kafka_topic, 0)
    assert [one.range.text for one in done] == ["0:0-66", "0:66-132"]


def test_a_run_that_hung_until_its_range_was_halved_commits_nothing_ahead_of_the_halves(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Outcome
) -> None:
    pipeline = new_pipeline(kafka, tmp_path / "pipeline", monkeypatch)
    for _ in range(2):
        fail_once(pipeline, "after the readings")
    (request,) = pipeline.tick().run_requests
    with stalled(pipeline, "before the lane is fenced off", request.tags) as old:
        pipeline.let_pass(LONG_S)
        (half,) = pipeline.tick().run_requests
        failed = old.go_on()
    assert "its range was asked for again: it may write nothing" in failed["health_alerts"]
    assert pipeline.committed() == {}
    assert failures(pipeline.run(half.tags)) == {}
    run_until_done(pipeline)
    assert outcome(pipeline) == undisturbed


def fail_once(pipeline: Pipeline, point: str) -> None:
    """An attempt that fails there."""

    def fail() -> None:
        raise OSError("no such luck")

    with disturbed(point, fail):
        assert "no such luck" in str(failures(pipeline.step()))
    pipeline.let_pass(LONG_S)


def test_halves_of_a_range_that_was_committed_but_never_marked_done_come_to_the_same(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Outcome
) -> None:
    pipeline = new_pipeline(kafka, tmp_path / "pipeline", monkeypatch)
    for _ in range(3):
        fail_once(pipeline, "before the ledger says done")
        assert pipeline.committed() == undisturbed.committed
    run_until_done(pipeline)
    assert outcome(pipeline) == undisturbed
    assert len(pipeline.ledger.done_since(pipeline.settings.kafka_topic, 0)) == 2
    assert sum(pipeline.ledger.outcomes.count_alerts().values()) == len(undisturbed.alerts)
