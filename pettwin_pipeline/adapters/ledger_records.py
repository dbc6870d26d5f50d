"""What the ledger says of ranges and leases, as values, and when a range is asked for again.

Knows the rows of the tables, not how they are written.
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
Status = Literal["requested", "running", "failed", "done", "cut"]
"""`cut`: the broker dropped a part of it unread; what was left is a range of its own."""
FINISHED: Final = ("done", "cut")


@dataclass(frozen=True, slots=True)
class RangeRecord:
    """One range and how it stands."""

    id: int
    range: OffsetRange
    status: Status
    attempt: int
    requested_s: float
    not_before_s: float
    run_id: str | None
    error: str | None
    counts: dict[str, Any]
    finished_s: float | None
    reported_s: float | None


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
        requested_s=row.requested_s,
        not_before_s=row.not_before_s,
        run_id=row.run_id,
        error=row.error,
        counts=json.loads(row.counts or "{}"),
        finished_s=row.finished_s,
        reported_s=row.reported_s,
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
    waited = now_s - record.requested_s
    return "the run never started" if waited > REQUEST_GRACE_S else None
