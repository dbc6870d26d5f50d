"""Our lag is Kafka's own."""

import confluent_kafka as ck
import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline_tests.integration.kafka_tools import lag_by_kafka
from pettwin_pipeline_tests.integration.topics import ANSWER_S, Transactions, made, put

pytestmark = pytest.mark.integration


def test_lag_is_what_kafkas_own_command_tells(kafka: str, client: Kafka) -> None:
    topic = made(client, 5)
    transaction = Transactions(client, topic)  # in partition 0
    for partition in range(5):
        put(client, topic, [b"x"] * (10 + partition), partition)
    transaction.begin(b"open", b"open", b"open")
    places = [ck.TopicPartition(topic, p, 6) for p in (1, 4)]
    for future in client.connection.admin.delete_records(places).values():
        future.result(ANSWER_S)
    client.commit(topic, {0: 4, 1: 2, 2: 12})  # of 1 the broker dropped more than was read
    told = lag_by_kafka(kafka, client.connection.group)
    ours = client.lag(topic)
    assert {p: ours[p] for p in told} == told == {0: 9, 1: 9, 2: 0}
    unread = {p: lag for p, lag in ours.items() if p not in told}
    assert unread == {3: 13, 4: 8}, "without a commit: everything that the broker still has"
    transaction.commit()
