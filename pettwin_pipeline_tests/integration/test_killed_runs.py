"""`kill -9` of a run at every step of its way, on a real Kafka: nothing lost, nothing twice."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pettwin_pipeline_tests.defs.pipeline import DAGSTERS_OWN, Pipeline
from pettwin_pipeline_tests.integration.dying_worker import POINTS
from pettwin_pipeline_tests.integration.outcomes import (
    LONG_S,
    PATIENCE_S,
    Outcome,
    new_pipeline,
    notified,
    outcome,
    run_until_done,
)

pytestmark = [pytest.mark.integration, DAGSTERS_OWN]


def run_that_dies(pipeline: Pipeline, point: str, tags: Mapping[str, str]) -> None:
    program = "pettwin_pipeline_tests.integration.dying_worker"
    ended = subprocess.run(
        [sys.executable, "-m", program, point, json.dumps(dict(tags))],
        timeout=PATIENCE_S,
        capture_output=True,
        text=True,
        check=False,
        cwd=pipeline.settings.state.root.parent,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]


def test_the_illness_of_the_undisturbed_run_is_told(undisturbed: Outcome) -> None:
    ids = [json.loads(one)["alert_id"] for one in undisturbed.alerts if one is not None]
    assert len(ids) == len(set(ids)) >= 2
    assert undisturbed.committed == {0: 304, 2: 300}
    assert set() < undisturbed.notified <= set(ids)


@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_is_killed_changes_nothing(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Outcome, point: str
) -> None:
    pipeline = new_pipeline(kafka, tmp_path / "pipeline", monkeypatch)
    (request,) = pipeline.tick().run_requests
    run_that_dies(pipeline, point, request.tags)
    pipeline.let_pass(LONG_S)
    run_until_done(pipeline)
    assert outcome(pipeline) == undisturbed
    records = pipeline.ledger.recent(pipeline.settings.kafka_topic, 9)
    assert {one.status for one in records} == {"done"}
    assert pipeline.ledger.outcomes.totals(pipeline.settings.kafka_topic)["messages"] == 604
    assert sum(pipeline.ledger.outcomes.count_alerts().values()) == len(undisturbed.alerts)
    twice = 1 if point == "after a notification left" else 0
    assert len(notified(pipeline)) == len(undisturbed.notified) + twice


@pytest.mark.parametrize("points", [("in the open transaction", "after the transaction")])
def test_two_runs_that_are_killed_one_after_the_other_change_nothing(
    kafka: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: Outcome,
    points: tuple[str, str],
) -> None:
    pipeline = new_pipeline(kafka, tmp_path / "pipeline", monkeypatch)
    for point in points:
        (request,) = pipeline.tick().run_requests
        run_that_dies(pipeline, point, request.tags)
        pipeline.let_pass(LONG_S)
    run_until_done(pipeline)
    assert outcome(pipeline) == undisturbed
