"""The broker, through confluent-kafka: watermarks, exact ranges, deliveries, offsets, topics.

Speaks to Apache Kafka, Confluent Cloud and the embedded broker alike; what the embedded one cannot
do is asked of it in another way here and nowhere else. Errors of the library come out as ours, each
with what to do. Knows messages as bytes, not as readings.
"""

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Self

import confluent_kafka as ck
from confluent_kafka.admin import OffsetSpec

from pettwin_pipeline.adapters.kafka_connection import CONSUMER, Connection
from pettwin_pipeline.adapters.kafka_messages import (
    Fetched,
    Harvest,
)
from pettwin_pipeline.adapters.kafka_publisher import Publisher
from pettwin_pipeline.batches import PartitionRange, Watermarks
from pettwin_pipeline.errors import (
    PettwinError,
    RangeNotReadError,
    TopicMissingError,
)
from pettwin_pipeline.settings import Broker, Settings

CHUNK: Final = 10_000
"""Messages taken from the client at a time."""
_TO_NAMES: Final = str.maketrans("/+", "_-")
"""Of Base64: a topic id becomes part of file names. Kafka itself writes them like this."""


class Kafka(Publisher):
    """One broker as the pipeline uses it. Connections are made when they are first needed."""

    def __init__(self, settings: Settings, broker: Broker | None = None) -> None:
        self.broker = broker or settings.broker()
        super().__init__(Connection(settings, self.broker))
        self._committer: ck.Consumer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the broker; what was produced is flushed first."""
        super().close()
        if self._committer is not None:
            self._committer.close()
        self.connection.close()
        self._committer = None

    # topics

    def partitions(self, topic: str) -> list[int]:
        """Partition numbers of a topic.

        Raises:
            TopicMissingError: there is no such topic.
            BrokerUnreachableError, BrokerRefusedError: no answer, or a refusal.
        """
        found = self._metadata().get(topic)
        if found is None and self.broker.kind == "embedded":
            found = self._metadata(topic)[topic]
        if found is None or not found.partitions:
            raise TopicMissingError(
                f"topic {topic} does not exist at {self.broker.bootstrap}: "
                "`pettwin topics create` makes it"
            )
        return sorted(found.partitions)

    def _metadata(self, topic: str | None = None) -> Mapping[str, Any]:
        """Topics by name; of one of them only, which makes it on the embedded broker."""
        self.connection.forget()
        asked = {} if topic is None else {"topic": topic}
        try:
            found = self.connection.admin.list_topics(**asked, timeout=self.connection.timeout_s)
            topics: Mapping[str, Any] = found.topics
        except ck.KafkaException as error:
            raise self.connection.ours(error.args[0]) from None
        return topics

    def topic_epoch(self, topic: str) -> str:
        """Identity of a topic: Kafka's topic id; what the embedded broker drew when it started."""
        if self.broker.epoch:
            return self.broker.epoch
        self.connection.forget()
        asked = self.connection.admin.describe_topics(
            ck.TopicCollection([topic]), request_timeout=self.connection.timeout_s
        )
        epoch = str(self.connection.result(asked[topic]).topic_id)
        return epoch.translate(_TO_NAMES)

    def create_topics(self, topics: Mapping[str, int], replication: int = -1) -> dict[str, str]:
        """Make the topics that are missing; `topics` gives partitions by name.

        Returns:
            What happened to each: `made` or `was there`.
        """
        there = self._metadata()
        if self.broker.kind == "embedded":
            for name in topics:
                self._metadata(name)
            return {name: "was there" if name in there else "made" for name in topics}
        from confluent_kafka.admin import NewTopic

        new = [NewTopic(n, p, replication) for n, p in topics.items() if n not in there]
        asked = (
            self.connection.admin.create_topics(new, request_timeout=self.connection.timeout_s)
            if new
            else {}
        )
        made = {name for name, future in asked.items() if self._is_made(future)}
        return {name: "made" if name in made else "was there" for name in topics}

    def _is_made(self, future: Any) -> bool:
        """Whether a topic was made; False where somebody else made it a moment ago."""
        try:
            future.result(timeout=self.connection.timeout_s)
        except ck.KafkaException as error:
            if error.args[0].code() == ck.KafkaError.TOPIC_ALREADY_EXISTS:
                return False
        except TimeoutError:
            pass
        self.connection.result(future)
        return True

    # offsets

    def watermarks(self, topic: str) -> dict[int, Watermarks]:
        """Low watermark and last stable offset of every partition, in two batched calls."""
        partitions = self.partitions(topic)
        low = self._offsets(topic, partitions, OffsetSpec.earliest())
        stable = self._offsets(topic, partitions, OffsetSpec.latest())
        return {p: Watermarks(low[p], stable[p]) for p in partitions}

    def _offsets(
        self,
        topic: str,
        partitions: Iterable[int],
        spec: OffsetSpec,
        isolation: ck.IsolationLevel = ck.IsolationLevel.READ_COMMITTED,
    ) -> dict[int, int]:
        wanted = {ck.TopicPartition(topic, p): spec for p in partitions}

        def ask() -> dict[int, int]:
            within_s = self.connection.timeout_s
            answer = self.connection.admin.list_offsets(
                wanted, isolation_level=isolation, request_timeout=within_s
            )
            return {tp.partition: one.result(within_s).offset for tp, one in answer.items()}

        return self.connection.once_settled(ask)

    def high_watermarks(self, topic: str) -> dict[int, int]:
        """Offsets that the next messages will get."""
        partitions = self.partitions(topic)
        return self._offsets(
            topic, partitions, OffsetSpec.latest(), ck.IsolationLevel.READ_UNCOMMITTED
        )

    def lag(self, topic: str) -> dict[int, int]:
        """High watermark minus committed offset of each partition.

        Offsets are read before watermarks, so lag is never negative. A partition without a
        committed offset counts from its low watermark.
        """
        partitions = self.partitions(topic)
        committed = self.committed(topic, partitions)
        low = self._offsets(topic, partitions, OffsetSpec.earliest())
        high = self._offsets(
            topic, partitions, OffsetSpec.latest(), ck.IsolationLevel.READ_UNCOMMITTED
        )
        return {p: max(0, high[p] - committed.get(p, low[p])) for p in partitions}

    def offsets_at(self, topic: str, partitions: Iterable[int], time_ms: int) -> dict[int, int]:
        """First offset at or after a time, ms since 1970 UTC; the end where there is none.

        Raises:
            PettwinError: the embedded broker finds no offset by time.
        """
        if self.broker.kind == "embedded":
            raise PettwinError(
                "the embedded broker finds no offset by time: set PETTWIN_START to earliest or "
                "latest, or use Kafka"
            )
        found = self._offsets(topic, partitions, OffsetSpec.for_timestamp(time_ms))
        ends = self._offsets(topic, found, OffsetSpec.latest())
        return {p: offset if offset >= 0 else ends[p] for p, offset in found.items()}

    def committed(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Offsets that our consumer group committed; partitions without one are left out."""
        return {tp.partition: tp.offset for tp in self.committed_places(topic, partitions)}

    def committed_places(self, topic: str, partitions: Iterable[int]) -> list[ck.TopicPartition]:
        """The same as the client has it: with the note that was committed with an offset."""
        wanted = [ck.TopicPartition(topic, p) for p in partitions]
        self.connection.forget()

        def ask() -> list[ck.TopicPartition]:
            answer = self._offset_keeper().committed(wanted, timeout=self.connection.timeout_s)
            return [tp for tp in answer if tp.offset >= 0]

        return self.connection.once_settled(ask)

    def commit(self, topic: str, ends: Mapping[int, int]) -> None:
        """Commit the next offset to read of each partition for our group."""
        offsets = [ck.TopicPartition(topic, p, end) for p, end in sorted(ends.items())]
        self.connection.forget()
        within_s = self.connection.timeout_s

        def ask() -> None:
            # Not by a consumer: its commit has no timeout and waits for minutes for a broker that
            # died.
            asked = self.connection.admin.alter_consumer_group_offsets(
                [ck.ConsumerGroupTopicPartitions(self.connection.group, offsets)],
                request_timeout=within_s,
            )
            for tp in asked[self.connection.group].result(within_s).topic_partitions:
                if tp.error is not None:
                    raise ck.KafkaException(tp.error)

        self.connection.once_settled(ask)

    def group_metadata(self) -> object:
        """Our consumer group, as a transaction wants it named."""
        return self._offset_keeper().consumer_group_metadata()

    def _offset_keeper(self) -> ck.Consumer:
        if self._committer is None:
            self._committer = self.connection.made(ck.Consumer, self.reading_config())
        return self._committer

    def reading_config(self) -> dict[str, Any]:
        """What a consumer of ours is given: committed messages only, and nothing is committed."""
        return {**self.connection.config, **CONSUMER, "group.id": self.connection.group}

    # reading

    def read_range(
        self,
        topic: str,
        parts: Sequence[PartitionRange],
        patience_s: float | None = None,
        keep_alive: Callable[[], None] = lambda: None,
        *,
        with_headers: bool = False,
    ) -> Fetched:
        """Read exactly the offsets of `parts`, committed messages only.

        A part ends when the position reaches its end: markers of transactions and compaction leave
        holes, so the number of messages says nothing.

        Args:
            topic: to read.
            parts: offsets of each partition.
            patience_s: longest time without any progress; None: that of three calls.
            keep_alive: called after every chunk.
            with_headers: of the messages too.

        Raises:
            RangeNotReadError: the end was not reached in time, or messages are gone.
            BrokerRefusedError: the broker does not let us read.
        """
        self.connection.forget()
        patience_s = patience_s or 3 * self.connection.timeout_s
        consumer = self.connection.made(ck.Consumer, self.reading_config())
        harvest = Harvest(parts)
        collects = gc.isenabled()
        gc.disable()  # it would look at a million new messages again and again: half of the time
        try:
            consumer.assign([ck.TopicPartition(topic, p.partition, p.start) for p in parts])
            last_progress = time.monotonic()
            while harvest.left:
                if self._take(consumer.consume(CHUNK, timeout=0.1), harvest):
                    last_progress = time.monotonic()
                keep_alive()
                if harvest.left and time.monotonic() - last_progress > patience_s:
                    raise self.connection.refusal() or RangeNotReadError(
                        f"{topic} was not read to the end within {patience_s:.0f} s: "
                        f"{harvest.describe_left()}{self.connection.told()}"
                    )
        except ck.KafkaException as error:
            raise self.connection.ours(error.args[0]) from None
        else:
            return harvest.to_columns(with_headers=with_headers)
        finally:
            if collects:
                gc.enable()
            consumer.close()

    def _take(self, batch: list[ck.Message], harvest: Harvest) -> bool:
        """Take a batch in; an error in it is raised, the end of a partition is a position."""
        told = [one for one in batch if one.error() is not None]
        for one in told:
            if one.error().code() != ck.KafkaError._PARTITION_EOF:  # noqa: SLF001
                raise self._read_error(one)
            harvest.reach(one.partition(), one.offset())
        return harvest.take([one for one in batch if one.error() is None] if told else batch)

    def _read_error(self, message: ck.Message) -> PettwinError:
        error = message.error()
        if error.code() in {ck.KafkaError._AUTO_OFFSET_RESET, ck.KafkaError.OFFSET_OUT_OF_RANGE}:  # noqa: SLF001
            return RangeNotReadError(
                f"partition {message.partition()}: offset {message.offset()} is not there any more"
            )
        return self.connection.ours(error)
