"""Topics of a real Kafka, and what is put into them."""

import uuid
from collections.abc import Sequence

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.batches import PartitionRange
from pettwin_pipeline.errors import TopicMissingError
from pettwin_pipeline.settings import Settings
from pettwin_pipeline_tests.stack.programs import wait_for

ANSWER_S = 20.0


def settings(kafka: str, **more: str) -> Settings:
    given = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "KAFKA_TIMEOUT_S": "20"}
    return Settings.load(given | {"KAFKA_CONSUMER_GROUP": f"group-{uuid.uuid4().hex}"} | more)


def made(client: Kafka, partitions: int) -> str:
    """A new topic."""
    name = f"topic-{uuid.uuid4().hex}"
    client.create_topics({name: partitions})
    wait_for(lambda: len(topic_partitions(client, name)) == partitions)
    return name


def topic_partitions(client: Kafka, name: str) -> list[int]:
    """Its partitions; none where it is not there."""
    try:
        return client.partitions(name)
    except TopicMissingError:
        return []


def put(client: Kafka, topic: str, values: Sequence[bytes], partition: int = 0) -> None:
    producer = client.producer()
    for value in values:
        producer.produce(topic, value, b"k", partition=partition)
    assert producer.flush(ANSWER_S) == 0


class Transactions:
    """A transactional producer that writes to partition 0 of a topic."""

    def __init__(self, client: Kafka, topic: str) -> None:
        self._topic = topic
        self._producer = client.producer(**{"transactional.id": f"id-{uuid.uuid4().hex}"})
        self._producer.init_transactions(ANSWER_S)

    def begin(self, *values: bytes) -> None:
        """Begin one, and have the broker take these messages."""
        self._producer.begin_transaction()
        for value in values:
            self._producer.produce(self._topic, value, partition=0)
        assert self._producer.flush(ANSWER_S) == 0

    def commit(self) -> None:
        """What was sent since `begin` counts."""
        self._producer.commit_transaction(ANSWER_S)

    def abort(self) -> None:
        """It does not."""
        self._producer.abort_transaction(ANSWER_S)


def values(client: Kafka, topic: str, start: int, end: int) -> list[bytes | None]:
    return client.read_range(topic, [PartitionRange(0, start, end)], ANSWER_S).values
