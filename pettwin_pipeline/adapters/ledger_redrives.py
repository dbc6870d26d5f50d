"""Which dead letters were dealt with: sent back, or passed over because they hold nothing to send.

Offsets of the dead-letter topic, as ranges. A piece is noted before it is sent and counts once it
is settled: who sends keeps the name of the piece with what it sent, and so a piece whose sender
died is known to be sent or not. Each method is one transaction. Knows SQL, not what is sent.
"""

from collections.abc import Collection, Iterable, Sequence

import sqlalchemy as sa

from pettwin_pipeline.adapters import ledger_tables as t
from pettwin_pipeline.batches import PartitionRange, merge_ranges


class Redrives:
    """Reads and writes of what was sent back."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def dealt_with(
        self, topic: str, epoch: str, sent: Collection[str] = ()
    ) -> list[PartitionRange]:
        """Letters that are settled, or belong to a piece that was `sent`; merged, in order."""
        with self._engine.begin() as sql:
            return self._dealt_with(sql, topic, epoch, sent)

    def take_over(self, topic: str, epoch: str, sent: Collection[str] = ()) -> list[PartitionRange]:
        """Begin where a predecessor ended: pieces that it noted and did not send are forgotten.

        Args:
            topic: of the dead letters.
            epoch: of that topic.
            sent: names of pieces that are known to be sent.

        Returns:
            Letters that were dealt with; merged, in order.
        """
        of_topic = {"topic": topic, "epoch": epoch}
        with self._engine.begin() as sql:
            t.take_turns(sql, f"redrive {topic} {epoch}")
            dealt = self._dealt_with(sql, topic, epoch, sent)
            sql.execute(sa.delete(t.redriven).filter_by(**of_topic))
            _insert(sql, of_topic, "", dealt, settled=True)
            return dealt

    def note(self, topic: str, epoch: str, piece: str, parts: Sequence[PartitionRange]) -> None:
        """Note which letters are about to be sent back, under the name of a new piece."""
        with self._engine.begin() as sql:
            _insert(sql, {"topic": topic, "epoch": epoch}, piece, parts, settled=False)

    def settle(self, topic: str, epoch: str, piece: str) -> None:
        """A piece that was noted was sent."""
        key = {"topic": topic, "epoch": epoch, "piece": piece}
        with self._engine.begin() as sql:
            sql.execute(sa.update(t.redriven).filter_by(**key).values(settled=True))

    def _dealt_with(
        self, sql: sa.Connection, topic: str, epoch: str, sent: Collection[str]
    ) -> list[PartitionRange]:
        counts = t.redriven.c.settled | t.redriven.c.piece.in_(sent)
        rows = sql.execute(sa.select(t.redriven).filter_by(topic=topic, epoch=epoch).where(counts))
        return merge_ranges(
            PartitionRange(row.partition, row.start_offset, row.end_offset) for row in rows
        )


def _insert(
    sql: sa.Connection,
    of_topic: dict[str, str],
    piece: str,
    parts: Iterable[PartitionRange],
    *,
    settled: bool,
) -> None:
    rows = [
        {
            **of_topic,
            "partition": one.partition,
            "start_offset": one.start,
            "end_offset": one.end,
            "piece": piece,
            "settled": settled,
        }
        for one in parts
    ]
    if rows:
        sql.execute(sa.insert(t.redriven), rows)
