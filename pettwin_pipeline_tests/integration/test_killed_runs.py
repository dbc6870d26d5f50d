"""`kill -9` of a run at every step of its way, on a real Kafka: nothing lost, nothing twice."""

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.batches import PartitionRange
from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    NONSENSE,
    Pipeline,
    calm,
    racing,
)
from pettwin_pipeline_tests.integration.dying_worker import POINTS
from pettwin_pipeline_tests.stack.programs import wait_for

pytestmark = [pytest.mark.integration, DAGSTERS_OWN]

PATIENCE_S = 60
ALERTS = "pet-health-alerts"


class Outcome(NamedTuple):
    """What is to be the same, whoever was killed."""

    scores: bytes
    alerts: list[bytes | None]
    committed: dict[int, int]
    letters: set[bytes | None]
    notified: set[str]


def new_pipeline(kafka: str, folder: Path, patch: pytest.MonkeyPatch) -> Pipeline:
    """Topics, group and folder of its own, and messages with an illness and some nonsense."""
    name = uuid.uuid4().hex
    topics = {
        "KAFKA_TOPIC": f"readings-{name}",
        "KAFKA_ALERTS_TOPIC": f"{ALERTS}-{name}",
        "KAFKA_LABELS_TOPIC": f"labels-{name}",
        "KAFKA_CONSUMER_GROUP": f"group-{name}",
    }
    given = topics | {"KAFKA_BOOTSTRAP_SERVERS": kafka, "PETTWIN_MAX_AGE_H": "1000000"}
    made = Pipeline(folder, None, patch, **given)
    made.send(sent_now([*calm("rex", 15), *NONSENSE, *racing("rex", 10, since_min=15)]))
    made.send(sent_now([*calm("bo", 15), *racing("bo", 10, since_min=15)]), partition=2)
    return made


def sent_now(messages: Sequence[Outgoing]) -> list[Outgoing]:
    """The same with the time of sending: Kafka's retention drops what is stamped months ago."""
    return [replace(one, timestamp_ms=0) for one in messages]


def committed_messages(pipeline: Pipeline, topic: str) -> list[bytes | None]:
    """What an independent reader of committed messages sees, once every transaction has ended."""

    def ends() -> dict[int, int]:
        return {p: one.stable for p, one in pipeline.kafka.watermarks(topic).items()}

    wait_for(lambda: ends() == pipeline.kafka.high_watermarks(topic), PATIENCE_S)
    parts = [PartitionRange(p, 0, end) for p, end in ends().items() if end]
    return pipeline.kafka.read_range(topic, parts).values if parts else []


def outcome(pipeline: Pipeline) -> Outcome:
    done = pipeline.ledger.done_since(pipeline.settings.kafka_topic, 0)
    frames = [pipeline.files.read_frame(one.range, "scores") for one in done]
    scores = pl.concat(frames).sort("partition", "offset")
    return Outcome(
        scores.write_ipc(None).getvalue(),
        committed_messages(pipeline, pipeline.settings.kafka_alerts_topic),
        pipeline.committed(),
        set(committed_messages(pipeline, pipeline.settings.dead_letter_topic)),
        set(notified(pipeline)),
    )


def notified(pipeline: Pipeline) -> list[str]:
    """Ids of the alerts that owners were told of, by the file."""
    path = pipeline.settings.state.root / "notifications.ndjson"
    return [json.loads(line)["notification_id"] for line in path.read_text().splitlines()]


def run_until_done(pipeline: Pipeline) -> None:
    while requests := pipeline.tick().run_requests:
        assert pipeline.run(requests[0].tags).success
    pipeline.tick("unsent_notifications")


@pytest.fixture(scope="module")
def undisturbed(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """What comes of the same messages where nobody is killed."""
    with pytest.MonkeyPatch.context() as patch:
        pipeline = new_pipeline(kafka, tmp_path_factory.mktemp("undisturbed"), patch)
        run_until_done(pipeline)
        yield outcome(pipeline)


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
    pipeline.let_pass(301)  # its lease, and the time in which a run has to begin
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
        pipeline.let_pass(301)
    run_until_done(pipeline)
    assert outcome(pipeline) == undisturbed
