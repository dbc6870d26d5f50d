"""The broker, through confluent-kafka: watermarks, exact ranges, deliveries, offsets, topics.

Speaks to Apache Kafka, Confluent Cloud and the embedded broker alike; what the embedded one cannot
do is asked of it in another way here and nowhere else. Errors of the library come out as ours, each
with what to do. Knows messages as bytes, not as readings.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

import confluent_kafka as ck
import numpy as np
import numpy.typing as npt
from confluent_kafka.admin import AdminClient, OffsetSpec

from pettwin_pipeline.batches import PartitionRange, Watermarks
from pettwin_pipeline.errors import (
    BrokerRefusedError,
    BrokerUnreachableError,
    DeliveryFailedError,
    PettwinError,
    RangeNotReadError,
    TopicMissingError,
)
from pettwin_pipeline.settings import Broker, Settings

CHUNK: Final = 10_000
"""Messages taken from the client at a time."""
_REFUSALS: Final = frozenset(
    {
        ck.KafkaError._AUTHENTICATION,  # noqa: SLF001  the library's public name for it
        ck.KafkaError.SASL_AUTHENTICATION_FAILED,
        ck.KafkaError.TOPIC_AUTHORIZATION_FAILED,
        ck.KafkaError.GROUP_AUTHORIZATION_FAILED,
        ck.KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        ck.KafkaError._SSL,  # noqa: SLF001
    }
)
_MISSING: Final = frozenset(
    {ck.KafkaError.UNKNOWN_TOPIC_OR_PART, ck.KafkaError._UNKNOWN_TOPIC}  # noqa: SLF001
)
_SILENCE: Final = frozenset({ck.KafkaError._TRANSPORT, ck.KafkaError._TIMED_OUT})  # noqa: SLF001
_NOT_ALONE: Final = frozenset(
    {
        ck.KafkaError.UNKNOWN_MEMBER_ID,
        ck.KafkaError.ILLEGAL_GENERATION,
        ck.KafkaError.NON_EMPTY_GROUP,
        ck.KafkaError.REBALANCE_IN_PROGRESS,
    }
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """Messages in the order (partition, offset). Arrays have one entry a message."""

    values: list[bytes | None]
    keys: list[bytes | None]
    partitions: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    kafka_ms: npt.NDArray[np.int64]
    """The message's timestamp; -1 where it has none."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent."""

    key: bytes | None
    value: bytes | None
    timestamp_ms: int = 0
    """0: the time of sending."""
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(slots=True)
class Deliveries:
    """What became of messages that were sent, counted in the delivery callback."""

    acked: int = 0
    failed: int = 0
    first_error: str | None = None
    latencies_ms: list[float] = field(default_factory=list)

    def on_delivery(self, error: ck.KafkaError | None, message: ck.Message) -> None:
        """The callback of the client."""
        if error is not None:
            self.failed += 1
            self.first_error = self.first_error or error.str()
            return
        self.acked += 1
        latency = message.latency()
        if latency is not None:
            self.latencies_ms.append(latency * 1000)


