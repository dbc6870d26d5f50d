"""A broker inside this process, for trying things out without Kafka: librdkafka's mock cluster.

It lives as long as the object that holds it and keeps nothing. What it cannot do is written down
here, each measured with librdkafka 2.16 and held by a test, because the rest of the pipeline
relies on knowing it. Knows nothing of readings.
"""

import uuid
from collections.abc import Callable, Iterable
from typing import Final, Self

import confluent_kafka as ck

from pettwin_pipeline.errors import StackError
from pettwin_pipeline.settings import Broker

PARTITIONS: Final = 4
"""Every topic has as many; another number cannot be asked for."""
KEPT_BYTES: Final = 5 * 1024 * 1024
"""Kept of one partition, as stored: compressed message sets with 61 bytes of header each. Before
a message set is taken in that would pass it, the oldest sets are dropped without a word: the low
watermark moves."""
KEPT_MESSAGE_SETS: Final = 100_000
"""Kept of one partition; `KEPT_BYTES` is reached first, because a set has at least 61 bytes."""
NO_OFFSET: Final = -1
"""What every search for an offset by time finds."""

# What else is different from Kafka:
# - Asking for the metadata of a topic makes it, unless the client sets
#   `allow.auto.create.topics=false`; creating, deleting and describing topics runs into a timeout.
# - Consumer groups cannot be listed or described. Offsets that a consumer commits are kept, those
#   of a transaction (`send_offsets_to_transaction`) are taken and forgotten.
# - Transactions hide nothing: a read-committed reader gets open and aborted messages, the last
#   stable offset is the high watermark, and a second producer with the same transactional id
#   does not fence the first.
# - There are no topic ids: the epoch that is drawn here takes their place.

_ANSWER_S: Final = 5.0


class EmbeddedBroker:
    """A broker on loopback while the block runs.

    Librdkafka serves it from a thread of its own: nobody has to poll. It dies with this process.
    """

    def __init__(
        self, topics: Iterable[str] = (), dice: Callable[[], uuid.UUID] = uuid.uuid4
    ) -> None:
        """Nothing runs yet.

        Args:
            topics: are made at the start.
            dice: draws the identity of this broker's topics.
        """
        self._topics = tuple(topics)
        self._dice = dice
        self._holder: ck.Producer | None = None
        self.address = ""
        """`host:port`, while the block runs."""
        self.epoch = ""
        """Drawn anew at each start: offsets of another epoch mean nothing here."""

    def __enter__(self) -> Self:
        self._holder = ck.Producer({"test.mock.num.brokers": 1, "log_level": 0})
        try:
            (broker,) = self._holder.list_topics(timeout=_ANSWER_S).brokers.values()
            for topic in self._topics:
                self._holder.list_topics(topic, timeout=_ANSWER_S)  # asking makes it
        except ck.KafkaException as error:
            self._holder = None
            raise StackError(f"the embedded broker does not start: {error.args[0].str()}") from None
        self.address = f"{broker.host}:{broker.port}"
        self.epoch = self._dice().hex
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; everything that it kept is gone."""
        self._holder = None  # its last reference: the client and its mock cluster are destroyed
        self.address = self.epoch = ""

    def broker(self) -> Broker:
        """What clients need to know of it."""
        return Broker(self.address, "embedded", self.epoch, "the embedded broker of this process")
