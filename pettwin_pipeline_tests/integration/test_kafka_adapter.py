"""The adapter against a real Apache Kafka: what the embedded broker cannot show."""

import uuid
from collections.abc import Callable
from typing import Any

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import OffsetSpec

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.batches import PartitionRange, Watermarks
from pettwin_pipeline.errors import (
    BrokerRefusedError,
    BrokerUnreachableError,
    PettwinError,
    TopicMissingError,
)
from pettwin_pipeline_tests.integration.topics import (
    ANSWER_S,
    Transactions,
    put,
    settings,
    topic_partitions,
    values,
)
from pettwin_pipeline_tests.stack.programs import wait_for

pytestmark = pytest.mark.integration


# topics


def test_topics_are_made_with_their_partitions_or_were_there(client: Kafka) -> None:
    one, other = (f"topic-{uuid.uuid4().hex}" for _ in range(2))
    assert client.create_topics({one: 3}) == {one: "made"}
    wait_for(lambda: topic_partitions(client, one) == [0, 1, 2])
    assert client.create_topics({one: 5, other: 1}) == {one: "was there", other: "made"}
    assert client.partitions(one) == [0, 1, 2]


def test_a_topic_that_somebody_makes_at_the_same_time_was_there(client: Kafka, topic: str) -> None:
    client._metadata = dict  # type: ignore[assignment,method-assign]  # as if seen before it was made
    assert client.create_topics({topic: 2}) == {topic: "was there"}


def test_a_topic_that_the_broker_does_not_make_is_refused_with_its_reason(client: Kafka) -> None:
    with pytest.raises(BrokerRefusedError, match=r"refuses: .*replicat"):
        client.create_topics({f"topic-{uuid.uuid4().hex}": 1}, replication=3)


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.partitions("nobody-made-this"),
        lambda client: client.watermarks("nobody-made-this"),
        lambda client: client.lag("nobody-made-this"),
        lambda client: client.topic_epoch("nobody-made-this"),
        lambda client: client.commit("nobody-made-this", {0: 1}),
    ],
    ids=["partitions", "watermarks", "lag", "epoch", "commit"],
)
def test_a_topic_that_nobody_made_is_missing_and_the_error_says_how_to_make_it(
    client: Kafka, ask: Callable[[Kafka], Any]
) -> None:
    with pytest.raises(TopicMissingError, match="`pettwin topics create`"):
        ask(client)


def test_a_topic_made_again_has_another_epoch(client: Kafka, topic: str) -> None:
    before = client.topic_epoch(topic)
    assert client.topic_epoch(topic) == before
    client.connection.admin.delete_topics([topic])[topic].result(ANSWER_S)
    wait_for(lambda: topic_partitions(client, topic) == [])
    client.create_topics({topic: 2})
    wait_for(lambda: topic_partitions(client, topic) == [0, 1])
    assert client.topic_epoch(topic) != before


def test_epochs_can_be_part_of_file_names(client: Kafka) -> None:
    names = [f"topic-{uuid.uuid4().hex}" for _ in range(40)]  # 1 of 32 characters is a / or a +
    client.create_topics(dict.fromkeys(names, 1))
    wait_for(lambda: all(topic_partitions(client, name) for name in names))
    for name in names:
        epoch = client.topic_epoch(name)
        assert len(epoch) == 22
        assert epoch.replace("-", "").replace("_", "").isalnum()


# offsets


def test_an_open_transaction_holds_the_stable_offset_back(client: Kafka, topic: str) -> None:
    put(client, topic, [b"0", b"1"])
    transaction = Transactions(client, topic)
    transaction.begin(b"2", b"3")
    put(client, topic, [b"4"])
    assert client.watermarks(topic) == {0: Watermarks(0, 2), 1: Watermarks(0, 0)}
    assert client.high_watermarks(topic) == {0: 5, 1: 0}
    assert client.lag(topic) == {0: 5, 1: 0}
    transaction.commit()
    wait_for(lambda: client.watermarks(topic)[0] == Watermarks(0, 6))