class Kafka:
    """One broker as the pipeline uses it. Connections are made when they are first needed."""

    def __init__(self, settings: Settings, broker: Broker | None = None) -> None:
        self.broker = broker or settings.broker()
        self._timeout_s = settings.kafka_timeout_s
        self._group = settings.kafka_consumer_group
        self._last_error: ck.KafkaError | None = None
        self._config = client_config(settings, self.broker) | {"error_cb": self._on_error}
        self._admin: AdminClient | None = None
        self._producer: ck.Producer | None = None
        self._committer: ck.Consumer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the broker; what was produced is flushed first."""
        if self._producer is not None:
            self._producer.flush(self._timeout_s)
        if self._committer is not None:
            self._committer.close()
        self._admin = self._producer = self._committer = None

    def _on_error(self, error: ck.KafkaError) -> None:
        if self._last_error is None or error.code() in _REFUSALS:
            self._last_error = error

    @property
    def admin(self) -> AdminClient:
        """The admin client."""
        if self._admin is None:
            self._admin = self._made(AdminClient, self._config)
        return self._admin

    def _made(self, kind: Callable[[dict[str, Any]], Any], config: dict[str, Any]) -> Any:
        """A client; a setting that the library does not take is named by its own error."""
        try:
            return kind(config)
        except ck.KafkaException as error:
            raise BrokerRefusedError(
                f"no connection to {self.broker.bootstrap} can be made: {error.args[0].str()}; "
                "look at the settings KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_... and KAFKA_SSL_..."
            ) from None

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
        self._last_error = None
        asked = {} if topic is None else {"topic": topic}
        try:
            found = self.admin.list_topics(**asked, timeout=self._timeout_s)
            topics: Mapping[str, Any] = found.topics
        except ck.KafkaException as error:
            raise self._ours(error.args[0]) from None
        return topics

    def topic_epoch(self, topic: str) -> str:
        """Identity of a topic: Kafka's topic id; what the embedded broker drew when it started."""
        if self.broker.epoch:
            return self.broker.epoch
        self.partitions(topic)
        asked = self.admin.describe_topics(
            ck.TopicCollection([topic]), request_timeout=self._timeout_s
        )
        epoch = str(self._result(asked[topic]).topic_id)
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
        asked = self.admin.create_topics(new, request_timeout=self._timeout_s) if new else {}
        made = {name for name, future in asked.items() if self._is_made(future)}
        return {name: "made" if name in made else "was there" for name in topics}

    def _is_made(self, future: Any) -> bool:
        """Whether a topic was made; False where somebody else made it a moment ago."""
        try:
            future.result(timeout=self._timeout_s)
        except ck.KafkaException as error:
            if error.args[0].code() == ck.KafkaError.TOPIC_ALREADY_EXISTS:
                return False
        except TimeoutError:
            pass
        self._result(future)
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
        answer = self.admin.list_offsets(
            wanted, isolation_level=isolation, request_timeout=self._timeout_s
        )
        return {tp.partition: self._result(future).offset for tp, future in answer.items()}

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
        high = self.high_watermarks(topic)
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
        wanted = [ck.TopicPartition(topic, p) for p in partitions]
        self._last_error = None
        try:
            answer = self._offset_keeper().committed(wanted, timeout=self._timeout_s)
        except ck.KafkaException as error:
            raise self._ours(error.args[0]) from None
        return {tp.partition: tp.offset for tp in answer if tp.offset >= 0}

    def commit(self, topic: str, ends: Mapping[int, int]) -> None:
        """Commit the next offset to read of each partition for our group."""
        offsets = [ck.TopicPartition(topic, p, end) for p, end in sorted(ends.items())]
        self._last_error = None
        # Not by a consumer: its commit has no timeout and waits for minutes for a broker that died.
        asked = self.admin.alter_consumer_group_offsets(
            [ck.ConsumerGroupTopicPartitions(self._group, offsets)],
            request_timeout=self._timeout_s,
        )
        for tp in self._result(asked[self._group]).topic_partitions:
            if tp.error is not None:
                raise self._ours(tp.error)

    def _offset_keeper(self) -> ck.Consumer:
        if self._committer is None:
            self._committer = self._made(ck.Consumer, self._reading_config())
        return self._committer

    def _reading_config(self) -> dict[str, Any]:
        return self._config | {
            "group.id": self._group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": 65536,
            "fetch.wait.max.ms": 50,
        }

    # reading

    def read_range(
        self,
        topic: str,
        parts: Sequence[PartitionRange],
        patience_s: float = 30.0,
        keep_alive: Callable[[], None] = lambda: None,
    ) -> Fetched:
        """Read exactly the offsets of `parts`, committed messages only.

        A part ends when the position reaches its end: markers of transactions and compaction leave
        holes, so the number of messages says nothing.

        Args:
            topic: to read.
            parts: offsets of each partition.
            patience_s: longest time without any progress.
            keep_alive: called after every chunk.

        Raises:
            RangeNotReadError: the end was not reached in time, or messages are gone.
            BrokerRefusedError: the broker does not let us read.
        """
        ends = {part.partition: part.end for part in parts}
        begins = {part.partition: part.start for part in parts}
        self._last_error = None
        consumer = self._made(ck.Consumer, self._reading_config())
        collected: dict[int, list[ck.Message]] = {p: [] for p in ends}
        try:
            consumer.assign([ck.TopicPartition(topic, p.partition, p.start) for p in parts])
            left = dict(ends)
            last_progress = time.monotonic()
            while left:
                batch = consumer.consume(CHUNK, timeout=0.1)
                if _collect(batch, collected, left, self._read_error):
                    last_progress = time.monotonic()
                keep_alive()
                if left and time.monotonic() - last_progress > patience_s:
                    unread = _unread(topic, begins, left, collected, patience_s)
                    raise self._refusal() or RangeNotReadError(unread + self._told())
        except ck.KafkaException as error:
            raise self._ours(error.args[0]) from None
        finally:
            consumer.close()
        return _columns(collected)

    def _read_error(self, message: ck.Message) -> PettwinError:
        error = message.error()
        if error.code() in {ck.KafkaError._AUTO_OFFSET_RESET, ck.KafkaError.OFFSET_OUT_OF_RANGE}:  # noqa: SLF001
            return RangeNotReadError(
                f"partition {message.partition()}: offset {message.offset()} is not there any more"
            )
        return self._ours(error)

    # writing

    def producer(self, **extra: Any) -> ck.Producer:
        """A producer of its own with our defaults (compressed, and idempotent on Kafka)."""
        idempotent = {"enable.idempotence": self.broker.kind == "kafka"}
        config = {**self._config, **_PRODUCER, **idempotent, **extra}
        producer: ck.Producer = self._made(ck.Producer, config)
        return producer

    def publish(self, topic: str, messages: Iterable[Outgoing]) -> Deliveries:
        """Send messages and wait until the broker has acknowledged every one.

        What was not acknowledged in time is not sent later: whoever asked has given up.

        Raises:
            DeliveryFailedError: some were not acknowledged.
        """
        waiting = list(messages)
        done = Deliveries()
        if not waiting:
            return done
        producer = self._connected_producer(topic)
        sent = 0
        try:
            for one in waiting:
                send(producer, topic, one, done.on_delivery)
                sent += 1
            producer.flush(self._timeout_s * 3)
        finally:
            if done.acked != sent:
                producer.purge()
        if done.acked != sent:
            raise self._refusal() or DeliveryFailedError(
                f"{sent - done.acked} of {sent} messages to {topic} were not acknowledged: "
                f"{done.first_error or 'no answer in time'}{self._told()}"
            )
        return done

    def _connected_producer(self, topic: str) -> ck.Producer:
        """The producer of `publish`; what it cannot reach shows when something is sent."""
        self._last_error = None
        if self._producer is None:
            self._producer = self.producer(**{"linger.ms": 1})
            # An idempotent producer that is connected first has its number at once, not after 1 s.
            with suppress(ck.KafkaException):
                self._producer.list_topics(topic, timeout=self._timeout_s)
        return self._producer

    # errors

    def _result(self, future: Any) -> Any:
        try:
            return future.result(timeout=self._timeout_s)
        except ck.KafkaException as error:
            raise self._ours(error.args[0]) from None
        except TimeoutError:
            raise self._ours(None) from None

    def _told(self) -> str:
        """What went wrong with the connection meanwhile, as the end of a sentence."""
        return "" if self._last_error is None else f" ({self._last_error.str()})"

    def _refusal(self) -> BrokerRefusedError | None:
        """That the broker refused, where it did."""
        seen = self._last_error
        if seen is None or seen.code() not in _REFUSALS:
            return None
        return BrokerRefusedError(
            f"the broker at {self.broker.bootstrap} refuses: {seen.str()}; look at "
            "KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
        )

    def _ours(self, error: ck.KafkaError | None) -> PettwinError:
        for client in (self._admin, self._committer):
            if client is not None:
                client.poll(0)  # takes in what went wrong with the connection
        if error is not None and error.code() in _REFUSALS:
            self._last_error = error
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        if self._last_error is not None and (error is None or error.code() in _SILENCE):
            error = self._last_error
        text = "no answer in time" if error is None else error.str()
        if error is not None and error.code() in _MISSING:
            return TopicMissingError(f"{text}: `pettwin topics create` makes the topics")
        if error is not None and error.code() in _NOT_ALONE:
            return BrokerRefusedError(
                f"{text}: somebody else reads with the consumer group {self._group}, which is ours "
                "alone; stop them, or name another one with KAFKA_CONSUMER_GROUP"
            )
        if error is not None and error.code() > 0 and not error.retriable():
            return BrokerRefusedError(f"the broker at {self.broker.bootstrap} refuses: {text}")
        return BrokerUnreachableError(
            f"the broker at {self.broker.bootstrap} (from {self.broker.source}) does not answer: "
            f"{text}"
        )


