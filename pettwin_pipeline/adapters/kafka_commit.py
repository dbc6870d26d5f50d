"""Messages and offsets committed together: once for whoever reads committed messages only.

On Kafka one transaction holds the messages and the offsets of our group, under a transactional id
of the lane: a predecessor that still lives is fenced off, a transaction that it left open is
aborted. The embedded broker keeps no transactions: there messages go first and the offsets follow.
In both the offsets are looked at before anything is sent, so that what a predecessor committed
before it died is not committed twice. Knows bytes and offsets, not what is in the messages.
"""

from collections.abc import Callable, Container, Sequence
from enum import Enum
from typing import Final

import confluent_kafka as ck

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_messages import Deliveries, Outgoing, send
from pettwin_pipeline.batches import OffsetRange
from pettwin_pipeline.errors import (
    DeliveryFailedError,
    LeaseLostError,
    OffsetsMovedError,
    PettwinError,
)

_FENCED: Final = frozenset(
    {
        ck.KafkaError._FENCED,  # noqa: SLF001  the library's public name for it
        ck.KafkaError.INVALID_PRODUCER_EPOCH,
        ck.KafkaError.PRODUCER_FENCED,
    }
)


class Committed(Enum):
    """What became of a range's messages and offsets."""

    NOW = "now"
    BEFORE = "before"
    """A predecessor committed both before it died: nothing was sent."""


def commit_with_messages(
    kafka: Kafka,
    one: OffsetRange,
    topic: str,
    messages: Sequence[Outgoing],
    *,
    wholes: Sequence[OffsetRange] = (),
    renew: Callable[[], None] = lambda: None,
) -> Committed:
    """Send messages to `topic` and commit the end of a range for our group, both or nothing.

    Args:
        kafka: the broker.
        one: the range that was worked on.
        topic: of the messages.
        messages: all of them; none at all is fine.
        wholes: ranges that this one was cut out of: any of them may have been committed before.
        renew: raises where the lane is not ours any more. It is called when whoever held the lane
            before cannot commit any more: whoever holds it after us fences us off in turn.

    Raises:
        OffsetsMovedError: somebody else committed offsets of these partitions for our group.
        LeaseLostError: another run of this lane has begun to commit: this one may not.
        DeliveryFailedError: the broker did not take it; nothing counts.
    """
    if kafka.broker.kind == "embedded":
        renew()
        if is_committed(kafka, one, wholes):
            return Committed.BEFORE
        kafka.publish(topic, messages)
        kafka.commit(one.topic, _ends(one))
        return Committed.NOW
    producer = _lane_producer(kafka, one)
    try:
        # Ends what a predecessor left open, so that the offsets that are looked at are final.
        producer.init_transactions(kafka.connection.timeout_s)
        renew()
        if is_committed(kafka, one, wholes):
            return Committed.BEFORE
        _commit(kafka, producer, one, topic, messages)
    except ck.KafkaException as error:
        raise _ours(kafka, one, error.args[0]) from None
    return Committed.NOW


def is_committed(kafka: Kafka, one: OffsetRange, wholes: Sequence[OffsetRange] = ()) -> bool:
    """Whether our group's offsets stand at the end of the range already.

    Or at the end of a whole that it was cut out of: whoever committed that one died before the
    ledger knew, and its messages are those of its parts. A partition may stand before the start of
    the range: our group is new, or the broker dropped what lies in between.

    Raises:
        OffsetsMovedError: they stand elsewhere.
    """
    ends = _ends(one)
    stands = kafka.committed(one.topic, ends)
    if any(stands == _ends(whole, among=ends) for whole in (one, *wholes)):
        return True
    for part in one.parts:
        at = stands.get(part.partition, part.start)
        if at > part.start:
            raise OffsetsMovedError(
                f"the group {kafka.connection.group} stands at {at} of partition "
                f"{part.partition}, and this range begins at {part.start}: somebody else commits "
                "for this group, which is ours alone; stop them, or name another one with "
                "KAFKA_CONSUMER_GROUP"
            )
    return False


def transactional_id(kafka: Kafka, one: OffsetRange) -> str:
    """One for each lane: who begins later fences off who began before."""
    return f"{kafka.connection.group}/{one.topic}/{one.epoch}/lane-{one.lane}"


def _ends(one: OffsetRange, among: Container[int] | None = None) -> dict[int, int]:
    """Ends by partition, of some partitions only where these are given."""
    parts = (part for part in one.parts if among is None or part.partition in among)
    return {part.partition: part.end for part in parts}


def _lane_producer(kafka: Kafka, one: OffsetRange) -> ck.Producer:
    within_ms = round(kafka.connection.timeout_s * 3000)
    return kafka.producer(
        **{
            "transactional.id": transactional_id(kafka, one),
            "enable.idempotence": True,
            # By default each of its calls waits for a minute for a broker that died, whatever the
            # call is told: longer than the lease.
            "transaction.timeout.ms": within_ms,
            "delivery.timeout.ms": within_ms,
        }
    )


def _commit(
    kafka: Kafka, producer: ck.Producer, one: OffsetRange, topic: str, messages: Sequence[Outgoing]
) -> None:
    offsets = [ck.TopicPartition(one.topic, p, end) for p, end in _ends(one).items()]
    transact(kafka, producer, topic, messages, offsets)


def transact(
    kafka: Kafka,
    producer: ck.Producer,
    topic: str,
    messages: Sequence[Outgoing],
    offsets: Sequence[ck.TopicPartition],
) -> None:
    """Messages to `topic` and offsets of our group in one transaction; aborted where it fails.

    Raises:
        confluent_kafka.KafkaException: of the transaction; `is_fenced` tells who ended it.
        DeliveryFailedError: the client does not take a message.
    """
    within_s = kafka.connection.timeout_s
    done = Deliveries()
    producer.begin_transaction()
    try:
        for message in messages:
            send(producer, topic, message, done.on_delivery)
        producer.send_offsets_to_transaction(list(offsets), kafka.group_metadata(), within_s)
        producer.commit_transaction(within_s * 3)
    except BaseException as error:  # Ctrl-C too: an open transaction keeps readers waiting
        ended = _abort(producer, within_s)
        if isinstance(error, DeliveryFailedError) and ended is not None and is_fenced(ended):
            raise ck.KafkaException(ended) from None  # why the client took no more
        raise
    if done.acked != len(messages):  # the library promises that a commit means all of them
        raise DeliveryFailedError(f"{len(messages) - done.acked} messages were not acknowledged")


def _abort(producer: ck.Producer, within_s: float) -> ck.KafkaError | None:
    """Let go of a transaction; where that fails too, why: the next `init_transactions` does it."""
    try:
        producer.purge()
        producer.abort_transaction(within_s)
    except ck.KafkaException as error:
        return error.args[0]
    return None


def is_fenced(error: ck.KafkaError) -> bool:
    """Whether somebody else uses the same transactional id now."""
    return error.code() in _FENCED


def _ours(kafka: Kafka, one: OffsetRange, error: ck.KafkaError) -> PettwinError:
    if is_fenced(error):
        return LeaseLostError(f"another run commits lane {one.lane} now: this one may not")
    told = kafka.connection.ours(error)
    return told if error.fatal() else DeliveryFailedError(f"nothing was committed: {told}")
