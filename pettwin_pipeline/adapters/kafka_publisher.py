"""Messages on their way out: producers with our defaults, and sending with an answer for each.

Knows bytes and topics, not what is in the messages; transactions are in `kafka_commit`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import confluent_kafka as ck

from pettwin_pipeline.adapters.kafka_connection import Connection
from pettwin_pipeline.adapters.kafka_messages import Deliveries, OnDelivery, Outgoing, send
from pettwin_pipeline.errors import DeliveryFailedError

_PRODUCER: Final[Mapping[str, Any]] = {
    "compression.type": "zstd",
    "linger.ms": 20,
    "batch.size": 262_144,
    "delivery.timeout.ms": 30_000,
    "queue.buffering.max.messages": 100_000,
    # What a broker took may come back as a dead letter, with headers: the broker decides, not we.
    "message.max.bytes": 10_000_000,
}
_MOST_BYTES: Final = 9_000_000
"""A longer value does not fit beside its headers into what our producers take."""


class Publisher:
    """Sends to one broker, by a producer that is made when it is first needed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._producer: ck.Producer | None = None

    def close(self) -> None:
        """What was produced is flushed first."""
        if self._producer is not None:
            self._producer.flush(self.connection.timeout_s)
        self._producer = None

    def producer(self, **extra: Any) -> ck.Producer:
        """A producer of its own with our defaults (compressed, and idempotent on Kafka)."""
        idempotent = {"enable.idempotence": self.connection.broker.kind == "kafka"}
        config = {**self.connection.config, **_PRODUCER, **idempotent, **extra}
        producer: ck.Producer = self.connection.made(ck.Producer, config)
        return producer

    def publish(
        self,
        topic: str,
        messages: Iterable[Outgoing],
        shorten: Callable[[Outgoing], Outgoing] | None = None,
    ) -> Deliveries:
        """Send messages and wait until the broker has acknowledged every one.

        What was not acknowledged in time is not sent later: whoever asked has given up.

        Args:
            topic: of the messages.
            messages: all of them.
            shorten: makes of a message that is too large for the topic one that is sent instead.

        Raises:
            DeliveryFailedError: some were not acknowledged.
        """
        done = Deliveries()
        waiting = list(messages)
        if shorten is None:
            self._send_all(topic, waiting, done, done.on_delivery_of)
            return done
        fitting = [shorten(one) if len(one.value or b"") > _MOST_BYTES else one for one in waiting]
        self._send_all(topic, fitting, done, done.on_delivery_where_it_fits)
        shorter = [shorten(one) for one in done.too_large]
        done.too_large.clear()
        self._send_all(topic, shorter, done, done.on_delivery_of)
        return done

    def _send_all(
        self,
        topic: str,
        waiting: Sequence[Outgoing],
        done: Deliveries,
        on_delivery_of: Callable[[Outgoing], OnDelivery],
    ) -> None:
        if not waiting:
            return
        producer = self._connected_producer(topic)
        sent, before = 0, done.acked
        try:
            for one in waiting:
                send(producer, topic, one, on_delivery_of(one))
                sent += 1
            producer.flush(self.connection.timeout_s * 3)
        finally:
            lost = sent - (done.acked - before) - len(done.too_large)
            if lost:
                producer.purge()
        if lost:
            raise self.connection.refusal() or DeliveryFailedError(
                f"{lost} of {sent} messages to {topic} were not acknowledged: "
                f"{done.first_error or 'no answer in time'}{self.connection.told()}"
            )

    def _connected_producer(self, topic: str) -> ck.Producer:
        """The producer of `publish`; what it cannot reach shows when something is sent."""
        self.connection.forget()
        if self._producer is None:
            self._producer = self.producer(**{"linger.ms": 1})
            # An idempotent producer that is connected first has its number at once, not after 1 s.
            with suppress(ck.KafkaException):
                self._producer.list_topics(topic, timeout=self.connection.timeout_s)
        return self._producer
