"""Sending many messages: paced, counted in the delivery callbacks, reported, and never dropped.

One `Sender` serves `simulate`, `replay` and the demo. The embedded broker drops the oldest messages
of a full partition; the sender waits for the pipeline to read before that happens, and says so
where nobody reads. Knows messages as bytes.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from pettwin_pipeline.adapters.kafka import Deliveries, Kafka, Outgoing, send
from pettwin_pipeline.adapters.telemetry import Tally, make_transport
from pettwin_pipeline.errors import DeliveryFailedError
from pettwin_pipeline.metrics.points import Recorder
from pettwin_pipeline.metrics.upkeep import record_deliveries, record_heartbeat
from pettwin_pipeline.settings import Settings

REPORT_EVERY_S: Final = 10.0
FLUSH_S: Final = 60.0
EMBEDDED_ROOM_BYTES: Final = 4 * 1024 * 1024
"""Unread bytes of a partition beyond which the sender waits; the broker keeps 5 MiB of each."""
PATIENCE_S: Final = 30.0
"""How long the sender waits for somebody to read before it goes on without."""
_LOOK_S: Final = 0.2


class Sender:
    """Sends messages to topics; as a context manager it leaves nothing unsent or unreported.

    Args:
        settings: addresses, group, metrics.
        kafka: the broker.
        topics: everything that will be sent to; they must exist.
        say: takes a line for people.
        idle: called while waiting, for example to look after other processes.
    """

    def __init__(
        self,
        settings: Settings,
        kafka: Kafka,
        topics: Sequence[str],
        *,
        say: Callable[[str], None] = lambda _: None,
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        for topic in topics:
            kafka.partitions(topic)
        self._settings = settings
        self._kafka = kafka
        self._say = say
        self._idle = idle
        self._producer = kafka.producer()
        self._deliveries = {topic: Deliveries() for topic in topics}
        self._reported = dict.fromkeys(topics, (0, 0))
        self._sent = dict.fromkeys(topics, 0)
        self._bytes = 0
        self._next_report_s = time.monotonic() + REPORT_EVERY_S
        self._transport = make_transport(settings, self._count, "producer")
        self._guarded = kafka.broker.kind == "embedded"

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
            self._producer.purge()

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
        if self._guarded and messages:
            self._await_room()
        on_delivery = self._deliveries[topic].on_delivery
        for one in messages:
            send(self._producer, topic, one, on_delivery)
            self._bytes += len(one.value or b"") + len(one.key or b"")
        self._sent[topic] += len(messages)
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
        self._producer.flush(FLUSH_S)
        self._report()
        self._check()
        missing = sum(self._sent.values()) - self.acked
        if missing:
            raise DeliveryFailedError(
                f"{missing} messages were not acknowledged within {FLUSH_S:.0f} s by "
                f"{self._kafka.broker.bootstrap}: look at the broker, then send them again"
            )

    def _check(self) -> None:
        for topic, one in self._deliveries.items():
            if one.failed:
                raise DeliveryFailedError(
                    f"{one.failed} of {self._sent[topic]} messages to {topic} were not delivered: "
                    f"{one.first_error}; look at the broker, then send them again"
                )

    def _await_room(self) -> None:
        """Until the largest backlog of a partition has room in the embedded broker."""
        topic = self._settings.kafka_topic
        mean_bytes = self._bytes / max(1, sum(self._sent.values()))
        last_s, least = time.monotonic(), None
        while True:
            self._producer.flush(FLUSH_S)
            backlog = max(self._kafka.lag(topic).values())
            if backlog * mean_bytes < EMBEDDED_ROOM_BYTES:
                return
            if least is None or backlog < least:
                last_s, least = time.monotonic(), backlog
            if time.monotonic() - last_s > PATIENCE_S:
                self._guarded = False
                self._say(
                    f"nobody reads {topic} ({backlog:,} messages wait in one partition): the "
                    "embedded broker will drop the oldest; start the pipeline with "
                    "`pettwin up --dagster`"
                )
                return
            self.wait(_LOOK_S)

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
        from pettwin_pipeline.adapters.ledger import open_ledger

        ledger = open_ledger(self._settings.ledger_url)
        ledger.outcomes.add_tallies(tallies)
        ledger.close()