_TO_NAMES: Final = str.maketrans("/+", "_-")
"""Of Base64: a topic id becomes part of file names. Kafka itself writes them like this."""
_PRODUCER: Final[Mapping[str, Any]] = {
    "compression.type": "zstd",
    "linger.ms": 20,
    "batch.size": 262_144,
    "delivery.timeout.ms": 30_000,
    "queue.buffering.max.messages": 100_000,
    # What a broker took may come back as a dead letter, with headers: the broker decides, not we.
    "message.max.bytes": 10_000_000,
}


def client_config(settings: Settings, broker: Broker) -> dict[str, Any]:
    """What every client of librdkafka is given."""
    config: dict[str, Any] = {
        "bootstrap.servers": broker.bootstrap,
        "client.id": settings.dd_service,
        "log_level": 0,  # errors come as exceptions; librdkafka's own lines say it twice
        "socket.keepalive.enable": True,
    }
    if broker.kind == "embedded" or not settings.kafka_bootstrap_servers:
        return config
    config["security.protocol"] = settings.kafka_security_protocol
    if settings.kafka_sasl_username and settings.kafka_sasl_password:
        config["sasl.mechanism"] = settings.kafka_sasl_mechanism
        config["sasl.username"] = settings.kafka_sasl_username
        config["sasl.password"] = settings.kafka_sasl_password.get_secret_value()
    if settings.kafka_ssl_ca_location:
        config["ssl.ca.location"] = settings.kafka_ssl_ca_location
    return config


