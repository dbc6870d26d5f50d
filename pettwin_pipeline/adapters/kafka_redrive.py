"""Messages sent back to a topic, and how far that came, in one transaction.

On Kafka each piece is one transaction of the messages and of an offset of the group that sends
back, under one transactional id: who begins later stops who began before. With the offset the name
of the piece is committed: by it a successor knows whether a piece was sent. The embedded broker
keeps no transactions: there the messages go first. Knows bytes and offsets, not why they are sent.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import confluent_kafka as ck
from confluent_kafka.admin import ConfigResource

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_commit import is_fenced, transact
from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.errors import (
    BrokerRefusedError,
    DeliveryFailedError,
    OvertakenError,
    PettwinError,
)

KEPT_FOR_EVER: Final = -1


@contextmanager
def sending_back(kafka: Kafka, source: str, epoch: str) -> Iterator["SendingBack"]:
    """The right to send back what lies in one topic, while the block runs.

    A predecessor is stopped, and what it left open is ended.

    Args:
        kafka: the broker, with the group that sends back.
        source: the topic whose messages are sent back.
        epoch: of that topic.

    Raises:
        BrokerUnreachableError, BrokerRefusedError: no answer, or a refusal.
    """
    if kafka.broker.kind == "embedded":
        yield SendingBack(kafka, source, None)
        return
    identity = f"{kafka.connection.group}/{source}/{epoch}"
    producer = kafka.producer(**{"transactional.id": identity, "enable.idempotence": True})
    kafka.connection.forget()
    try:
        producer.init_transactions(kafka.connection.timeout_s)
    except ck.KafkaException as error:
        raise kafka.connection.ours(error.args[0]) from None
    yield SendingBack(kafka, source, producer)


class SendingBack:
    """Sends pieces back; without a transactional producer it sends and then commits."""

    def __init__(self, kafka: Kafka, source: str, producer: ck.Producer | None) -> None:
        self._kafka = kafka
        self._source = source
        self._producer = producer

    def send(
        self, topic: str, messages: Sequence[Outgoing], place: tuple[int, int], piece: str
    ) -> None:
        """Send a piece back.

        Args:
            topic: that it goes to.
            messages: all of it; none at all is fine.
            place: partition of the source, and the offset that is committed for it.
            piece: its name, committed with the offset.

        Raises:
            OvertakenError: somebody else began later to send back; nothing of the piece counts.
            DeliveryFailedError: the broker did not take it.
        """
        offset = ck.TopicPartition(self._source, *place, piece)
        if self._producer is None:
            self._kafka.publish(topic, messages)
            self._kafka.commit(self._source, dict([place]))
            return
        try:
            transact(self._kafka, self._producer, topic, messages, [offset])
        except ck.KafkaException as error:
            raise self._ours(error.args[0]) from None

    def _ours(self, error: ck.KafkaError) -> PettwinError:
        if is_fenced(error):
            return OvertakenError(
                "another `pettwin redrive` began meanwhile and goes on with what is left: this one "
                "ends here, what it had sent counts"
            )
        told = self._kafka.connection.ours(error)
        return told if error.fatal() else DeliveryFailedError(f"not all was sent back: {told}")


def pieces_sent(kafka: Kafka, source: str, partitions: Collection[int]) -> set[str]:
    """Names of the last pieces that were sent, as they were committed with the offsets."""
    return {str(one.metadata) for one in kafka.committed_places(source, partitions) if one.metadata}


def retention_ms(kafka: Kafka, topic: str) -> int | None:
    """How long a topic keeps messages by their own timestamps; None where it keeps them for ever.

    None as well where nobody can tell: on the embedded broker, or without the right to ask. A topic
    that stamps messages itself judges none by the producer's timestamp.
    """
    if kafka.broker.kind == "embedded":
        return None
    wanted = ConfigResource(ConfigResource.Type.TOPIC, topic)
    asked = kafka.connection.admin.describe_configs(
        [wanted], request_timeout=kafka.connection.timeout_s
    )
    with suppress(BrokerRefusedError):
        found = kafka.connection.result(asked[wanted])
        kept_ms = int(found["retention.ms"].value)
        stamped_anew = found["message.timestamp.type"].value == "LogAppendTime"
        return None if kept_ms == KEPT_FOR_EVER or stamped_anew else kept_ms
    return None
