"""Logs as they are kept, and what a search sees of them."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from pettwin_pipeline.datadog_protocol.payloads import LogEntry
from pettwin_pipeline.datadog_protocol.searching import Document as Found
from pettwin_pipeline.emulator.clock import parse_moment
from pettwin_pipeline.emulator.resources.event_store import encode_place
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

OLDEST_S: Final = 18 * 3600
TOO_OLD: Final = "more than 18 hours old"


def keep_logs(state: State, logs: tuple[LogEntry, ...]) -> list[LogEntry]:
    """Keep logs; those are given back that are too old to be kept.

    Their time is that of `timestamp` or `date` among their attributes, or now.
    """
    now_ms = state.clock.now_ms()
    rows, old = [], []
    for log in logs:
        at_ms = _time_ms(log.attributes, now_ms)
        if at_ms < now_ms - OLDEST_S * 1000:
            old.append(log)
            continue
        key = encode_place(at_ms, state.dice.hexadecimal(18))
        document: Document = {
            "id": key,
            "timestamp_ms": at_ms,
            "message": log.message,
            "source": log.source,
            "service": log.service,
            "host": log.host,
            "status": log.status or "info",
            "tags": list(log.tags),
            "attributes": log.attributes,
        }
        rows.append((at_ms, key, document))
    state.timeline.keep_all("log", rows)
    return old


def _time_ms(attributes: dict[str, Any], now_ms: int) -> int:
    for name in ("timestamp", "date", "@timestamp"):
        told = attributes.get(name)
        try:
            if isinstance(told, int | float) and not isinstance(told, bool):
                return _plausible(int(told), now_ms)
            if isinstance(told, str):
                return int(parse_moment(told).timestamp() * 1000)
        except (ValueError, OverflowError):
            continue
    return now_ms


def _plausible(told: int, now_ms: int) -> int:
    """Milliseconds, whatever of seconds, milliseconds, micro- and nanoseconds was told."""
    for unit in (1000.0, 1.0, 1e-3, 1e-6):
        moment = told * unit
        if abs(moment - now_ms) < abs(now_ms) / 2:
            return int(datetime.fromtimestamp(moment / 1000, UTC).timestamp() * 1000)
    return now_ms


def timed_logs(state: State, from_s: float, to_s: float) -> Iterator[tuple[float, Found]]:
    """When, and what a search sees: from one time to another, both included, newest first."""
    for one in state.timeline.between("log", math.ceil(from_s * 1000), math.floor(to_s * 1000)):
        yield one["timestamp_ms"] / 1000, log_record_of(one)


def log_record_of(log: Document) -> Found:
    """What a search sees."""
    facts = {name: log.get(name) for name in ("source", "service", "host", "status")}
    return Found(
        text=log["message"],
        tags=tuple(log["tags"]),
        fields={name: str(value) for name, value in facts.items() if value is not None},
        attributes=log["attributes"],
    )
