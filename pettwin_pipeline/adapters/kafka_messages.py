"""Messages on their way in and out: as values, as columns, and how they are handed to a client.

Knows bytes and offsets, not which topic they mean.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import confluent_kafka as ck
import numpy as np
import numpy.typing as npt

from pettwin_pipeline.errors import DeliveryFailedError, PettwinError


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


def collect(
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


def describe_unread(
    topic: str,
    begins: Mapping[int, int],
    left: Mapping[int, int],
    collected: Mapping[int, list[ck.Message]],
    patience_s: float,
) -> str:
    """Where each partition that was not read to its end stands, in one line."""
    places = []
    for partition, end in sorted(left.items()):
        got = collected[partition]
        at = got[-1].offset() + 1 if got else begins[partition]
        places.append(f"partition {partition} stands at {at} of {end}")
    return f"{topic} was not read to the end within {patience_s:.0f} s: {', '.join(places)}"


def to_columns(collected: Mapping[int, list[ck.Message]]) -> Fetched:
    """Messages by partition as columns, in the order (partition, offset)."""
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
