"""Offsets without messages, messages that do not count, and messages that were there: each exactly.

Retention, transactions of others, markers and compaction, through whole runs on a real Kafka.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.batches import PartitionRange
from pettwin_pipeline_tests.defs.pipeline import DAGSTERS_OWN, Pipeline, calm, failures, racing
from pettwin_pipeline_tests.integration.brokers import OwnBroker
from pettwin_pipeline_tests.integration.outcomes import (
    LONG_S,
    Outcome,
    committed_messages,
    empty_pipeline,
    run_until_done,
    scores,
    sent_now,
)
from pettwin_pipeline_tests.integration.topics import ANSWER_S, Transactions
from pettwin_pipeline_tests.stack.programs import wait_for

pytestmark = [pytest.mark.integration, DAGSTERS_OWN]


@pytest.fixture
def pipeline(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Topics are there, nothing was sent yet."""
    return empty_pipeline(kafka, tmp_path / "pipeline", monkeypatch)


def values(messages: Sequence[Outgoing]) -> list[bytes]:
    return [one.value for one in messages if one.value is not None]


def scored(pipeline: Pipeline, partition: int = 0) -> list[int]:
    """Offsets of a partition that were scored, each as often as it was."""
    found = scores(pipeline)
    return found.filter(found["partition"] == partition)["offset"].to_list()


def delete_before(pipeline: Pipeline, offset: int) -> None:
    """What retention does to partition 0."""
    place = ck.TopicPartition(pipeline.settings.kafka_topic, 0, offset)
    pipeline.kafka.connection.admin.delete_records([place])[place].result(ANSWER_S)


def stable_at(pipeline: Pipeline, offset: int) -> None:
    """Wait until the last stable offset of partition 0 is there."""
    topic = pipeline.settings.kafka_topic
    wait_for(lambda: pipeline.kafka.watermarks(topic)[0].stable == offset)


def gaps(pipeline: Pipeline) -> tuple[int, float]:
    """Lost offsets, by the ledger and by the metric."""
    tally = pipeline.ledger.outcomes.tallies()["kafka.offsets.gap"]
    return pipeline.ledger.outcomes.gaps(pipeline.settings.kafka_topic), tally.last_value


# retention


def test_what_retention_removed_before_it_was_planned_is_a_gap_and_the_rest_is_scored(
    pipeline: Pipeline,
) -> None:
    pipeline.send(sent_now(calm("rex", 2)))
    run_until_done(pipeline)
    pipeline.send(sent_now(calm("rex", 3, since_min=2)))
    delete_before(pipeline, 30)
    (request,) = pipeline.tick().run_requests
    assert request.run_key.endswith("/0:30-60/1")
    assert gaps(pipeline) == (6, 6.0)
    assert failures(pipeline.run(request.tags)) == {}
    assert scored(pipeline) == [*range(24), *range(30, 60)]
    assert pipeline.committed() == {0: 60}
    assert pipeline.tick().run_requests == []


def test_what_retention_removed_after_it_was_requested_is_a_gap_and_the_rest_is_scored(
    pipeline: Pipeline,
) -> None:
    pipeline.send(sent_now(calm("rex", 5)))
    pipeline.send(sent_now(calm("bo", 1)), partition=1)
    (request,) = pipeline.tick().run_requests
    delete_before(pipeline, 7)
    told = failures(pipeline.run(request.tags))["telemetry_batch"]
    assert told == "partition 0: offset 0 is not there any more"
    pipeline.let_pass(LONG_S)
    (rest,) = pipeline.tick().run_requests
    assert rest.run_key.endswith("/0:7-60,1:0-12/1")
    assert gaps(pipeline) == (7, 7.0)
    assert failures(pipeline.run(rest.tags)) == {}
    assert (scored(pipeline), scored(pipeline, 1)) == ([*range(7, 60)], [*range(12)])
    assert pipeline.committed() == {0: 60, 1: 12}


# transactions


