"""A stage that fails: the lane is free again, the range the same, the result as if nothing were."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pettwin_pipeline.adapters.baseline_files import BaselineFiles
from pettwin_pipeline.detection.screen import DETECTOR_VERSION
from pettwin_pipeline.detection.snapshots import SNAPSHOT_FORMAT
from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker
from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    NONSENSE,
    Pipeline,
    calm,
    failures,
    racing,
)

pytestmark = DAGSTERS_OWN

STAGES = [
    ("readings", "ingest", "telemetry_batch"),
    ("scores", "score", "anomaly_scores"),
    ("verdicts", "explain", "verdicts"),
    ("alerts", "publish", "health_alerts"),
]
"""Folders that cannot be written to, the stage that needs them, and its asset."""


class Result(NamedTuple):
    """What came of the messages."""

    scores: bytes
    alerts: list[bytes]
    committed: dict[int, int]
    totals: dict[str, int]


def send_everything(pipeline: Pipeline) -> None:
    pipeline.send([*calm("rex", 30), *NONSENSE, *racing("rex", 10, since_min=30)])


def result_of(pipeline: Pipeline) -> Result:
    path = pipeline.files.path(pipeline.record().range, "scores", "parquet")
    return Result(
        path.read_bytes(),
        [one.value() for one in pipeline.messages("pet-health-alerts")],
        pipeline.committed(),
        pipeline.ledger.outcomes.totals("pet-health-stream"),
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    """What comes of the same messages where nothing fails."""
    with EmbeddedBroker() as broker, pytest.MonkeyPatch.context() as patch:
        pipeline = Pipeline(tmp_path_factory.mktemp("undisturbed"), broker, patch)
        send_everything(pipeline)
        assert failures(pipeline.step()) == {}
        yield result_of(pipeline)


def block(pipeline: Pipeline, what: str) -> Path:
    """Make a folder of the batches unwritable, also for a superuser: a file is in its place."""
    place = Path(str(pipeline.files.root / what))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.touch()
    return place


@pytest.mark.parametrize(("what", "stage", "asset"), STAGES)
def test_a_failed_stage_frees_the_lane_and_the_same_range_comes_to_the_same_later(
    pipeline: Pipeline, undisturbed: Result, what: str, stage: str, asset: str
) -> None:
    send_everything(pipeline)
    blocked = block(pipeline, what)
    assert list(failures(pipeline.step())) == [asset]
    assert_failed_and_free(pipeline, stage, what)
    pipeline.send(calm("rex", 5, since_min=40))
    assert pipeline.tick().skip_message.startswith("lane 0: attempt 1 failed, again in ")
    pipeline.let_pass(5)
    blocked.unlink()
    (again,) = pipeline.tick().run_requests
    assert again.run_key.endswith("/0:0-484/2")
    assert failures(pipeline.run(again.tags)) == {}
    assert (pipeline.record().status, pipeline.record().attempt) == ("done", 2)
    assert result_of(pipeline) == undisturbed


def assert_failed_and_free(pipeline: Pipeline, stage: str, reason: str) -> None:
    """The ledger names stage and reason, the lane is free, and nothing left the pipeline."""
    record = pipeline.record()
    assert record.status == "failed"
    assert (record.error or "").startswith(f"{stage}: ")
    assert reason in (record.error or "")
    assert pipeline.ledger.leases("pet-health-stream", record.range.epoch) == []
    assert pipeline.messages("pet-health-alerts") == []
    assert pipeline.committed() == {}


def test_dead_letters_of_a_failed_attempt_are_sent_at_least_once(pipeline: Pipeline) -> None:
    send_everything(pipeline)
    blocked = block(pipeline, "scores")
    assert not pipeline.step().success
    blocked.unlink()
    pipeline.let_pass(5)
    assert pipeline.step().success
    letters = pipeline.messages(pipeline.settings.dead_letter_topic)
    assert {one.value() for one in letters} == {one.value for one in NONSENSE}


def test_a_failure_is_counted_by_stage_and_reason(pipeline: Pipeline) -> None:
    send_everything(pipeline)
    block(pipeline, "scores")
    pipeline.step()
    tallies = pipeline.ledger.outcomes.tallies()
    assert tallies["pipeline.errors"].last_value == 1
    assert "kafka.messages.consumed" not in tallies, "points of a range are sent when it is done"


def test_baselines_of_an_unknown_format_fail_the_run_and_say_so_in_one_line(
    pipeline: Pipeline,
) -> None:
    pipeline.send(calm("rex", 1))
    assert pipeline.step().success
    one = pipeline.record().range
    path = BaselineFiles(pipeline.files, one.topic, one.epoch, 0, DETECTOR_VERSION).path(12)
    kept = path.read_bytes()
    pipeline.files.write(path, b'{"format":99,"pet_ids":[]}\n')
    pipeline.send(calm("rex", 1, since_min=1))
    told = f"baselines of format 99; this release knows {SNAPSHOT_FORMAT}"
    assert failures(pipeline.step()) == {"anomaly_scores": told}
    assert pipeline.record().error == f"score: {told}"
    pipeline.files.write(path, kept)
    pipeline.let_pass(5)
    assert pipeline.step().success


def test_a_range_that_fails_again_and_again_waits_longer_and_stays_the_same(
    pipeline: Pipeline,
) -> None:
    send_everything(pipeline)
    block(pipeline, "readings")
    waits = []
    for attempt in (1, 2, 3):
        (request,) = pipeline.tick().run_requests
        assert request.run_key.endswith(f"/0:0-484/{attempt}")
        pipeline.run(request.tags)
        waits.append(round(pipeline.tick_wait()))
        pipeline.let_pass(300)
    assert waits == [5, 10, 20]


def test_a_run_that_lost_its_lane_writes_nothing_more(pipeline: Pipeline) -> None:
    send_everything(pipeline)
    (first,) = pipeline.tick().run_requests
    record = pipeline.record()
    lease = pipeline.ledger.begin(record, 1, "stalled", record.requested_s, 60)
    pipeline.let_pass(61)
    (second,) = pipeline.tick().run_requests
    assert pipeline.run(second.tags).success
    before = result_of(pipeline)
    pipeline.ledger.fail(record, lease, "late", 0)
    assert pipeline.run(first.tags).success, "its range is done: it only compares"
    assert result_of(pipeline) == before
    assert pipeline.record().status == "done"