def test_offsets_are_found_by_time_and_the_end_where_there_is_nothing_later(
    client: Kafka, topic: str
) -> None:
    messages = [Outgoing(b"k", b"v", timestamp_ms=1000 * n) for n in range(1, 6)]
    client.publish(topic, messages)
    ends = client.high_watermarks(topic)
    (partition,) = [p for p, end in ends.items() if end]
    found = [client.offsets_at(topic, [partition], ms)[partition] for ms in (1, 3000, 3001, 9000)]
    assert found == [0, 2, 3, 5]
    assert client.offsets_at(topic, [0, 1], 9000) == ends


def test_lag_is_what_the_admin_api_gives(client: Kafka, topic: str) -> None:
    put(client, topic, [b"x"] * 10)
    put(client, topic, [b"x"] * 4, partition=1)
    client.commit(topic, {0: 7})
    asked = {ck.TopicPartition(topic, p): OffsetSpec.latest() for p in (0, 1)}
    ends = {
        place.partition: future.result(ANSWER_S).offset
        for place, future in client.connection.admin.list_offsets(asked).items()
    }
    (future,) = client.connection.admin.list_consumer_group_offsets(
        [ck.ConsumerGroupTopicPartitions(client.connection.group)]
    ).values()
    committed = {one.partition: one.offset for one in future.result(ANSWER_S).topic_partitions}
    assert client.lag(topic) == {p: ends[p] - committed.get(p, 0) for p in (0, 1)}
    assert client.lag(topic) == {0: 3, 1: 4}


def test_reading_commits_nothing(client: Kafka, topic: str) -> None:
    put(client, topic, [b"x"] * 10)
    values(client, topic, 0, 10)
    assert client.committed(topic, [0, 1]) == {}
    client.commit(topic, {0: 3})
    values(client, topic, 0, 10)
    assert client.committed(topic, [0, 1]) == {0: 3}


def test_a_commit_beside_another_reader_of_the_group_is_refused_and_says_why(
    client: Kafka, topic: str
) -> None:
    intruder = ck.Consumer(client.connection.config | {"group.id": client.connection.group})
    intruder.subscribe([topic])
    wait_for(lambda: intruder.poll(0.1) or intruder.assignment())
    with pytest.raises(BrokerRefusedError, match="KAFKA_CONSUMER_GROUP"):
        client.commit(topic, {0: 1})
    intruder.close()
    client.commit(topic, {0: 1})
    assert client.committed(topic, [0]) == {0: 1}


# refusals


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL", "SSL"])
def test_a_protocol_that_the_broker_does_not_speak_is_an_error_in_one_line(
    kafka: str, protocol: str
) -> None:
    sasl = {"KAFKA_SASL_USERNAME": "key", "KAFKA_SASL_PASSWORD": "s3cret"}
    given = {"KAFKA_SECURITY_PROTOCOL": protocol} | (sasl if "SASL" in protocol else {})
    with (
        Kafka(settings(kafka, KAFKA_TIMEOUT_S="2", **given)) as client,
        pytest.raises(PettwinError, match=r"handshake|HANDSHAKE") as caught,
    ):
        client.partitions("t")
    kind = BrokerRefusedError if protocol == "SASL_PLAINTEXT" else BrokerUnreachableError
    assert isinstance(caught.value, kind)
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_who_is_refused_is_told_so_when_reading_and_sending_too(kafka: str) -> None:
    sasl = {"KAFKA_SASL_USERNAME": "key", "KAFKA_SASL_PASSWORD": "s3cret"}
    given = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_TIMEOUT_S": "0.5"} | sasl
    with Kafka(settings(kafka, **given)) as client:
        with pytest.raises(BrokerRefusedError, match="KAFKA_SASL_USERNAME"):
            client.read_range("t", [PartitionRange(0, 0, 1)], patience_s=0.5)
        with pytest.raises(BrokerRefusedError, match="KAFKA_SASL_USERNAME"):
            client.publish("t", [Outgoing(b"k", b"v")])
        with pytest.raises(BrokerRefusedError, match="KAFKA_SASL_USERNAME"):
            client.commit("t", {0: 1})
