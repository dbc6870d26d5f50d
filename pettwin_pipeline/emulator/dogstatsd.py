"""DogStatsD: what its datagrams bring goes to the stores of points, events and checks."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pettwin_pipeline.datadog_protocol.datagram import Event, ServiceCheck
from pettwin_pipeline.emulator.buckets import keep_points, settle
from pettwin_pipeline.emulator.datagrams import (
    DatagramReader,
    dropped_by_kernel,
    same_port_of_ipv6,
    udp_socket,
    unix_socket,
)
from pettwin_pipeline.emulator.resources.check_store import keep_checks
from pettwin_pipeline.emulator.resources.event_store import keep_event
from pettwin_pipeline.emulator.state import State

log = logging.getLogger(__name__)
TICK_S: Final = 1.0
"""So long after its end at most a bucket is stored."""


def take_datagrams(state: State, batch: bytes, datagrams: int = 1, lost: int = 0) -> None:
    """Take datagrams with a line feed between."""
    if share := state.faults.dropped_share:
        kept = [line for line in batch.split(b"\n") if state.dice.share() >= share]
        batch = b"\n".join(kept)
    others = state.received.take(batch, state.clock.now_s())
    keep_checks(state, (one for one in others if isinstance(one, ServiceCheck)))
    for one in others:
        if isinstance(one, Event):
            _keep_event(state, one)
    settle(state)
    state.received.took(datagrams, lost)


def _keep_event(state: State, event: Event) -> None:
    at_ms = state.clock.now_ms() if event.timestamp_s is None else event.timestamp_s * 1000
    status = {"warning": "warn", "success": "ok"}.get(event.alert_type, event.alert_type)
    keep_event(
        state,
        {
            "title": event.title,
            "text": event.text,
            "tags": list(event.tags),
            "timestamp_ms": at_ms,
            "host": event.host,
            "priority": event.priority,
            "status": status,
            "alert_type": event.alert_type,
            "source": (event.source_type_name or "api").lower(),
            "aggregation_key": event.aggregation_key,
        },
    )


@contextlib.contextmanager
def listening(
    state: State, port: int = 0, path: Path | None = None
) -> Iterator[tuple[int, Path | None]]:
    """Take DogStatsD for as long as the block runs; the UDP port, and the path of the socket.

    Args:
        state: where it goes.
        port: of UDP; 0, or one that is taken: a free one.
        path: of a unix socket besides; None: none.

    Raises:
        StackError: the path cannot be used.
    """
    udp = udp_socket(port)
    port = int(udp.getsockname()[1])
    sources = [udp, *filter(None, [same_port_of_ipv6(port)])]
    state.received.kernel_drops = lambda: dropped_by_kernel(port)
    if path is not None:
        try:
            sources.append(unix_socket(path))
        except BaseException:
            for one in sources:
                one.close()
            raise
    ended = threading.Event()
    ticker = threading.Thread(target=_tick, args=(state, ended), name="buckets", daemon=True)
    reader = DatagramReader(sources, lambda *told: take_datagrams(state, *told))
    ticker.start()
    try:
        yield port, path
    finally:
        reader.close()
        ended.set()
        ticker.join()
        keep_points(state, state.received.all(state.clock.now_s()), "dogstatsd")
        if path is not None:
            path.unlink(missing_ok=True)


def _tick(state: State, ended: threading.Event) -> None:
    while not ended.wait(TICK_S):
        try:
            settle(state)
            state.points.tidy(state.clock.now_s())
        except Exception:
            log.exception("what is done every second failed; it is tried again")
