"""Sending many messages: paced, counted in the delivery callbacks, reported, and never dropped.

One `Sender` serves `simulate`, `replay` and the demo. The embedded broker drops the oldest messages
of a full partition; the sender waits for the pipeline to read before that happens, and says so
where nobody reads. Knows messages as bytes.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from types import TracebackType
from typing import Final, Self

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_messages import Deliveries, Outgoing, send
from pettwin_pipeline.adapters.telemetry import Tally, make_transport
from pettwin_pipeline.errors import BrokerUnreachableError, DeliveryFailedError, PettwinError
from pettwin_pipeline.metrics.points import Recorder
from pettwin_pipeline.metrics.upkeep import record_deliveries, record_heartbeat
from pettwin_pipeline.settings import Settings

REPORT_EVERY_S: Final = 10.0
CALLS: Final = 3
"""An acknowledgement may take as long as so many calls to the broker."""
EMBEDDED_ROOM_BYTES: Final = 4 * 1024 * 1024
"""Unread bytes of a partition beyond which the sender waits; the broker keeps 5 MiB of each."""
PIECE_BYTES: Final = 512 * 1024
"""Handed to the client between two looks at the room: with it a partition stays below 5 MiB."""
OVERHEAD_BYTES: Final = 80
"""Of a message that makes a message set of its own."""
PATIENCE_S: Final = 30.0
"""How long the sender waits for somebody to read before it goes on without."""
_FLUSH_GRACE_S: Final = 5.0
_LOOK_S: Final = 0.2


class Sender:
    """Sends messages to topics; as a context manager it leaves nothing unsent or unreported.

    Args:
        settings: addresses, group, metrics.
        kafka: the broker.
        topics: everything that will be sent to; they must exist.
        say: takes a line for people.
        idle: called while waiting, for example to look after other processes.
        patience_s: how long it waits for somebody to read from the embedded broker.
    """

    def __init__(
        self,
        settings: Settings,
        kafka: Kafka,
        topics: Sequence[str],
        *,
        say: Callable[[str], None] = lambda _: None,
        idle: Callable[[], None] = lambda: None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        for topic in topics:
            kafka.partitions(topic)
        self._settings = settings
        self._kafka = kafka
        self._say = say
        self._idle = idle
        self._patience_s = patience_s
        self._acked_within_s = max(1.0, CALLS * settings.kafka_timeout_s)
        self._producer = kafka.producer(
            **{"delivery.timeout.ms": round(1000 * self._acked_within_s)}
        )
        self._deliveries = {topic: Deliveries() for topic in topics}
        self._reported = dict.fromkeys(topics, (0, 0))
        self._sent = dict.fromkeys(topics, 0)
        self._bytes = 0
        self._next_report_s = time.monotonic() + REPORT_EVERY_S
        self._transport = make_transport(settings, self._count, "producer")
        self._guarded = kafka.broker.kind == "embedded"
        self._counted = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self._give_up()
            self._report()

    @property
    def acked(self) -> int:
        """Messages that the broker has acknowledged."""
        return sum(one.acked for one in self._deliveries.values())

    def acked_of(self, topic: str) -> int:
        """The same, of one topic."""
        return self._deliveries[topic].acked

    def send(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Hand messages to the client; waits where the embedded broker has no room.

        Raises:
            DeliveryFailedError: the broker did not acknowledge an earlier message.
        """
        on_delivery = self._deliveries[topic].on_delivery
        for piece in _pieces(messages):
            if self._guarded:
                self._await_room()
            for one in piece:
                send(self._producer, topic, one, on_delivery)
                self._bytes += _size(one)
            self._sent[topic] += len(piece)
            self._check()
            if time.monotonic() >= self._next_report_s:
                self._report()

    def wait(self, seconds: float) -> None:
        """Wait, while deliveries are taken in and points are sent."""
        end_s = time.monotonic() + seconds
        while (left := end_s - time.monotonic()) > 0:
            self._producer.poll(min(left, _LOOK_S))
            self._idle()
            if time.monotonic() >= self._next_report_s:
                self._report()

    def finish(self) -> None:
        """Wait until everything is acknowledged.

        Raises:
            DeliveryFailedError: something was not.
        """
        self._flush()
        if self.acked != sum(self._sent.values()):
            self._give_up()
        self._report()
        self._check()

    def _flush(self) -> None:
        """Until every message is acknowledged or has failed."""
        self._producer.flush(self._acked_within_s + _FLUSH_GRACE_S)

    def _give_up(self) -> None:
        """What is not acknowledged by now is never sent, and counts as failed."""
        self._producer.purge()
        self._producer.poll(0)

    def _check(self) -> None:
        for topic, one in self._deliveries.items():
            if one.failed:
                raise DeliveryFailedError(
                    f"{one.failed} of {self._sent[topic]} messages to {topic} at "
                    f"{self._kafka.broker.bootstrap} were not delivered: {one.first_error}; look "
                    "at the broker, then send them again"
                )

    def _await_room(self) -> None:
        """Until the largest backlog of a partition has room in the embedded broker."""
        mean_bytes = self._bytes / max(1, sum(self._sent.values()))
        last_s, least = time.monotonic(), None
        while (backlog := self._backlog()) * mean_bytes >= EMBEDDED_ROOM_BYTES:
            if least is None or backlog < least:
                last_s, least = time.monotonic(), backlog
            if time.monotonic() - last_s > self._patience_s:
                self._guarded = False
                self._say(
                    f"nobody reads {self._settings.kafka_topic} ({backlog:,} messages wait in one "
                    "partition): the embedded broker will drop the oldest; start the pipeline "
                    "with `pettwin up --dagster`"
                )
                return
            self.wait(_LOOK_S)

    def _backlog(self) -> int:
        """Messages that nobody has read yet, of the partition that has most of them."""
        self._flush()
        self._check()
        try:
            return max(self._kafka.lag(self._settings.kafka_topic).values())
        except BrokerUnreachableError as error:
            raise DeliveryFailedError(
                f"{self.acked:,} messages were acknowledged, then {error}"
            ) from None

    def _report(self) -> None:
        self._next_report_s = time.monotonic() + REPORT_EVERY_S
        recorder = Recorder()
        record_heartbeat(recorder, "producer")
        for topic, one in self._deliveries.items():
            acked, failed = self._reported[topic]
            self._reported[topic] = one.acked, one.failed
            latencies, one.latencies_ms = one.latencies_ms, []
            record_deliveries(recorder, topic, one.acked - acked, one.failed - failed, latencies)
        self._transport.send(recorder.drain(), time.time())

    def _count(self, tallies: Mapping[str, Tally]) -> None:
        """Keep the tallies; points are never in the way, so a ledger that fails is only told."""
        from sqlalchemy.exc import SQLAlchemyError

        from pettwin_pipeline.adapters.ledger import open_ledger

        try:
            with closing(open_ledger(self._settings.ledger_url)) as ledger:
                ledger.outcomes.add_tallies(tallies)
        except (PettwinError, SQLAlchemyError, OSError) as error:
            if self._counted:
                self._say(f"points are not counted: {error}")
            self._counted = False


def _pieces(messages: Sequence[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    """The messages in their order, in pieces of PIECE_BYTES at most or of one message."""
    first = size = 0
    for at, one in enumerate(messages):
        size += _size(one)
        if size > PIECE_BYTES and at > first:
            yield messages[first:at]
            first, size = at, _size(one)
    if first < len(messages):
        yield messages[first:]


def _size(one: Outgoing) -> int:
    return len(one.value or b"") + len(one.key or b"") + OVERHEAD_BYTES
