"""What the adapter says of a broker that does not answer, ends, or cannot be spoken to."""

from collections.abc import Callable

import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.batches import PartitionRange
from pettwin_pipeline.errors import (
    BrokerRefusedError,
    BrokerUnreachableError,
    DeliveryFailedError,
    RangeNotReadError,
)
from pettwin_pipeline.settings import Broker, Settings
from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker

HURRIED = Settings.load({"KAFKA_TIMEOUT_S": "0.3"})
NOBODY = Broker("127.0.0.1:1", "kafka", "", "this test")
"""Nothing listens on port 1."""


@pytest.mark.parametrize(
    "ask",
    [
        lambda kafka: kafka.partitions("t"),
        lambda kafka: kafka.create_topics({"t": 1}),
        lambda kafka: kafka.topic_epoch("t"),
        lambda kafka: kafka.watermarks("t"),
        lambda kafka: kafka.lag("t"),
        lambda kafka: kafka.committed("t", [0]),
        lambda kafka: kafka.commit("t", {0: 1}),
    ],
    ids=["partitions", "create", "epoch", "watermarks", "lag", "committed", "commit"],
)
def test_a_broker_that_does_not_answer_is_named_with_where_its_address_comes_from(
    ask: Callable[[Kafka], object],
) -> None:
    with (
        Kafka(HURRIED, NOBODY) as kafka,
        pytest.raises(
            BrokerUnreachableError, match=r"at 127\.0\.0\.1:1 \(from this test\)"
        ) as told,
    ):
        ask(kafka)
    assert "\n" not in str(told.value)


def test_a_broker_that_ends_ends_no_call_later_than_its_timeout_allows() -> None:
    with EmbeddedBroker(["t"]) as broker:
        kafka = Kafka(HURRIED, broker.broker())
        kafka.commit("t", {0: 1})
    for ask in (
        lambda: kafka.commit("t", {0: 1}),
        lambda: kafka.committed("t", [0]),
        lambda: kafka.partitions("t"),
    ):
        with pytest.raises(BrokerUnreachableError):
            ask()


def test_messages_that_nobody_takes_are_counted_their_cause_is_named_and_none_is_sent_later() -> (
    None
):
    kafka = Kafka(HURRIED, NOBODY)
    with pytest.raises(DeliveryFailedError, match=r"2 of 2 messages to t.*refused"):
        kafka.publish("t", [Outgoing(b"k", b"v")] * 2)
    assert kafka._producer is not None
    kafka._producer.poll(0.1)
    assert len(kafka._producer) == 0


def test_a_message_that_no_broker_takes_is_an_error_of_ours(
    embedded_broker: EmbeddedBroker,
) -> None:
    client = Kafka(HURRIED, embedded_broker.broker())
    with pytest.raises(DeliveryFailedError, match=r"t cannot be sent: .*too large"):
        client.publish("t", [Outgoing(b"k", b"x" * 10_000_001)])


def test_a_range_that_nobody_serves_is_not_read_and_the_cause_is_named() -> None:
    with (
        Kafka(HURRIED, NOBODY) as kafka,
        pytest.raises(RangeNotReadError, match=r"partition 0 stands at 3 of 5 \(.*refused"),
    ):
        kafka.read_range("t", [PartitionRange(0, 3, 5)], patience_s=0.3)


def test_a_certificate_file_that_is_not_there_is_an_error_that_names_the_setting() -> None:
    given = {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CA_LOCATION": "/no/such/file"}
    kafka = Kafka(Settings.load({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", **given}))
    for ask in (
        lambda: kafka.partitions("t"),
        lambda: kafka.publish("t", [Outgoing(b"k", b"v")]),
        lambda: kafka.committed("t", [0]),
        lambda: kafka.read_range("t", [PartitionRange(0, 0, 1)]),
    ):
        with pytest.raises(BrokerRefusedError, match=r"KAFKA_SSL_"):
            ask()
