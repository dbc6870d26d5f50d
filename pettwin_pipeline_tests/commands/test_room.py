"""The room of the embedded broker: what is sent there is read before it is dropped, or said."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import confluent_kafka as ck
import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.commands.sending import PIECE_BYTES, Sender, _pieces
from pettwin_pipeline.stack.embedded_broker import KEPT_BYTES, PARTITIONS
from pettwin_pipeline_tests.commands.place import Place, noise
from pettwin_pipeline_tests.stack.programs import wait_for

MIB = 1024 * 1024


@contextmanager
def somebody_reads(place: Place) -> Iterator[set[bytes]]:
    """Reads and commits as the pipeline does; gives what it has read."""
    read: set[bytes] = set()
    enough = threading.Event()

    def look() -> None:
        config = {"bootstrap.servers": place.broker.address, "enable.auto.commit": False}
        group = {"group.id": place.settings.kafka_consumer_group, "log_level": 0}
        reader = ck.Consumer(config | group)
        topic = place.settings.kafka_topic
        reader.assign([ck.TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
        while not enough.is_set():
            batch = [one for one in reader.consume(1000, 0.1) if one.error() is None]
            read.update(one.value() or b"" for one in batch)
            if batch:
                reader.commit(asynchronous=False)
        reader.close()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield read
    finally:
        enough.set()
        thread.join()


@pytest.mark.parametrize("bytes_each", [60, 1000])
def test_with_a_reader_nothing_is_dropped_however_much_is_sent_at_once(
    place: Place, bytes_each: int
) -> None:
    topic = place.settings.kafka_topic
    messages = noise(bytes_each, 2 * KEPT_BYTES if bytes_each > 100 else KEPT_BYTES)
    said: list[str] = []
    with Kafka(place.settings) as kafka, somebody_reads(place) as read:
        with Sender(place.settings, kafka, (topic,), say=said.append) as sender:
            sender.send(topic, messages)
        assert sender.acked == len(messages)
        wait_for(lambda: len(read) == len(messages))
    assert read == {one.value for one in messages}
    assert said == []


def test_where_nobody_reads_the_sender_says_so_once_and_goes_on(place: Place) -> None:
    topic = place.settings.kafka_topic
    messages = noise(10_000, 7 * MIB)
    said: list[str] = []
    idle: list[None] = []
    with Kafka(place.settings) as kafka:
        with Sender(
            *(place.settings, kafka, (topic,)),
            say=said.append,
            idle=lambda: idle.append(None),
            patience_s=0.3,
        ) as sender:
            sender.send(topic, messages)
        kept = kafka.watermarks(topic)
    assert len(said) == 1
    assert said[0].startswith(f"nobody reads {topic} (")
    assert "the embedded broker will drop the oldest" in said[0]
    assert idle, "others are looked after meanwhile"
    assert sender.acked == len(messages)
    assert max(marks.low for marks in kept.values()) > 0, "it did, and the watermark tells"


class SaidError(Exception):
    """A line for people, at the moment at which it is said."""


def test_nothing_is_dropped_before_the_sender_says_that_nobody_reads(place: Place) -> None:
    topic = place.settings.kafka_topic

    def say(line: str) -> None:
        raise SaidError(line)

    def send_one_by_one(kafka: Kafka) -> None:
        with Sender(place.settings, kafka, (topic,), say=say, patience_s=0.3) as sender:
            for one in noise(2000, 7 * MIB):
                sender.send(topic, [one])

    with Kafka(place.settings) as kafka:
        with pytest.raises(SaidError, match="nobody reads"):
            send_one_by_one(kafka)
        assert [marks.low for marks in kafka.watermarks(topic).values()] == [0] * PARTITIONS


def test_messages_are_cut_into_pieces_in_their_order() -> None:
    messages = [
        *noise(100_000, 12 * 100_000),
        *noise(2 * PIECE_BYTES, 2 * PIECE_BYTES),
        Outgoing(None, None),
    ]
    pieces = list(_pieces(messages))
    assert [one for piece in pieces for one in piece] == messages
    assert [len(piece) for piece in pieces] == [5, 5, 2, 1, 1]
    assert list(_pieces([])) == []
