"""A pipeline on a real Kafka with an illness in it, and what is to come of it, whatever happens."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl
import pytest

from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.batches import PartitionRange
from pettwin_pipeline_tests.defs.pipeline import NONSENSE, Pipeline, calm, failures, racing
from pettwin_pipeline_tests.stack.programs import wait_for

PATIENCE_S: Final = 60
LONG_S: Final = 301
"""Longer than a lease, a back-off, and the time in which a run has to begin."""


class Outcome(NamedTuple):
    """What is to be the same, whatever happened."""

    scores: bytes
    alerts: list[bytes | None]
    committed: dict[int, int]
    letters: set[bytes | None]
    notified: set[str]


def empty_pipeline(
    kafka: str, folder: Path, patch: pytest.MonkeyPatch, partitions: int = 4, **given: str
) -> Pipeline:
    """Topics, group and folder of its own, nothing in them."""
    name = uuid.uuid4().hex
    topics = {
        "KAFKA_TOPIC": f"readings-{name}",
        "KAFKA_ALERTS_TOPIC": f"pet-health-alerts-{name}",
        "KAFKA_LABELS_TOPIC": f"labels-{name}",
        "KAFKA_CONSUMER_GROUP": f"group-{name}",
    }
    ours = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "PETTWIN_MAX_AGE_H": "1000000"}
    return Pipeline(folder, None, patch, partitions, **topics | ours | given)


def new_pipeline(kafka: str, folder: Path, patch: pytest.MonkeyPatch, **given: str) -> Pipeline:
    """Topics, group and folder of its own, and messages with an illness and some nonsense."""
    made = empty_pipeline(kafka, folder, patch, 4, **given)
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


def scores(pipeline: Pipeline) -> pl.DataFrame:
    """Of all batches that are done, by partition and offset."""
    done = pipeline.ledger.done_since(pipeline.settings.kafka_topic, 0)
    frames = [pipeline.files.read_frame(one.range, "scores") for one in done]
    return pl.concat(frames).sort("partition", "offset")


def outcome(pipeline: Pipeline) -> Outcome:
    """What came of it, by the files, the topics and the offsets."""
    return Outcome(
        scores(pipeline).write_ipc(None).getvalue(),
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
    """Run until nothing is left to do."""
    while requests := pipeline.tick().run_requests:
        for request in requests:
            assert failures(pipeline.run(request.tags)) == {}
    pipeline.tick("unsent_notifications")
