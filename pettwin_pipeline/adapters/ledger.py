"""The ledger: what was read, by whom, and what came of it. The truth that Dagster and Kafka mirror.

Every write of a run is fenced: it counts only while the run holds the lease of its lane. A range is
decided once (`request`) and stays as it is until it is done. Knows SQL; what to read next is
decided in `batches`, and time is handed in.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from pettwin_pipeline.adapters import ledger_tables as t
from pettwin_pipeline.adapters.ledger_outcomes import Outcomes, keep_alerts, keep_episodes
from pettwin_pipeline.batches import Gap, OffsetRange, backoff_s, encode_parts, parse_parts
from pettwin_pipeline.detection.alerts import Alert
from pettwin_pipeline.detection.episodes import Episode
from pettwin_pipeline.errors import LeaseLostError

REQUEST_GRACE_S: Final = 120.0
"""A requested run that has not taken its lease by then is requested again."""
Status = Literal["requested", "running", "failed", "done"]


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


class Ledger:
    """Reads and writes of the ledger; each method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.outcomes = Outcomes(engine)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    # ranges

    def positions(self, topic: str, epoch: str) -> dict[int, int]:
        """Next offset to read of each partition that was read before."""
        where = (t.positions.c.topic == topic) & (t.positions.c.epoch == epoch)
        with self._engine.begin() as sql:
            rows = sql.execute(
                sa.select(t.positions.c.partition, t.positions.c.next_offset).where(where)
            )
            return {row.partition: row.next_offset for row in rows}

    def unfinished(self, topic: str, epoch: str) -> list[RangeRecord]:
        """Ranges that are not done, oldest first."""
        where = (
            (t.ranges.c.topic == topic)
            & (t.ranges.c.epoch == epoch)
            & (t.ranges.c.status != "done")
        )
        return self._ranges(where)

    def recent(self, topic: str, most: int) -> list[RangeRecord]:
        """The last ranges of a topic, newest first."""
        with self._engine.begin() as sql:
            query = sa.select(t.ranges).where(t.ranges.c.topic == topic)
            rows = sql.execute(query.order_by(t.ranges.c.id.desc()).limit(most))
            return [_record(row) for row in rows]

    def last_error(self, topic: str) -> str | None:
        """Why an attempt failed, of the latest range in which one did, done since or not."""
        where = (t.ranges.c.topic == topic) & t.ranges.c.error.is_not(None)
        found = self._ranges(where)
        return found[-1].error if found else None

    def of_run(self, run_id: str) -> RangeRecord | None:
        """The range that a run works on or worked on."""
        found = self._ranges(t.ranges.c.run_id == run_id)
        return found[-1] if found else None

    def of_range(self, wanted: OffsetRange) -> RangeRecord | None:
        """How a range stands."""
        where = (
            (t.ranges.c.topic == wanted.topic)
            & (t.ranges.c.epoch == wanted.epoch)
            & (t.ranges.c.lane == wanted.lane)
            & (t.ranges.c.parts == encode_parts(wanted.parts))
        )
        found = self._ranges(where)
        return found[-1] if found else None

    def _ranges(self, where: sa.ColumnElement[bool]) -> list[RangeRecord]:
        with self._engine.begin() as sql:
            rows = sql.execute(sa.select(t.ranges).where(where).order_by(t.ranges.c.id))
            return [_record(row) for row in rows]

    def start_at(self, topic: str, epoch: str, offsets: Mapping[int, int]) -> None:
        """Note where partitions begin that were never read; known ones keep their position."""
        with self._engine.begin() as sql:
            for partition, offset in offsets.items():
                key = {"topic": topic, "epoch": epoch, "partition": partition}
                if sql.execute(sa.select(t.positions).filter_by(**key)).first() is None:
                    sql.execute(sa.insert(t.positions).values(**key, next_offset=offset))

    def note_gaps(self, topic: str, epoch: str, gaps: Iterable[Gap], now_s: float) -> None:
        """Record offsets that the broker dropped unread, and move their positions past them."""
        with self._engine.begin() as sql:
            for gap in gaps:
                key = {"topic": topic, "epoch": epoch, "partition": gap.partition}
                moved = sql.execute(
                    sa.update(t.positions)
                    .filter_by(**key, next_offset=gap.start)
                    .values(next_offset=gap.end)
                )
                if moved.rowcount:
                    sql.execute(
                        sa.insert(t.gaps).values(
                            **key, start_offset=gap.start, end_offset=gap.end, noticed_s=now_s
                        )
                    )

    def done_since(self, topic: str, since_s: float) -> list[RangeRecord]:
        """Ranges that were finished at or after `since_s`, oldest first."""
        return self._ranges((t.ranges.c.topic == topic) & (t.ranges.c.finished_s >= since_s))

    def of_id(self, range_id: int) -> RangeRecord | None:
        """The range with this number."""
        found = self._ranges(t.ranges.c.id == range_id)
        return found[0] if found else None

    def request(self, wanted: OffsetRange, now_s: float) -> RangeRecord:
        """Note that a range is to be read; a range that is known keeps its row."""
        known = self.of_range(wanted)
        if known is not None:
            return known
        with self._engine.begin() as sql:
            sql.execute(
                sa.insert(t.ranges).values(
                    topic=wanted.topic,
                    epoch=wanted.epoch,
                    lane=wanted.lane,
                    parts=encode_parts(wanted.parts),
                    status="requested",
                    attempt=1,
                    requested_s=now_s,
                    not_before_s=now_s,
                )
            )
        return self._known(wanted)

    def _known(self, wanted: OffsetRange) -> RangeRecord:
        record = self.of_range(wanted)
        assert record is not None  # noqa: S101  written a moment ago
        return record

    def request_again(
        self, record: RangeRecord, now_s: float, error: str | None = None
    ) -> RangeRecord:
        """The same range once more, unchanged, with the next attempt's number."""
        attempt = record.attempt + 1
        with self._engine.begin() as sql:
            sql.execute(
                sa.update(t.ranges)
                .where((t.ranges.c.id == record.id) & (t.ranges.c.attempt == record.attempt))
                .values(
                    status="requested",
                    attempt=attempt,
                    requested_s=now_s,
                    error=error or record.error,
                )
            )
        return self._known(record.range)

    # leases

    def leases(self, topic: str, epoch: str) -> list[Lease]:
        """Every lease that was ever taken, expired ones included."""
        where = (t.leases.c.topic == topic) & (t.leases.c.epoch == epoch)
        with self._engine.begin() as sql:
            return [
                Lease(**row._mapping)  # noqa: SLF001  SQLAlchemy's public name for it
                for row in sql.execute(sa.select(t.leases).where(where))
                if row.run_id is not None
            ]

    def begin(
        self, record: RangeRecord, attempt: int, run_id: str, now_s: float, lease_s: float
    ) -> Lease:
        """Take the lane and start an attempt of a range, as the ledger has it now.

        Raises:
            LeaseLostError: the lane is held by another run, or another attempt was requested since.
        """
        wanted = record.range
        key = {"topic": wanted.topic, "epoch": wanted.epoch, "lane": wanted.lane}
        with self._engine.begin() as sql:
            held = sql.execute(sa.select(t.leases).filter_by(**key).with_for_update()).one_or_none()
            if held is not None and held.run_id not in {None, run_id} and held.expires_s > now_s:
                raise LeaseLostError(f"lane {wanted.lane} is held by run {held.run_id}")
            token = 1 if held is None else held.token + 1
            values = {
                "run_id": run_id,
                "token": token,
                "taken_s": now_s,
                "expires_s": now_s + lease_s,
            }
            if held is None:
                sql.execute(sa.insert(t.leases).values(**key, **values))
            else:
                sql.execute(sa.update(t.leases).filter_by(**key).values(**values))
            started = sql.execute(
                sa.update(t.ranges)
                .filter_by(id=record.id, attempt=attempt, status="requested")
                .values(status="running", run_id=run_id)
            )
            if started.rowcount != 1:
                raise LeaseLostError(
                    f"attempt {attempt} of {wanted.text} is not wanted any more: look at "
                    "`pettwin status` for how this range stands"
                )
        return Lease(**key, **values)  # type: ignore[arg-type]

    def lease_of(self, record: RangeRecord, run_id: str) -> Lease:
        """The lease that a run holds on the lane of its range.

        Raises:
            LeaseLostError: it holds none any more.
        """
        one = record.range
        for lease in self.leases(one.topic, one.epoch):
            if lease.lane == one.lane and lease.run_id == run_id:
                return lease
        raise LeaseLostError(f"run {run_id} does not hold lane {one.lane} any more")

    def renew(self, lease: Lease, now_s: float, lease_s: float) -> None:
        """Hold the lane for longer.

        Raises:
            LeaseLostError: another run holds it now.
        """
        with self._engine.begin() as sql:
            self._fence(sql, lease, expires_s=now_s + lease_s)

    def _fence(self, sql: sa.Connection, lease: Lease, **values: Any) -> None:
        """Change the lease's row, which is locked until the transaction ends, or refuse."""
        changed = sql.execute(
            sa.update(t.leases)
            .where(
                (t.leases.c.topic == lease.topic)
                & (t.leases.c.epoch == lease.epoch)
                & (t.leases.c.lane == lease.lane)
                & (t.leases.c.run_id == lease.run_id)
                & (t.leases.c.token == lease.token)
            )
            .values(**values)
        )
        if changed.rowcount != 1:
            raise LeaseLostError(
                f"run {lease.run_id} does not hold lane {lease.lane} any more: it may write nothing"
            )

    # what came of it

    def finish(
        self,
        record: RangeRecord,
        lease: Lease,
        *,
        episodes: Sequence[Episode],
        alerts: Sequence[Alert],
        counts: Mapping[str, Any],
        now_s: float,
    ) -> None:
        """Mark a range done, move its positions on, keep episodes and alerts, free the lane.

        Raises:
            LeaseLostError: the run lost its lease: nothing is written.
        """
        with self._engine.begin() as sql:
            self._fence(sql, lease, run_id=None, expires_s=now_s)
            for part in record.range.parts:
                self._move(sql, record.range, part.partition, part.end)
            sql.execute(
                sa.update(t.ranges)
                .where(t.ranges.c.id == record.id)
                .values(status="done", finished_s=now_s, counts=json.dumps(dict(counts)))
            )
            keep_episodes(sql, episodes)
            keep_alerts(sql, alerts)

    def _move(self, sql: sa.Connection, one: OffsetRange, partition: int, end: int) -> None:
        key = {"topic": one.topic, "epoch": one.epoch, "partition": partition}
        changed = sql.execute(sa.update(t.positions).filter_by(**key).values(next_offset=end))
        if changed.rowcount == 0:
            sql.execute(sa.insert(t.positions).values(**key, next_offset=end))

    def claim_report(self, record: RangeRecord, now_s: float) -> bool:
        """Whether the caller is the first to send the points of a range: at most one may."""
        with self._engine.begin() as sql:
            claimed = sql.execute(
                sa.update(t.ranges)
                .where((t.ranges.c.id == record.id) & t.ranges.c.reported_s.is_(None))
                .values(reported_s=now_s)
            )
            return claimed.rowcount == 1

    def fail(self, record: RangeRecord, lease: Lease | None, error: str, now_s: float) -> None:
        """Note why an attempt failed; the range is tried again after a while. Frees the lane."""
        with suppress(LeaseLostError), self._engine.begin() as sql:
            if lease is not None:
                self._fence(sql, lease, run_id=None, expires_s=now_s)
            sql.execute(
                sa.update(t.ranges)
                .where((t.ranges.c.id == record.id) & (t.ranges.c.attempt == record.attempt))
                .values(
                    status="failed", error=error, not_before_s=now_s + backoff_s(record.attempt)
                )
            )


def open_ledger(url: str) -> Ledger:
    """Open the ledger at an SQLAlchemy URL and bring it up to date."""
    return Ledger(t.open_engine(url))


def _record(row: Any) -> RangeRecord:
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
        return record.error if now_s >= record.not_before_s else None
    if record.status == "running":
        return None if held else f"run {record.run_id} stopped without a word"
    waited = now_s - record.requested_s
    return "the run never started" if waited > REQUEST_GRACE_S else None
