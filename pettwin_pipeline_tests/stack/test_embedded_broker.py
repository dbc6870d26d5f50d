"""What the embedded broker can and cannot do: each limit that the rest of the pipeline relies on.

A test that fails here with a newer librdkafka says that a limit has changed: look at who relies
on it.
"""

import uuid
from collections.abc import Iterable
from typing import Any

import confluent_kafka as ck
import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from pettwin_pipeline.stack.embedded_broker import (
    KEPT_BYTES,
    KEPT_MESSAGE_SETS,
    NO_OFFSET,
    PARTITIONS,
    EmbeddedBroker,
)

SHORT_S = 0.5
ANSWER_S = 5.0
HEADER_BYTES = 61
"""Of a message set (record batch, format 2): KIP-98."""


def config(broker: EmbeddedBroker, **extra: Any) -> dict[str, Any]:
    return {"bootstrap.servers": broker.address, "log_level": 0} | extra


def admin(broker: EmbeddedBroker, **extra: Any) -> AdminClient:
    return AdminClient(config(broker, **extra))


def consumer(broker: EmbeddedBroker, group: str = "group", **extra: Any) -> ck.Consumer:
    fixed = {"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "error"}
    return ck.Consumer(config(broker, **fixed, **extra))


def produce(broker: EmbeddedBroker, topic: str, values: Iterable[bytes], **extra: Any) -> None:
    producer = ck.Producer(config(broker, **extra))
    for value in values:
        while True:
            try:
                producer.produce(topic, value, partition=0)
                break
            except BufferError:
                producer.poll(0.05)
        producer.poll(0)
    assert producer.flush(20) == 0


def watermarks(broker: EmbeddedBroker, topic: str, partition: int = 0) -> tuple[int, int]:
    place = ck.TopicPartition(topic, partition)
    low, high = consumer(broker).get_watermark_offsets(place, timeout=ANSWER_S)
    return int(low), int(high)


def offset_of(
    client: AdminClient, topic: str, spec: OffsetSpec, isolation: ck.IsolationLevel
) -> int:
    (future,) = client.list_offsets(
        {ck.TopicPartition(topic, 0): spec}, isolation_level=isolation, request_timeout=ANSWER_S
    ).values()
    return int(future.result().offset)


def transactional(broker: EmbeddedBroker, name: str) -> ck.Producer:
    producer = ck.Producer(config(broker, **{"transactional.id": name}))
    producer.init_transactions(ANSWER_S)
    return producer


def test_it_listens_on_loopback_only(embedded_broker: EmbeddedBroker) -> None:
    host, port = embedded_broker.address.split(":")
    assert host == "127.0.0.1"
    listening = {
        one.laddr.ip
        for one in psutil.Process().net_connections(kind="tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.port == int(port)
    }
    assert listening == {"127.0.0.1"}


def test_topics_are_there_from_the_start_with_four_partitions() -> None:
    with EmbeddedBroker(["readings", "alerts"]) as broker:
        topics = admin(broker).list_topics(timeout=ANSWER_S).topics
        assert {name: len(topic.partitions) for name, topic in topics.items()} == {
            "readings": PARTITIONS,
            "alerts": PARTITIONS,
        }


def test_each_start_draws_a_new_epoch_and_begins_at_offset_0() -> None:
    dice = iter([uuid.UUID(int=1), uuid.UUID(int=2)])
    epochs = []
    for _ in range(2):
        with EmbeddedBroker(["t"], dice=lambda: next(dice)) as broker:
            epochs.append(broker.broker().epoch)
            assert watermarks(broker, "t") == (0, 0)
            produce(broker, "t", [b"x"])
    assert epochs == [f"{1:032x}", f"{2:032x}"]
    with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.epoch != other.epoch


def test_nobody_answers_after_its_end() -> None:
    with EmbeddedBroker(["t"]) as broker:
        client = admin(broker)
        client.list_topics(timeout=ANSWER_S)
        assert broker.broker().kind == "embedded"
    with pytest.raises(ck.KafkaException):
        client.list_topics(timeout=SHORT_S)
    assert broker.address == ""


def test_key_headers_and_timestamp_of_a_message_are_kept(embedded_broker: EmbeddedBroker) -> None:
    producer = ck.Producer(config(embedded_broker))
    producer.list_topics("t", timeout=ANSWER_S)
    producer.produce("t", b"v", b"k", partition=2, timestamp=1234, headers=[("h", b"1")])
    assert producer.flush(ANSWER_S) == 0
    reader = consumer(embedded_broker)
    reader.assign([ck.TopicPartition("t", 2, 0)])
    (message,) = reader.consume(1, ANSWER_S)
    kept = (message.key(), message.value(), message.headers(), message.timestamp()[1])
    assert kept == (b"k", b"v", [("h", b"1")], 1234)
    reader.close()


def test_the_oldest_messages_are_dropped_beyond_five_mebibytes_and_the_low_watermark_says_so(
    embedded_broker: EmbeddedBroker,
) -> None:
    admin(embedded_broker).list_topics("t", timeout=ANSWER_S)
    produce(embedded_broker, "t", (b"x" * 1024 for _ in range(7000)))
    low, high = watermarks(embedded_broker, "t")
    assert high == 7000
    assert 0 < low < high
    assert (high - low) * 1024 <= KEPT_BYTES
    client = admin(embedded_broker)
    committed = ck.IsolationLevel.READ_COMMITTED
    assert offset_of(client, "t", OffsetSpec.earliest(), committed) == low
    assert offset_of(client, "t", OffsetSpec.latest(), committed) == high
    assert watermarks(embedded_broker, "t", 1) == (0, 0)


def test_a_read_below_the_low_watermark_is_an_error(embedded_broker: EmbeddedBroker) -> None:
    admin(embedded_broker).list_topics("t", timeout=ANSWER_S)
    produce(embedded_broker, "t", (b"x" * 1024 for _ in range(7000)))
    reader = consumer(embedded_broker)
    reader.assign([ck.TopicPartition("t", 0, 0)])
    (message,) = reader.consume(1, ANSWER_S)
    assert message.error().code() == ck.KafkaError._AUTO_OFFSET_RESET
    reader.close()


def test_bytes_are_counted_as_they_are_stored_so_compression_keeps_more(
    embedded_broker: EmbeddedBroker,
) -> None:
    admin(embedded_broker).list_topics("t", timeout=ANSWER_S)
    values = (f'{{"pet_id": "pet-{n % 50}", "heart_rate": 80.0}}'.encode() for n in range(150_000))
    produce(embedded_broker, "t", values, **{"compression.type": "zstd", "linger.ms": 50})
    assert watermarks(embedded_broker, "t") == (0, 150_000)


def test_headers_of_message_sets_count_so_the_limit_of_sets_is_never_met() -> None:
    assert KEPT_MESSAGE_SETS * HEADER_BYTES > KEPT_BYTES


def test_asking_for_an_unknown_topic_makes_it_unless_the_client_forbids_that(
    embedded_broker: EmbeddedBroker,
) -> None:
    careful = admin(embedded_broker, **{"allow.auto.create.topics": False})
    answer = careful.list_topics("ghost", timeout=ANSWER_S).topics["ghost"]
    assert answer.error.code() == ck.KafkaError.UNKNOWN_TOPIC_OR_PART
    assert admin(embedded_broker).list_topics("ghost", timeout=ANSWER_S).topics["ghost"].partitions
    assert "ghost" in careful.list_topics(timeout=ANSWER_S).topics


def test_topics_cannot_be_created_or_described(embedded_broker: EmbeddedBroker) -> None:
    client = admin(embedded_broker)
    asked = [
        *client.create_topics([NewTopic("t", 8, 1)], request_timeout=SHORT_S).values(),
        *client.describe_topics(ck.TopicCollection(["t"]), request_timeout=SHORT_S).values(),
    ]
    for future in asked:
        with pytest.raises(ck.KafkaException) as caught:
            future.result()
        assert caught.value.args[0].code() == ck.KafkaError._TIMED_OUT


def test_groups_cannot_be_listed(embedded_broker: EmbeddedBroker) -> None:
    client = admin(embedded_broker)
    found = client.list_consumer_groups(request_timeout=ANSWER_S).result()
    assert found.valid == []
    assert [error.code() for error in found.errors] == [ck.KafkaError._UNSUPPORTED_FEATURE]


def test_no_offset_is_found_by_time(embedded_broker: EmbeddedBroker) -> None:
    client = admin(embedded_broker)
    client.list_topics("t", timeout=ANSWER_S)
    produce(embedded_broker, "t", [b"x"])
    uncommitted = ck.IsolationLevel.READ_UNCOMMITTED
    assert offset_of(client, "t", OffsetSpec.for_timestamp(0), uncommitted) == NO_OFFSET
    place = ck.TopicPartition("t", 0, 1)
    (found,) = consumer(embedded_broker).offsets_for_times([place], timeout=ANSWER_S)
    assert found.offset == NO_OFFSET


def test_offsets_that_a_consumer_commits_are_kept(embedded_broker: EmbeddedBroker) -> None:
    admin(embedded_broker).list_topics("t", timeout=ANSWER_S)
    consumer(embedded_broker).commit(offsets=[ck.TopicPartition("t", 0, 7)], asynchronous=False)
    asked = [ck.TopicPartition("t", 0), ck.TopicPartition("t", 1)]
    answer = consumer(embedded_broker).committed(asked, timeout=ANSWER_S)
    assert [place.offset for place in answer] == [7, ck.OFFSET_INVALID]
    client = admin(embedded_broker)
    wanted = ck.ConsumerGroupTopicPartitions("group", [ck.TopicPartition("t", 0)])
    (future,) = client.list_consumer_group_offsets([wanted], request_timeout=ANSWER_S).values()
    assert [place.offset for place in future.result().topic_partitions] == [7]


def test_offsets_of_a_transaction_are_taken_and_forgotten(embedded_broker: EmbeddedBroker) -> None:
    admin(embedded_broker).list_topics("t", timeout=ANSWER_S)
    reader = consumer(embedded_broker)
    reader.commit(offsets=[ck.TopicPartition("t", 0, 7)], asynchronous=False)
    producer = transactional(embedded_broker, "lane-0")
    producer.begin_transaction()
    producer.send_offsets_to_transaction(
        [ck.TopicPartition("t", 0, 9)], reader.consumer_group_metadata(), ANSWER_S
    )
    producer.commit_transaction(ANSWER_S)
    (answer,) = reader.committed([ck.TopicPartition("t", 0)], timeout=ANSWER_S)
    assert answer.offset == 7


def test_a_read_committed_reader_gets_what_was_aborted(embedded_broker: EmbeddedBroker) -> None:
    admin(embedded_broker).list_topics("t", timeout=ANSWER_S)
    producer = transactional(embedded_broker, "lane-0")
    producer.begin_transaction()
    producer.produce("t", b"aborted", partition=0)
    assert producer.flush(ANSWER_S) == 0
    committed = ck.IsolationLevel.READ_COMMITTED
    assert offset_of(admin(embedded_broker), "t", OffsetSpec.latest(), committed) == 1
    producer.abort_transaction(ANSWER_S)
    reader = consumer(embedded_broker, **{"isolation.level": "read_committed"})
    reader.assign([ck.TopicPartition("t", 0, 0)])
    (message,) = reader.consume(1, ANSWER_S)
    assert message.value() == b"aborted"
    reader.close()


def test_a_second_producer_with_the_same_transactional_id_does_not_fence_the_first(
    embedded_broker: EmbeddedBroker,
) -> None:
    admin(embedded_broker).list_topics("t", timeout=ANSWER_S)
    first = transactional(embedded_broker, "lane-0")
    first.begin_transaction()
    transactional(embedded_broker, "lane-0")
    first.produce("t", b"late", partition=0)
    first.commit_transaction(ANSWER_S)
    assert watermarks(embedded_broker, "t")[1] >= 1
