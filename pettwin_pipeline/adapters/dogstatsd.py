"""Points to a Datadog Agent, or to anything that speaks DogStatsD, through Datadog's own client.

Imported only when this transport is chosen. Buffered into datagrams, the values of a distribution
packed into one line (`name:1:2:3|d|#tags`, protocol 1.1). Over UDP nobody acknowledges; what the
client could not send, and what the kernel knows was refused, is counted as dropped.
"""

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from datadog.dogstatsd.base import (
    UDP_OPTIMAL_PAYLOAD_LENGTH,
    UDS_OPTIMAL_PAYLOAD_LENGTH,
    DogStatsd,
)

from pettwin_pipeline.adapters.telemetry import (
    DogStatsdAddress,
    SendReport,
    TransportName,
    report_of,
)
from pettwin_pipeline.metrics.catalogue import Kind
from pettwin_pipeline.metrics.points import Point

TYPE_LETTERS: Final[dict[Kind, str]] = {"count": "c", "gauge": "g", "distribution": "d"}
_ROOM: Final = 256
"""Bytes of a line that we do not see: punctuation, sample rate, container id, external data."""
_MOST_LOSSES: Final = 3
"""Datagrams lost one after the other: nobody listens, and the rest is not tried."""


class DogStatsdTransport:
    """Sends points as datagrams.

    Args:
        address: of the Agent.
        constant_tags: `key:value` of env, service and version.
        namespace: put before every name, with a dot between; empty for none.
        packet_timeout_s: how long one datagram may wait for room in the socket.
        deadline_s: how long one sending may take; the lookup of a host name is not bounded by it.
        monotonic: the clock of the deadline.
    """

    name: Final[TransportName] = "dogstatsd"

    def __init__(
        self,
        address: DogStatsdAddress,
        *,
        constant_tags: Sequence[str] = (),
        namespace: str = "",
        packet_timeout_s: float = 0.1,
        deadline_s: float = 2.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        by_path = address.socket_path is not None
        client = DogStatsd(
            host=None if by_path else address.host,
            port=None if by_path else address.port,
            socket_path=address.socket_path,
            namespace=namespace or None,
            socket_timeout=packet_timeout_s,
            # The client counts what it drops only while its own telemetry is on. It stays on and
            # is never due: not a line of datadog.dogstatsd.client.* goes out.
            telemetry_min_flush_interval=float("inf"),
            track_instance=False,
        )
        # The client adds DD_ENV, DD_SERVICE and DD_VERSION of its own accord: not twice.
        entity = [tag for tag in client.constant_tags if tag.startswith("dd.internal.")]
        client.constant_tags = [*constant_tags, *entity]
        self._client: Any = client
        self._most_bytes = UDS_OPTIMAL_PAYLOAD_LENGTH if by_path else UDP_OPTIMAL_PAYLOAD_LENGTH
        self._fixed_bytes = _ROOM + len(namespace) + len(",".join(client.constant_tags).encode())
        self._deadline_s = deadline_s
        self._monotonic = monotonic

    def send(self, points: Sequence[Point], now_s: float) -> SendReport:
        """Send points; a point is accepted when every datagram with a part of it left.

        `now_s` is not used: the Agent stamps what has no time of its own.
        """
        del now_s
        sending = _Sending(self._client)
        deadline = self._monotonic() + self._deadline_s
        with self._client:
            for index, point in enumerate(points):
                if reason := self._hopeless(sending, deadline):
                    sending.lose(range(index, len(points)), reason)
                    break
                for line in self._packed(point):
                    sending.add(index, point, line)
            sending.flush()
        self._client.close_socket()
        return report_of(self.name, len(points), Counter(sending.lost.values()))

    def _hopeless(self, sending: "_Sending", deadline: float) -> str | None:
        if sending.losses_in_a_row >= _MOST_LOSSES:
            return "socket"
        return "deadline" if self._monotonic() >= deadline else None

    def _packed(self, point: Point) -> Iterator[str]:
        """The values of a point, joined into as few lines as datagrams have room for."""
        used = len(point.name) + len(str(point.tags)) + self._fixed_bytes
        room = max(self._most_bytes - used, 32)
        line = ""
        for value in point.values:
            text = _render_number(value)
            if line and len(line) + 1 + len(text) > room:
                yield line
                line = text
            else:
                line = f"{line}:{text}" if line else text
        yield line


class _Sending:
    """Which points are in the client's buffer, and which of them were lost with a datagram."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._waiting: set[int] = set()
        self._timed = False
        self._counters = self._read()
        self.lost: dict[int, str] = {}
        self.losses_in_a_row = 0

    def add(self, index: int, point: Point, values: str) -> None:
        """Put one line into the buffer, which may push the lines before it out as a datagram."""
        timed = point.timestamp_s is not None
        if timed != self._timed:  # the client has a buffer for each: one at a time can be followed
            self.flush()
        self._timed = timed
        # `_report` is what the client's own methods and its aggregator call. The public methods
        # throw dice over a sample rate; `sampling=False` says that the sample is taken already.
        self._client._report(  # noqa: SLF001
            point.name,
            TYPE_LETTERS[point.kind],
            values,
            [f"{key}:{value}" for key, value in point.tags],
            1 if point.sample_rate == 1.0 else point.sample_rate,
            timestamp=point.timestamp_s or 0,
            sampling=False,
        )
        if self._read() != self._counters:
            self._settle()
        self._waiting.add(index)

    def flush(self) -> None:
        """Let go of what is in the buffer."""
        self._client.flush()
        self._settle()

    def _settle(self) -> None:
        """What was in the buffer has left or is lost, says the client, or the kernel."""
        sent, dropped = self._counters
        self._counters = now_sent, now_dropped = self._read()
        if not self._waiting:
            return
        if now_dropped > dropped or self._was_refused():
            self.losses_in_a_row += 1
            self.lose(self._waiting, "socket")
        elif now_sent == sent:
            self.lose(self._waiting, "disabled")
        else:
            self.losses_in_a_row = 0
        self._waiting = set()

    def lose(self, indexes: "set[int] | range", reason: str) -> None:
        """Note points as dropped."""
        self.lost.update(dict.fromkeys(indexes, reason))

    def _read(self) -> tuple[int, int]:
        return self._client.packets_sent, self._client.packets_dropped

    def _was_refused(self) -> bool:
        """Whether the host said that nobody listens: a datagram that left is lost all the same."""
        current = self._client.socket
        return bool(current and current.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def _render_number(value: float) -> str:
    """A whole number without `.0`, anything else in the shortest form that reads back the same."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)  # noqa: PLR2004
