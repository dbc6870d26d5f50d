"""What the ledger notes when a range cannot be read or scored as planned.

The broker dropped a part of it, it failed and is tried in halves, it failed too often and waits for
a person, a person skips it. Each method is one transaction, and does nothing where somebody moved
the range on since it was read. Knows SQL; which of these it is to be is decided in `planning`.
"""

from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa

from pettwin_pipeline.adapters import ledger_tables as t
from pettwin_pipeline.adapters.ledger_records import (
    RangeRecord,
    failures_of,
    insert_range,
    record_of,
)
from pettwin_pipeline.batches import Gap, OffsetRange, holds

DROPPED: Final = "the broker dropped it unread"


class Setbacks:
    """Writes of what went otherwise than planned."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def note_gaps(self, topic: str, epoch: str, gaps: Iterable[Gap], now_s: float) -> None:
        """Record offsets that the broker dropped unread, and move their positions past them."""
        with self._engine.begin() as sql:
            self._note_gaps(sql, (topic, epoch), gaps, now_s)

    def _note_gaps(
        self,
        sql: sa.Connection,
        place: tuple[str, str],
        gaps: Iterable[Gap],
        now_s: float,
        reason: str = DROPPED,
    ) -> None:
        topic, epoch = place
        for gap in gaps:
            key = {"topic": topic, "epoch": epoch, "partition": gap.partition}
            at_its_begin = sa.update(t.positions).filter_by(**key, next_offset=gap.start)
            if sql.execute(at_its_begin.values(next_offset=gap.end)).rowcount:
                offsets = {"start_offset": gap.start, "end_offset": gap.end}
                why = {"noticed_s": now_s, "reason": reason}
                sql.execute(sa.insert(t.gaps).values(**key, **offsets, **why))

    def cut(
        self, record: RangeRecord, rest: OffsetRange | None, gaps: Iterable[Gap], now_s: float
    ) -> RangeRecord | None:
        """Put what is left of a range in its place: the broker dropped the gaps unread.

        Returns:
            The rest, requested; None where nothing is left, or somebody moved the range on.
        """
        one = record.range
        with self._engine.begin() as sql:
            if not self._end(sql, record, "cut", DROPPED):
                return None
            self._note_gaps(sql, (one.topic, one.epoch), gaps, now_s)
            return None if rest is None else insert_range(sql, rest, now_s)

    def replace_by_halves(
        self, record: RangeRecord, halves: tuple[OffsetRange, OffsetRange], error: str, now_s: float
    ) -> RangeRecord | None:
        """Put the halves of a range in its place: the first is requested, the second waits.

        Returns:
            The first half; None where somebody moved the range on.
        """
        failures = failures_of(record)
        with self._engine.begin() as sql:
            if not self._end(sql, record, "cut", error):
                return None
            first = insert_range(sql, halves[0], now_s, failures=failures, error=error)
            insert_range(sql, halves[1], now_s, status="waiting", failures=failures, error=error)
            return first

    def wholes(self, one: OffsetRange) -> list[OffsetRange]:
        """Ranges that this one was cut out of, and stands for a part of."""
        query = sa.select(t.ranges).filter_by(topic=one.topic, epoch=one.epoch, status="cut")
        with self._engine.begin() as sql:
            cut = [record_of(row).range for row in sql.execute(query)]
        return [whole for whole in cut if holds(whole, one)]

    def park(self, record: RangeRecord, error: str) -> None:
        """Leave a range, and with it its lane, to a person."""
        with self._engine.begin() as sql:
            self._end(sql, record, "parked", error, failures=failures_of(record))

    def skip(self, record: RangeRecord, reason: str, now_s: float) -> bool:
        """Go on behind a range that nobody works on; False where somebody moved it on."""
        one = record.range
        gaps = [Gap(part.partition, part.start, part.end) for part in one.parts]
        with self._engine.begin() as sql:
            if not self._end(sql, record, "skipped", record.error or reason):
                return False
            self._note_gaps(sql, (one.topic, one.epoch), gaps, now_s, f"skipped: {reason}")
            return True

    def unpark(self, record: RangeRecord, now_s: float) -> bool:
        """Try a parked range again, as if it had never failed; False where it is not parked."""
        with self._engine.begin() as sql:
            changed = sql.execute(
                sa.update(t.ranges)
                .filter_by(id=record.id, status="parked")
                .values(status="failed", failures=0, not_before_s=now_s)
            )
            return changed.rowcount == 1

    def _end(
        self, sql: sa.Connection, record: RangeRecord, status: str, error: str, **more: int
    ) -> bool:
        """Take a range out of the way, if it still stands as it was read."""
        ended = sql.execute(
            sa.update(t.ranges)
            .filter_by(id=record.id, attempt=record.attempt, status=record.status)
            .values(status=status, error=error, **more)
        )
        return ended.rowcount == 1
