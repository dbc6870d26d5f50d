"""Messages on their way in and out: as values, as columns, and how they are handed to a client.

Knows bytes and offsets, not which topic they mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import confluent_kafka as ck
import numpy as np
import numpy.typing as npt

from pettwin_pipeline.batches import PartitionRange
from pettwin_pipeline.errors import DeliveryFailedError

OnDelivery = Callable[[ck.KafkaError | None, ck.Message], None]
"""What a client calls with what became of a message."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """Messages in the order (partition, offset). Arrays have one entry a message."""

    values: list[bytes | None]
    keys: list[bytes | None]
    partitions: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    kafka_ms: npt.NDArray[np.int64]
    """The message's timestamp; -1 where it has none."""
    headers: list[dict[str, bytes]] | None = None
    """By name, the last of the same name; only where they were asked for: they cost half as much
    as the message itself."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent."""

    key: bytes | None
    value: bytes | None
    timestamp_ms: int = 0
    """0: the time of sending."""
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = -1
    """-1: by its key, as every producer of ours does."""


@dataclass(slots=True)
class Deliveries:
    """What became of messages that were sent, counted in the delivery callback."""

    acked: int = 0
    failed: int = 0
    first_error: str | None = None
    latencies_ms: list[float] = field(default_factory=list)
    too_large: list[Outgoing] = field(default_factory=list)
    """Messages that the topic does not take, of those sent with `on_delivery_where_it_fits`."""

    def on_delivery_of(self, _one: Outgoing) -> OnDelivery:
        """The callback for one message."""
        return self.on_delivery

    def on_delivery_where_it_fits(self, one: Outgoing) -> OnDelivery:
        """The callback for one message that may turn out to be too large: that is no failure."""

        def told(error: ck.KafkaError | None, message: ck.Message) -> None:
            if error is not None and error.code() == ck.KafkaError.MSG_SIZE_TOO_LARGE:
                self.too_large.append(one)
            else:
                self.on_delivery(error, message)

        return told

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
    on_delivery: OnDelivery,
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
                partition=one.partition,
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


class Harvest:
    """What was read of a range so far, and which of its partitions are not at their end yet.

    Works on whole batches: a Python loop over each message would cost more than reading it.
    """

    def __init__(self, parts: Sequence[PartitionRange]) -> None:
        self._parts = parts
        last = max((part.partition for part in parts), default=-1)
        self._ends = np.full(last + 1, -1, np.int64)
        for part in parts:
            self._ends[part.partition] = part.end
        self._pieces: list[_Piece] = []
        self.left = {part.partition: part.end for part in parts}
        """End by partition, of those that are not there yet."""

    def take(self, batch: Sequence[ck.Message]) -> bool:
        """Take a batch in, without errors; whether it brought a partition on."""
        if not batch:
            return False
        partitions = np.fromiter(map(ck.Message.partition, batch), np.int32, len(batch))
        offsets = np.fromiter(map(ck.Message.offset, batch), np.int64, len(batch))
        before = len(self.left)
        for partition in np.unique(partitions).tolist():
            self.reach(partition, int(offsets[partitions == partition].max()) + 1)
        wanted = offsets < self._ends[partitions]
        if wanted.any():
            kept = batch if wanted.all() else [batch[n] for n in np.flatnonzero(wanted).tolist()]
            self._pieces.append(_Piece(kept, partitions[wanted], offsets[wanted]))
        return len(self.left) < before or bool(wanted.any())

    def reach(self, partition: int, position: int) -> None:
        """The position of a partition is here now; past holes it moves without a message."""
        if position >= self.left.get(partition, position + 1):
            del self.left[partition]

    def describe_left(self) -> str:
        """Where each partition that is not at its end stands."""
        at = {part.partition: part.start for part in self._parts}
        for piece in self._pieces:
            for partition in np.unique(piece.partitions).tolist():
                at[partition] = int(piece.offsets[piece.partitions == partition].max()) + 1
        places = [f"partition {p} stands at {at[p]} of {end}" for p, end in self.left.items()]
        return ", ".join(sorted(places))

    def to_columns(self, *, with_headers: bool = False) -> Fetched:
        """Everything, in the order (partition, offset)."""
        messages = [one for piece in self._pieces for one in piece.messages]
        partitions = _joined([piece.partitions for piece in self._pieces], np.int32)
        offsets = _joined([piece.offsets for piece in self._pieces], np.int64)
        order = np.lexsort((offsets, partitions))
        messages = [messages[n] for n in order.tolist()]
        stamps = map(ck.Message.timestamp, messages)
        return Fetched(
            values=list(map(ck.Message.value, messages)),
            keys=list(map(ck.Message.key, messages)),
            partitions=partitions[order],
            offsets=offsets[order],
            kafka_ms=np.fromiter(map(_stamp_ms, stamps), np.int64, len(messages)),
            headers=[dict(one.headers() or ()) for one in messages] if with_headers else None,
        )


@dataclass(frozen=True, slots=True)
class _Piece:
    """Messages of one batch; arrays have one entry a message."""

    messages: Sequence[ck.Message]
    partitions: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]


def _joined(arrays: Sequence[npt.NDArray[Any]], kind: type[np.generic]) -> npt.NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.empty(0, kind)


def _stamp_ms(stamp: tuple[int, int]) -> int:
    kind, time_ms = stamp
    return -1 if kind == ck.TIMESTAMP_NOT_AVAILABLE else time_ms
