"""A topic with every kind of nonsense in it: every reading is scored, nothing stops the batch."""

import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.readings.schema import RejectReason
from pettwin_pipeline_tests.defs.pipeline import DAGSTERS_OWN, Pipeline, calm, checks, failures
from pettwin_pipeline_tests.integration.outcomes import (
    empty_pipeline,
    run_until_done,
    scores,
    sent_now,
)
from pettwin_pipeline_tests.integration.topics import ANSWER_S

pytestmark = [pytest.mark.integration, DAGSTERS_OWN]

DICE: Final = random.Random(1)
GOOD: Final = {"pet_id": "rex", "timestamp": "2026-03-01T00:00:00Z", "heart_rate": 60}


def changed(**fields: Any) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


def of_year(year: int) -> bytes:
    return changed(timestamp=datetime(year, 1, 1, tzinfo=UTC).isoformat())


REJECTS: Final[dict[RejectReason, bytes | None]] = {
    RejectReason.TOMBSTONE: None,
    RejectReason.TOO_LARGE: DICE.randbytes(70_000),
    RejectReason.NOT_UTF8: b"\xff\xfe\x00",
    RejectReason.NOT_JSON: b"{broken",
    RejectReason.MISSING_FIELD: b'{"pet_id": "rex", "heart_rate": 60}',
    RejectReason.WRONG_TYPE: changed(heart_rate="fast"),
    RejectReason.NOT_FINITE: b'{"pet_id": "rex", "timestamp": "2026-03-01T00:00:00Z", '
    b'"heart_rate": NaN}',
    RejectReason.OUT_OF_RANGE: changed(heart_rate=9000),
    RejectReason.BAD_TIMESTAMP: changed(timestamp="yesterday"),
    RejectReason.TOO_OLD: of_year(1900),
    RejectReason.TOO_NEW: of_year(2190),
    RejectReason.UNKNOWN_SCHEMA_VERSION: changed(schema_version=99),
}
"""A message for each reason."""
CODECS: Final = ("none", "gzip", "snappy", "lz4", "zstd")


@pytest.fixture
def pipeline(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Topics are there, nothing was sent yet."""
    return empty_pipeline(kafka, tmp_path / "pipeline", monkeypatch)


def send(pipeline: Pipeline, messages: Sequence[Outgoing], codec: str, partition: int = 0) -> None:
    """Put messages into a partition, compressed."""
    more = {"compression.type": codec, "message.max.bytes": 12_000_000}
    producer = pipeline.kafka.producer(**more)
    for one in messages:
        producer.produce(pipeline.settings.kafka_topic, one.value, one.key, partition=partition)
    assert producer.flush(ANSWER_S) == 0


def poisoned() -> Iterator[Outgoing]:
    """Five pets for five minutes, and after every ninth reading one of the rejects, in turn."""
    bad = cycle(REJECTS.values())
    for n, one in enumerate(sent_now([one for pet in "abcde" for one in calm(pet, 5)])):
        yield one
        if n % 9 == 8:
            yield Outgoing(b"bad", next(bad))


def letters(pipeline: Pipeline) -> list[tuple[int, int, str, bytes | None]]:
    """Partition, offset, reason and value of each dead letter, by what its headers say."""
    found = []
    for one in pipeline.messages(pipeline.settings.dead_letter_topic):
        headers = dict(one.headers())
        assert headers["topic"] == pipeline.settings.kafka_topic.encode()
        place = int(headers["partition"]), int(headers["offset"])
        found.append((*place, headers["reason"].decode(), one.value()))
    return sorted(found, key=lambda letter: letter[:2])


def test_of_a_topic_with_a_tenth_of_nonsense_every_reading_is_scored_and_every_reject_kept(
    pipeline: Pipeline,
) -> None:
    messages = list(poisoned())
    size = len(messages) // len(CODECS)
    for n, codec in enumerate(CODECS):
        end = None if codec == CODECS[-1] else (n + 1) * size
        send(pipeline, messages[n * size : end], codec)
    result = pipeline.step()
    assert failures(result) == {}
    assert checks(result)["dead_letter_share_is_small"] is False
    bad = [(0, n, one.value) for n, one in enumerate(messages) if one.key == b"bad"]
    assert len(bad) == 33
    assert [(p, offset, value) for p, offset, _, value in letters(pipeline)] == bad
    reasons = {value: reason.value for reason, value in REJECTS.items()}
    assert [reason for _, _, reason, _ in letters(pipeline)] == [reasons[v] for *_, v in bad]
    good = [n for n, one in enumerate(messages) if one.key != b"bad"]
    assert scores(pipeline)["offset"].to_list() == good
    assert pipeline.committed() == {0: len(messages)}


def let_in(pipeline: Pipeline, topic: str, most_bytes: int) -> None:
    """Change the largest message that a topic takes."""
    size = ConfigEntry(
        "max.message.bytes", str(most_bytes), incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[size])
    admin = pipeline.kafka.connection.admin
    admin.incremental_alter_configs([resource])[resource].result(ANSWER_S)


def test_messages_as_large_as_the_broker_takes_stop_nothing_and_their_beginnings_are_kept(
    pipeline: Pipeline,
) -> None:
    let_in(pipeline, pipeline.settings.kafka_topic, 11_000_000)
    large = [DICE.randbytes(size) for size in (1_048_400, 8_000_000, 9_900_000)]
    for value in large:
        send(pipeline, [Outgoing(b"bad", value), *sent_now(calm("rex", 1))], "none")
    run_until_done(pipeline)
    assert [one[3] for one in letters(pipeline)] == [value[:65536] for value in large]
    told = [dict(one.headers())["bytes"] for one in messages_of(pipeline)]
    assert sorted(map(int, told)) == [len(value) for value in large]
    assert len(scores(pipeline)) == 36
    assert pipeline.committed() == {0: 39}


def messages_of(pipeline: Pipeline) -> list[ck.Message]:
    return pipeline.messages(pipeline.settings.dead_letter_topic)


def test_where_the_topic_of_dead_letters_takes_them_large_messages_are_kept_whole(
    pipeline: Pipeline,
) -> None:
    for topic in (pipeline.settings.kafka_topic, pipeline.settings.dead_letter_topic):
        let_in(pipeline, topic, 8_388_608)
    large = [DICE.randbytes(size) for size in (1_048_400, 8_000_000)]
    send(pipeline, [Outgoing(b"bad", value) for value in large], "none")
    run_until_done(pipeline)
    assert [one[3] for one in letters(pipeline)] == large
