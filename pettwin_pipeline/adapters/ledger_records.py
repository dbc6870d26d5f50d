"""Ranges and leases of the ledger, as values and as rows, and when a range is asked for again.

Knows one row at a time; what belongs together in a transaction is decided where it is begun.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from pettwin_pipeline.adapters import ledger_tables as t
from pettwin_pipeline.batches import OffsetRange, encode_parts, parse_parts

REQUEST_GRACE_S: Final = 120.0
"""A requested run that has not taken its lease by then is requested again."""
Status = Literal["waiting", "requested", "running", "failed", "parked", "done", "cut", "skipped"]
"""waiting: behind the other half of a range that failed; parked: it failed too often and waits for
a person; cut: its halves, or what the broker kept of it, stand for it; skipped: by a person."""
FINISHED: Final = ("done", "cut", "skipped")


@dataclass(frozen=True, slots=True)
class RangeRecord:
    """One range and how it stands."""

    id: int
    range: OffsetRange
    status: Status
    attempt: int
    failures: int
    """Of this range and of those that it was cut out of."""
    requested_s: float
    not_before_s: float
    run_id: str | None
    error: str | None
    counts: dict[str, Any]
    finished_s: float | None
    reported_s: float | None
    compacted_s: float | None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one run to work on a lane; `token` grows with every holder."""

    topic: str
    epoch: str
    lane: int
    run_id: str
    token: int
    taken_s: float
    expires_s: float


def is_range(wanted: OffsetRange) -> sa.ColumnElement[bool]:
    """The rows of exactly this range."""
    return (
        (t.ranges.c.topic == wanted.topic)
        & (t.ranges.c.epoch == wanted.epoch)
        & (t.ranges.c.lane == wanted.lane)
        & (t.ranges.c.parts == encode_parts(wanted.parts))
    )


def record_of(row: Any) -> RangeRecord:
    """A row of the table of ranges."""
    return RangeRecord(
        id=row.id,
        range=OffsetRange(row.topic, row.epoch, row.lane, parse_parts(row.parts)),
        status=row.status,
        attempt=row.attempt,
        failures=row.failures,
        requested_s=row.requested_s,
        not_before_s=row.not_before_s,
        run_id=row.run_id,
        error=row.error,
        counts=json.loads(row.counts or "{}"),
        finished_s=row.finished_s,
        reported_s=row.reported_s,
        compacted_s=row.compacted_s,
    )


def due(record: RangeRecord, leases: Iterable[Lease], now_s: float) -> str | None:
    """Why an unfinished range should be requested again now; None where it should not.

    A failed one after its back-off; a running one whose lease ran out; a requested one whose run
    never came.
    """
    one = record.range
    held = any(
        lease.lane == one.lane and lease.run_id == record.run_id and lease.expires_s > now_s
        for lease in leases
    )
    if record.status == "failed":
        return (record.error or "it failed") if now_s >= record.not_before_s else None
    if record.status == "running":
        return None if held else f"run {record.run_id} stopped without a word"
    if record.status != "requested":
        return None
    waited = now_s - record.requested_s
    return "the run never started" if waited > REQUEST_GRACE_S else None


def insert_range(sql: sa.Connection, wanted: OffsetRange, now_s: float, **more: Any) -> RangeRecord:
    """Write a row for a range, requested unless told otherwise."""
    values = {
        "topic": wanted.topic,
        "epoch": wanted.epoch,
        "lane": wanted.lane,
        "parts": encode_parts(wanted.parts),
        "status": "requested",
        "attempt": 1,
        "requested_s": now_s,
        "not_before_s": now_s,
    }
    sql.execute(sa.insert(t.ranges).values(**values | more))
    return known_range(sql, wanted)


def known_range(sql: sa.Connection, wanted: OffsetRange) -> RangeRecord:
    """The latest row of exactly this range."""
    latest = sa.select(t.ranges).where(is_range(wanted)).order_by(t.ranges.c.id.desc()).limit(1)
    return record_of(sql.execute(latest).one())


def failures_of(record: RangeRecord) -> int:
    """A run that died without a word has failed too; nobody was left to count it."""
    return record.failures + (record.status == "running")
