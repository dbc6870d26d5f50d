"""A done range once more: it is scored and compared, and nothing comes of it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import dagster as dg
import pytest
import sqlalchemy as sa

from pettwin_pipeline.adapters.baseline_files import BaselineFiles
from pettwin_pipeline.adapters.ledger_records import RangeRecord
from pettwin_pipeline.adapters.ledger_tables import open_engine
from pettwin_pipeline.adapters.ledger_tables import ranges as ranges_table
from pettwin_pipeline.detection.screen import DETECTOR_VERSION
from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker
from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    NONSENSE,
    Pipeline,
    calm,
    checks,
    failures,
    racing,
    repository,
)

pytestmark = DAGSTERS_OWN


class Done(NamedTuple):
    """Three ranges that are done; an illness begins in the second, whose run had these tags."""

    tags: Mapping[str, str]
    record: RangeRecord


@pytest.fixture
def done(pipeline: Pipeline) -> Done:
    pipeline.send(calm("rex", 10))
    assert pipeline.step().success
    pipeline.send([*calm("rex", 5, since_min=10), *NONSENSE, *racing("rex", 5, since_min=15)])
    pipeline.send(calm("bo", 5), partition=2)
    (request,) = pipeline.tick().run_requests
    assert pipeline.run(request.tags).success
    record = pipeline.record()
    pipeline.send(racing("rex", 5, since_min=20))
    assert pipeline.step().success
    return Done(request.tags, record)


def forge(pipeline: Pipeline, record: RangeRecord, **counted: str) -> None:
    """Have the ledger say that a range was scored otherwise."""
    counts = json.dumps(record.counts | counted)
    with open_engine(pipeline.settings.ledger_url).begin() as sql:
        sql.execute(sa.update(ranges_table).filter_by(id=record.id).values(counts=counts))


def told(result: dg.ExecuteInProcessResult) -> str:
    """What the run observed of the range."""
    (observed,) = result.get_asset_observation_events()
    return str(observed.asset_observation_data.asset_observation.metadata["told"].value)


def baselines(pipeline: Pipeline, record: RangeRecord) -> BaselineFiles:
    one = record.range
    return BaselineFiles(pipeline.files, one.topic, one.epoch, 0, DETECTOR_VERSION)


def replay(pipeline: Pipeline, **config: str) -> dg.ExecuteInProcessResult:
    job: dg.JobDefinition = repository().get_job("replay_job")
    return job.execute_in_process(
        instance=pipeline.instance,
        run_config={"ops": {"replayed_ranges": {"config": config}}},
        raise_on_error=False,
    )


def replayed(result: dg.ExecuteInProcessResult) -> list[dict[str, object]]:
    """The rows of the table that the job shows."""
    for event in result.all_events:
        if event.is_successful_output and "replayed" in event.step_output_data.metadata:
            table = event.step_output_data.metadata["replayed"]
            assert isinstance(table, dg.TableMetadataValue)
            return [dict(row.data) for row in table.records]
    return []


def everything(pipeline: Pipeline) -> tuple[object, ...]:
    """All that a run could change: files, ledger, topics, offsets."""
    settings = pipeline.settings
    files = sorted(
        (str(path), path.read_bytes()) for path in settings.state.data.rglob("*") if path.is_file()
    )
    ledger = pipeline.ledger
    outcomes = ledger.outcomes
    topics = {topic: len(pipeline.messages(topic)) for topic in settings.topics}
    done = ledger.recent(settings.kafka_topic, 99)
    tallies = outcomes.tallies()
    return files, done, outcomes.alerts(99), outcomes.totals(settings.kafka_topic), topics, tallies


def test_a_run_that_is_executed_again_compares_and_changes_nothing(
    pipeline: Pipeline, done: Done
) -> None:
    before = everything(pipeline)
    result = pipeline.run(done.tags)
    assert failures(result) == {}
    skipped = {event.step_key for event in result.all_events if event.is_step_skipped}
    later = {"anomaly_scores", "verdicts", "health_alerts", "notifications", "pipeline_metrics"}
    assert skipped == later
    assert result.get_asset_materialization_events() == []
    same = "0:120-244,2:0-60: 180 readings from the broker, every score is the same"
    assert told(result) == same
    assert everything(pipeline) == before


def test_the_checks_of_a_replay_are_about_what_it_read(pipeline: Pipeline, done: Done) -> None:
    assert checks(pipeline.run(done.tags)) == {
        "every_message_became_a_reading_or_a_reject": True,
        "dead_letter_share_is_small": True,
    }


def test_scores_that_are_not_those_of_then_fail_the_replay(pipeline: Pipeline, done: Done) -> None:
    scores = pipeline.files.read_frame(done.record.range, "scores")
    changed = scores.with_columns(score=scores["score"] + (scores["offset"] == 240).cast(int))
    pipeline.files.write_frame(done.record.range, "scores", changed)
    forge(pipeline, done.record, scores_digest="0" * 32)
    failed = failures(pipeline.run(done.tags))["telemetry_batch"]
    assert "1 of 180 scores differ, the first at offset 240" in failed
    assert (
        "1 of 1 ranges are not what they were"
        in failures(replay(pipeline, offsets=done.record.range.text))["replayed_ranges"]
    )


def test_another_detector_may_find_otherwise(pipeline: Pipeline, done: Done) -> None:
    scores = pipeline.files.read_frame(done.record.range, "scores")
    changed = scores.with_columns(score=scores["score"] + 1)
    pipeline.files.write_frame(done.record.range, "scores", changed)
    forge(pipeline, done.record, scores_digest="0" * 32, detector="0")
    result = pipeline.run(done.tags)
    assert failures(result) == {}
    assert f"detector {DETECTOR_VERSION} now, 0 then, 180 of 180 scores differ" in told(result)


def test_a_replay_goes_on_from_the_nearest_baselines_that_are_kept(
    pipeline: Pipeline, done: Done
) -> None:
    """Housekeeping keeps one of an hour; the readings in between are scored on the way."""
    kept = baselines(pipeline, done.record)
    for offset in (120, 244):
        kept.path(offset).unlink()
    assert failures(pipeline.run(done.tags)) == {}
    assert failures(replay(pipeline, since="2026-01-01")) == {}


def test_readings_that_the_broker_dropped_come_from_the_data_folder(
    pipeline: Pipeline, done: Done, later_broker: EmbeddedBroker
) -> None:
    pipeline.connect(later_broker)
    result = pipeline.run(done.tags)
    assert failures(result) == {}
    same = "0:120-244,2:0-60: 180 readings from the data folder, every score is the same"
    assert told(result) == same


def test_readings_that_nobody_keeps_are_told(
    pipeline: Pipeline, done: Done, later_broker: EmbeddedBroker
) -> None:
    pipeline.files.path(done.record.range, "readings", "parquet").unlink()
    pipeline.connect(later_broker)
    failed = failures(pipeline.run(done.tags))["telemetry_batch"]
    assert "neither the broker nor the data folder keeps its readings" in failed


def test_the_job_takes_one_range(pipeline: Pipeline, done: Done) -> None:
    before = everything(pipeline)
    (row,) = replayed(replay(pipeline, offsets=done.record.range.text))
    assert row == {
        "range": "0:120-244,2:0-60",
        "readings": 180,
        "from": "broker",
        "same": True,
        "difference": "",
    }
    assert everything(pipeline) == before


def test_the_job_takes_the_ranges_of_a_time(pipeline: Pipeline, done: Done) -> None:
    assert len(replayed(replay(pipeline, since="2026-01-01"))) == 3
    assert done.record.finished_s is not None
    until = datetime.fromtimestamp(done.record.finished_s - 0.001, tz=UTC).isoformat()
    rows = replayed(replay(pipeline, since="2026-01-01T00:00:00Z", until=until))
    assert [row["range"] for row in rows] == ["0:0-120"]


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        ({}, "say which ranges"),
        ({"offsets": "0:5-9"}, "no range of pet-health-stream was done as asked (0:5-9)"),
        ({"since": "yesterday"}, "'yesterday' is no time: write 2026-03-01T12:00:00Z"),
        ({"since": "2099-01-01"}, "was done as asked (2099-01-01)"),
    ],
)
def test_a_replay_of_nothing_says_what_to_write(
    pipeline: Pipeline, config: dict[str, str], missing: str
) -> None:
    assert missing in failures(replay(pipeline, **config))["replayed_ranges"]
