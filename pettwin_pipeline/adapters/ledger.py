"""The ledger: what was read, by whom, and what came of it. The truth that Dagster and Kafka mirror.

Every write of a run is fenced: it counts only while the run holds the lease of its lane. A range is
decided once (`request`) and stays as it is until it is done. Knows SQL; what to read next is
decided in `batches`, and time is handed in.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from pettwin_pipeline.adapters import ledger_tables as t
from pettwin_pipeline.adapters.ledger_labels import Labels
from pettwin_pipeline.adapters.ledger_leases import fence, take_lane
from pettwin_pipeline.adapters.ledger_outbox import NOBODY, Audience, Outbox, queue_notifications
from pettwin_pipeline.adapters.ledger_outcomes import (
    Outcomes,
    add_totals,
    keep_alerts,
    keep_episodes,
)
from pettwin_pipeline.adapters.ledger_records import (
    FINISHED,
    Lease,
    RangeRecord,
    failures_of,
    insert_range,
    is_range,
    known_range,
    record_of,
)
from pettwin_pipeline.adapters.ledger_redrives import Redrives
from pettwin_pipeline.adapters.ledger_setbacks import Setbacks
from pettwin_pipeline.adapters.ledger_upkeep import Upkeep
from pettwin_pipeline.batches import OffsetRange, backoff_s, parse_parts
from pettwin_pipeline.detection.alerts import Alert
from pettwin_pipeline.detection.episodes import Episode
from pettwin_pipeline.errors import LeaseLostError


class Ledger:
    """Reads and writes of the ledger; each method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.outcomes = Outcomes(engine)
        self.setbacks = Setbacks(engine)
        self.upkeep = Upkeep(engine)
        self.outbox = Outbox(engine)
        self.redrives = Redrives(engine)
        self.labels = Labels(engine)

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
            & (t.ranges.c.status.not_in(FINISHED))
        )
        return self._ranges(where)

    def recent(self, topic: str, most: int) -> list[RangeRecord]:
        """The last ranges of a topic, newest first."""
        with self._engine.begin() as sql:
            query = sa.select(t.ranges).where(t.ranges.c.topic == topic)
            rows = sql.execute(query.order_by(t.ranges.c.id.desc()).limit(most))
            return [record_of(row) for row in rows]

    def last_error(self, topic: str) -> str | None:
        """Why an attempt failed, of the latest range in which one did, done since or not."""
        where = (t.ranges.c.topic == topic) & t.ranges.c.error.is_not(None)
        latest = sa.select(t.ranges.c.error).where(where).order_by(t.ranges.c.id.desc()).limit(1)
        with self._engine.begin() as sql:
            return sql.scalar(latest)

    def of_run(self, run_id: str) -> RangeRecord | None:
        """The range that a run works on or worked on."""
        found = self._ranges(t.ranges.c.run_id == run_id)
        return found[-1] if found else None

    def of_range(self, wanted: OffsetRange) -> RangeRecord | None:
        """How a range stands."""
        found = self._ranges(is_range(wanted))
        return found[-1] if found else None

    def _ranges(self, where: sa.ColumnElement[bool]) -> list[RangeRecord]:
        with self._engine.begin() as sql:
            rows = sql.execute(sa.select(t.ranges).where(where).order_by(t.ranges.c.id))
            return [record_of(row) for row in rows]

    def start_at(self, topic: str, epoch: str, offsets: Mapping[int, int]) -> None:
        """Note where partitions begin that were never read; known ones keep their position."""
        key = {"topic": topic, "epoch": epoch}
        with self._engine.begin() as sql:
            t.take_turns(sql, f"request {topic} {epoch}")
            known = set(sql.scalars(sa.select(t.positions.c.partition).filter_by(**key)))
            fresh = [
                {**key, "partition": partition, "next_offset": offset}
                for partition, offset in offsets.items()
                if partition not in known
            ]
            if fresh:
                sql.execute(sa.insert(t.positions), fresh)

    def scored_to(self, topic: str, epoch: str) -> dict[int, int]:
        """End of the last range that was scored, by partition: there its baselines lie."""
        where = (t.positions.c.topic == topic) & (t.positions.c.epoch == epoch)
        query = sa.select(t.positions.c.partition, t.positions.c.scored_to).where(where)
        with self._engine.begin() as sql:
            found = sql.execute(query.where(t.positions.c.scored_to.is_not(None)))
            return {row.partition: row.scored_to for row in found}

    def done_since(self, topic: str, since_s: float) -> list[RangeRecord]:
        """Ranges that were finished at or after `since_s`, oldest first."""
        return self._ranges((t.ranges.c.topic == topic) & (t.ranges.c.finished_s >= since_s))

    def unreported(self, topic: str, before_s: float) -> list[RangeRecord]:
        """Ranges that were finished before `before_s`, and whose points nobody has claimed."""
        return self._ranges(
            (t.ranges.c.topic == topic)
            & (t.ranges.c.finished_s < before_s)
            & t.ranges.c.reported_s.is_(None)
        )

    def of_id(self, range_id: int) -> RangeRecord | None:
        """The range with this number."""
        found = self._ranges(t.ranges.c.id == range_id)
        return found[0] if found else None

    def request(self, wanted: OffsetRange, now_s: float) -> RangeRecord:
        """Note that a range is to be read; a range that is known keeps its row.

        Raises:
            LeaseLostError: somebody else requested or read some of these offsets meanwhile.
        """
        with self._engine.begin() as sql:
            if self._is_known(sql, wanted):
                return known_range(sql, wanted)
            return insert_range(sql, wanted, now_s)

    def _is_known(self, sql: sa.Connection, wanted: OffsetRange) -> bool:
        """Whether exactly this range was requested before; refuses one that overlaps another."""
        of_topic = {"topic": wanted.topic, "epoch": wanted.epoch}
        t.take_turns(sql, f"request {wanted.topic} {wanted.epoch}")
        positions = sql.execute(sa.select(t.positions).filter_by(**of_topic))
        read_to = {row.partition: row.next_offset for row in positions}
        if sql.execute(sa.select(t.ranges.c.id).where(is_range(wanted))).first() is not None:
            return True
        unfinished = sa.select(t.ranges.c.parts).filter_by(**of_topic)
        for text in sql.scalars(unfinished.where(t.ranges.c.status.not_in(FINISHED))):
            for part in parse_parts(text):
                read_to[part.partition] = max(read_to.get(part.partition, 0), part.end)
        for part in wanted.parts:
            if part.start < read_to.get(part.partition, 0):
                raise LeaseLostError(
                    f"offsets of partition {part.partition} from {part.start} on were requested "
                    "by somebody else meanwhile: look again"
                )
        return False

    def request_again(
        self, record: RangeRecord, now_s: float, error: str | None = None
    ) -> RangeRecord:
        """The same range once more, unchanged, with the next attempt's number.

        Returns:
            How it stands now: as it was where somebody moved it on since `record` was read.
        """
        attempt = record.attempt + 1
        with self._engine.begin() as sql:
            sql.execute(
                sa.update(t.ranges)
                .filter_by(id=record.id, attempt=record.attempt, status=record.status)
                .values(
                    status="requested",
                    attempt=attempt,
                    failures=failures_of(record),
                    requested_s=now_s,
                    error=error or record.error,
                )
            )
            return record_of(sql.execute(sa.select(t.ranges).filter_by(id=record.id)).one())

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
        with self._engine.begin() as sql:
            lease = take_lane(
                sql, (wanted.topic, wanted.epoch, wanted.lane), run_id, now_s, lease_s
            )
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
        return lease

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
            LeaseLostError: another run holds it now, or is to: the lease ran out.
        """
        at_work = sa.select(t.ranges.c.id).filter_by(run_id=lease.run_id, status="running")
        with self._engine.begin() as sql:
            fence(sql, lease, expires_s=now_s + lease_s)
            if sql.execute(at_work).first() is None:
                raise LeaseLostError(
                    f"the lease of run {lease.run_id} ran out and its range was asked for again: "
                    "it may write nothing"
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
        audience: Audience = NOBODY,
    ) -> None:
        """Mark a range done, move its positions on, keep episodes and alerts, free the lane.

        An alert that the ledger did not know is put into the outbox for each channel of `audience`;
        nothing else ever does so: who scores a range again tells nobody twice.

        Raises:
            LeaseLostError: the run lost its lease, or its range was cut: nothing is written.
        """
        with self._engine.begin() as sql:
            fence(sql, lease, run_id=None, expires_s=now_s)
            ended = sql.execute(
                sa.update(t.ranges)
                .filter_by(id=record.id)
                .where(t.ranges.c.status.not_in(FINISHED))
                .values(status="done", finished_s=now_s, counts=json.dumps(dict(counts)))
            )
            if ended.rowcount != 1:
                raise LeaseLostError(
                    f"{record.range.text} was ended by somebody else: run {lease.run_id} may "
                    "write nothing"
                )
            self._move(sql, record.range)
            add_totals(sql, record.range.topic, counts)
            keep_episodes(sql, episodes, now_s)
            queue_notifications(sql, keep_alerts(sql, alerts, now_s), audience, now_s)

    def _move(self, sql: sa.Connection, one: OffsetRange) -> None:
        """Move the positions of a range to its end."""
        key = {"topic": one.topic, "epoch": one.epoch}
        known = set(sql.scalars(sa.select(t.positions.c.partition).filter_by(**key)))
        moved = [{"at": p.partition, "to": p.end} for p in one.parts if p.partition in known]
        fresh = [
            {**key, "partition": p.partition, "next_offset": p.end, "scored_to": p.end}
            for p in one.parts
            if p.partition not in known
        ]
        if moved:
            at, to = sa.bindparam("at", type_=sa.Integer), sa.bindparam("to", type_=sa.BigInteger)
            move = sa.update(t.positions).filter_by(**key).where(t.positions.c.partition == at)
            sql.execute(move.values(next_offset=to, scored_to=to), moved)
        if fresh:
            sql.execute(sa.insert(t.positions), fresh)

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
                fence(sql, lease, run_id=None, expires_s=now_s)
            sql.execute(
                sa.update(t.ranges)
                .filter_by(id=record.id, attempt=record.attempt)
                .where(t.ranges.c.status.not_in(FINISHED))
                .values(
                    status="failed",
                    error=error,
                    failures=record.failures + 1,
                    not_before_s=now_s + backoff_s(record.failures + 1),
                )
            )


def open_ledger(url: str) -> Ledger:
    """Open the ledger at an SQLAlchemy URL and bring it up to date."""
    return Ledger(t.open_engine(url))