def send(
    producer: ck.Producer,
    topic: str,
    one: Outgoing,
    on_delivery: Callable[[ck.KafkaError | None, ck.Message], None],
) -> None:
    """Hand one message to a producer, waiting while its queue is full.

    Raises:
        DeliveryFailedError: the client does not take it.
    """
    while True:
        try:
            producer.produce(
                topic,
                key=one.key,
                value=one.value,
                timestamp=one.timestamp_ms,
                headers=list(one.headers) or None,
                on_delivery=on_delivery,
            )
        except BufferError:
            producer.poll(0.1)
            continue
        except ck.KafkaException as error:
            raise DeliveryFailedError(
                f"a message to {topic} cannot be sent: {error.args[0].str()}"
            ) from None
        producer.poll(0)
        return


def _collect(
    batch: Sequence[ck.Message],
    collected: dict[int, list[ck.Message]],
    left: dict[int, int],
    on_error: Callable[[ck.Message], PettwinError],
) -> bool:
    """Sort messages to their partitions; partitions that reached their end leave `left`."""
    progress = False
    for message in batch:
        error = message.error()
        partition, offset = message.partition(), message.offset()
        end = left.get(partition)
        if error is not None:
            if error.code() != ck.KafkaError._PARTITION_EOF:  # noqa: SLF001
                raise on_error(message)
            if end is not None and offset >= end:
                del left[partition]
            continue
        if end is None:
            continue
        progress = True
        if offset < end:
            collected[partition].append(message)
        if offset >= end - 1:
            del left[partition]
    return progress


def _unread(
    topic: str,
    begins: Mapping[int, int],
    left: Mapping[int, int],
    collected: Mapping[int, list[ck.Message]],
    patience_s: float,
) -> str:
    places = []
    for partition, end in sorted(left.items()):
        got = collected[partition]
        at = got[-1].offset() + 1 if got else begins[partition]
        places.append(f"partition {partition} stands at {at} of {end}")
    return f"{topic} was not read to the end within {patience_s:.0f} s: {', '.join(places)}"


def _columns(collected: Mapping[int, list[ck.Message]]) -> Fetched:
    messages = [one for partition in sorted(collected) for one in collected[partition]]
    count = len(messages)
    return Fetched(
        values=[one.value() for one in messages],
        keys=[one.key() for one in messages],
        partitions=np.fromiter((one.partition() for one in messages), np.int32, count),
        offsets=np.fromiter((one.offset() for one in messages), np.int64, count),
        kafka_ms=np.fromiter((_timestamp_ms(one) for one in messages), np.int64, count),
    )


def _timestamp_ms(message: ck.Message) -> int:
    kind, time_ms = message.timestamp()
    return -1 if kind == ck.TIMESTAMP_NOT_AVAILABLE else time_ms
