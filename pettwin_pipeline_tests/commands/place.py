"""A folder of the test's own in which commands run, and topics as their readers see them."""

import os
import random
import re
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import confluent_kafka as ck
import numpy as np
import polars as pl
import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.readings.decode import Decoded, decode_batch
from pettwin_pipeline.readings.simulator.labels import Label, parse_label
from pettwin_pipeline.settings import Settings
from pettwin_pipeline.stack.embedded_broker import PARTITIONS, EmbeddedBroker
from pettwin_pipeline.state import Stack

PREFIXES = ("PETTWIN_", "KAFKA_", "DD_", "DATADOG_", "GOOGLE_", "GEMINI_")
ANSWER_S = 5.0


def enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Work in a folder, with nothing of the machine's settings."""
    for name in os.environ:
        if name.startswith(PREFIXES):
            patch.delenv(name)
    patch.chdir(folder)
    patch.setenv("PETTWIN_STATE_DIR", str(folder / "state"))


def plain(text: str) -> str:
    """What a terminal shows, without its colours: some CI systems ask for them."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@dataclass(frozen=True)
class Sent:
    """A message as it lies in a topic."""

    partition: int
    key: bytes | None
    value: bytes | None
    kafka_ms: int


@dataclass(frozen=True)
class Place:
    """The folder, and the embedded broker that a `pettwin up` there would run."""

    folder: Path
    broker: EmbeddedBroker
    settings: Settings

    @classmethod
    def made(cls, folder: Path, broker: EmbeddedBroker, patch: pytest.MonkeyPatch) -> "Place":
        """The folder, entered, with the word of a running stack in it."""
        enter(folder, patch)
        patch.setenv("KAFKA_TIMEOUT_S", "5")
        place = cls(folder, broker, Settings.load())
        stack = Stack(os.getpid(), broker.address, "embedded", broker.epoch)
        place.settings.state.write_stack(stack)
        with Kafka(place.settings) as kafka:
            kafka.create_topics(dict.fromkeys(place.settings.topics, PARTITIONS))
        return place

    def sent(self, topic: str | None = None) -> list[Sent]:
        """Everything that is kept of a topic, of the readings if none is named, by partition."""
        topic = topic or self.settings.kafka_topic
        config = {"bootstrap.servers": self.broker.address, "group.id": "t", "log_level": 0}
        reader = ck.Consumer(config | {"enable.auto.commit": False})
        places = [ck.TopicPartition(topic, p, ck.OFFSET_BEGINNING) for p in range(PARTITIONS)]
        waiting = 0
        for place in places:
            low, high = reader.get_watermark_offsets(place, timeout=ANSWER_S)
            waiting += high - low
        reader.assign(places)
        found: list[Sent] = []
        end_s = time.monotonic() + ANSWER_S
        while len(found) < waiting:
            assert time.monotonic() < end_s, "nothing more came"
            found += [_seen(one) for one in reader.consume(10_000, 0.05)]
        reader.close()
        return sorted(found, key=lambda one: one.partition)

    def readings(self) -> pl.DataFrame:
        """The topic of readings, decoded; nothing else may be there."""
        return readings_of(self.sent())

    def labels(self) -> list[Label]:
        """The topic of labels; nothing else may be there."""
        labels = [parse_label(one.value) for one in self.sent(self.settings.kafka_labels_topic)]
        found = [label for label in labels if isinstance(label, Label)]
        assert len(found) == len(labels)
        return found


def _seen(one: ck.Message) -> Sent:
    return Sent(one.partition(), one.key(), one.value(), one.timestamp()[1])


def decoded(messages: list[Sent]) -> Decoded:
    """What the pipeline makes of messages."""
    return decode_batch(
        [one.value for one in messages],
        [one.key for one in messages],
        np.array([one.partition for one in messages], np.int32),
        np.arange(len(messages), dtype=np.int64),
        np.array([one.kafka_ms for one in messages], np.int64),
    )


def readings_of(messages: list[Sent]) -> pl.DataFrame:
    """The readings that messages are; every one must be."""
    found = decoded(messages)
    assert found.rejects == []
    return found.readings


def noise(bytes_each: int, total_bytes: int, key: bytes = b"rex") -> list[Outgoing]:
    """Messages that cannot be compressed, all for one partition; each knows its number."""
    dice = random.Random(7)
    number = count()
    return [
        Outgoing(key, b"%08d" % next(number) + dice.randbytes(bytes_each - 8))
        for _ in range(total_bytes // bytes_each)
    ]