def test_planning_goes_up_to_a_transaction_that_somebody_left_open_and_behind_it_once_it_ended(
    pipeline: Pipeline,
) -> None:
    readings = sent_now(calm("rex", 5))
    transaction = Transactions(pipeline.kafka, pipeline.settings.kafka_topic)
    pipeline.send(readings[:10])
    transaction.begin(*values(readings[10:20]))
    pipeline.send(readings[20:30])
    (request,) = pipeline.tick().run_requests
    assert request.run_key.endswith("/0:0-10/1")
    assert failures(pipeline.run(request.tags)) == {}
    assert pipeline.tick().skip_message == "lane 0: nothing new"
    transaction.commit()
    stable_at(pipeline, 31)
    run_until_done(pipeline)
    assert scored(pipeline) == list(range(30))
    assert pipeline.committed() == {0: 31}


def test_messages_of_an_aborted_transaction_are_never_scored(pipeline: Pipeline) -> None:
    transaction = Transactions(pipeline.kafka, pipeline.settings.kafka_topic)
    pipeline.send(sent_now(calm("rex", 1)))
    transaction.begin(*values(racing("rex", 5, since_min=1)))
    transaction.abort()
    stable_at(pipeline, 73)  # its marker follows the answer
    pipeline.send(sent_now(calm("rex", 1, since_min=6)))
    stable_at(pipeline, 85)
    run_until_done(pipeline)
    assert scored(pipeline) == [*range(12), *range(73, 85)]
    assert scores(pipeline)["pet_id"].unique().to_list() == ["rex"]
    assert pipeline.committed() == {0: 85}
    assert pipeline.ledger.outcomes.count_alerts() == {}


def test_a_stream_that_is_written_by_transactions_comes_to_the_same_alerts(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, undisturbed: Outcome
) -> None:
    monkeypatch.setenv("PETTWIN_BATCH_MAX_READINGS", "200")  # so that ranges end inside of them
    transaction = Transactions(pipeline.kafka, pipeline.settings.kafka_topic)
    messages = values([*calm("rex", 15), *racing("rex", 10, since_min=15)])
    for at in range(0, len(messages), 30):
        transaction.begin(*messages[at : at + 30])
        transaction.commit()
    pipeline.send(sent_now([*calm("bo", 15), *racing("bo", 10, since_min=15)]), partition=2)
    stable_at(pipeline, 310)
    run_until_done(pipeline)
    assert len(pipeline.ledger.done_since(pipeline.settings.kafka_topic, 0)) == 4
    assert scored(pipeline) == [n for n in range(310) if n % 31 < 30]
    told = committed_messages(pipeline, pipeline.settings.kafka_alerts_topic)
    assert sorted(map(str, told)) == sorted(map(str, undisturbed.alerts))


# compaction


@pytest.fixture
def compacted(frail_broker: OwnBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A topic of readings that keeps only the last message of each key."""
    pipeline = empty_pipeline(frail_broker.address, tmp_path / "pipeline", monkeypatch)
    config = {"cleanup.policy": "compact", "segment.ms": "50", "min.cleanable.dirty.ratio": "0.01"}
    changes = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in config.items()
    ]
    topic = ConfigResource(
        ConfigResource.Type.TOPIC, pipeline.settings.kafka_topic, incremental_configs=changes
    )
    pipeline.kafka.connection.admin.incremental_alter_configs([topic])[topic].result(ANSWER_S)
    return pipeline


def test_holes_of_compaction_are_passed_over_and_what_is_left_is_read_exactly(
    compacted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETTWIN_BATCH_MAX_READINGS", "30")
    keyed = [replace(one, key=b"%d" % (n % 20)) for n, one in enumerate(sent_now(calm("rex", 5)))]
    compacted.send(keyed)
    more = (replace(one, key=b"bo-%d" % n) for n, one in enumerate(sent_now(calm("bo", 60))))

    def is_compacted() -> bool:
        """Whether the early ones are gone: another message closes the segment that they fill."""
        compacted.send([next(more)])
        return left(compacted)[0] == 40

    wait_for(is_compacted)
    run_until_done(compacted)
    assert scored(compacted) == left(compacted)
    done = compacted.ledger.done_since(compacted.settings.kafka_topic, 0)
    assert [one.counts["messages"] for one in done[:2]] == [0, 20]


def left(pipeline: Pipeline) -> list[int]:
    """Offsets that a plain reader finds in partition 0."""
    topic = pipeline.settings.kafka_topic
    end = pipeline.kafka.watermarks(topic)[0].stable
    found = pipeline.kafka.read_range(topic, [PartitionRange(0, 0, end)], ANSWER_S)
    return [int(offset) for offset in found.offsets]
