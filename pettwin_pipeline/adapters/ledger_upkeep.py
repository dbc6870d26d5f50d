"""What the ledger knows of its own upkeep: what is compacted, trimmed, moved or erased.

Each method is one transaction. Knows SQL; what is due is decided in `defs/upkeep` and the commands.
"""

import json
from collections.abc import Collection, Iterable
from contextlib import suppress
from hashlib import blake2b

import sqlalchemy as sa

from pettwin_pipeline.adapters import ledger_tables as t
from pettwin_pipeline.adapters.ledger_leases import fence, take_lane
from pettwin_pipeline.adapters.ledger_records import FINISHED, Lease, RangeRecord, record_of
from pettwin_pipeline.errors import LeaseLostError


class Upkeep:
    """Reads and writes of upkeep."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    # done ranges

    def done(
        self,
        topic: str,
        *,
        epoch: str | None = None,
        since_s: float = 0,
        before_s: float | None = None,
    ) -> list[RangeRecord]:
        """Ranges that were done from `since_s` on and before `before_s`, oldest first."""
        where = (
            (t.ranges.c.topic == topic)
            & (t.ranges.c.status == "done")
            & (t.ranges.c.finished_s >= since_s)
        )
        if epoch is not None:
            where &= t.ranges.c.epoch == epoch
        if before_s is not None:
            where &= t.ranges.c.finished_s < before_s
        with self._engine.begin() as sql:
            rows = sql.execute(sa.select(t.ranges).where(where).order_by(t.ranges.c.id))
            return [record_of(row) for row in rows]

    def uncompacted_s(self, topic: str, before_s: float) -> list[float]:
        """When the ranges were done whose files are not put together yet, before a time."""
        where = (
            (t.ranges.c.topic == topic)
            & (t.ranges.c.status == "done")
            & t.ranges.c.compacted_s.is_(None)
            & (t.ranges.c.finished_s < before_s)
        )
        with self._engine.begin() as sql:
            query = sa.select(t.ranges.c.finished_s).where(where).order_by(t.ranges.c.finished_s)
            return list(sql.scalars(query))

    def note_compacted(self, records: Iterable[RangeRecord], now_s: float) -> None:
        """Their rows lie in the files of their hours from now on."""
        ids = [one.id for one in records]
        with self._engine.begin() as sql:
            changed = sa.update(t.ranges).where(t.ranges.c.id.in_(ids))
            sql.execute(changed.values(compacted_s=now_s))

    def trim(self, before_s: float) -> dict[str, int]:
        """Remove rows that were finished before a time; sums, gaps and positions stay.

        Returns:
            How many rows of each table.
        """
        ended = t.ranges.c.status.in_(FINISHED)
        last_s = sa.func.coalesce(t.ranges.c.finished_s, t.ranges.c.requested_s)
        old = {
            "ranges": (t.ranges, ended & (last_s < before_s)),
            "alerts": (t.alerts, t.alerts.c.noted_s < before_s),
            "outbox": (t.outbox, t.outbox.c.ended_s < before_s),
            "labels": (t.labels, t.labels.c.end_ms < before_s * 1000),
            "episodes": (
                t.episodes,
                t.episodes.c.ended_ms.is_not(None) & (t.episodes.c.noted_s < before_s),
            ),
        }
        with self._engine.begin() as sql:
            return {
                name: sql.execute(sa.delete(table).where(where)).rowcount
                for name, (table, where) in old.items()
            }

    # baselines that were changed between two batches

    def note_baselines_changed(
        self, topic: str, epoch: str, offsets: dict[int, int], reason: str, now_s: float
    ) -> None:
        """Baselines as of these offsets, by partition, are not what the batches left."""
        with self._engine.begin() as sql:
            for partition, offset in offsets.items():
                key = {
                    "topic": topic,
                    "epoch": epoch,
                    "partition": partition,
                    "at_offset": offset,
                }
                sql.execute(sa.delete(t.baseline_changes).filter_by(**key))
                sql.execute(
                    sa.insert(t.baseline_changes).values(**key, reason=reason, noted_s=now_s)
                )

    def changed_baselines(self, topic: str, epoch: str) -> dict[int, set[int]]:
        """Offsets at which baselines were changed, by partition."""
        found: dict[int, set[int]] = {}
        with self._engine.begin() as sql:
            rows = sql.execute(sa.select(t.baseline_changes).filter_by(topic=topic, epoch=epoch))
            for row in rows:
                found.setdefault(row.partition, set()).add(row.at_offset)
        return found

    def end_episodes(self, pet_id: str, partition: int, ended_ms: int) -> int:
        """End what goes on of a pet in a partition that it left; how many episodes."""
        going_on = (t.episodes.c.pet_id == pet_id) & t.episodes.c.ended_ms.is_(None)
        ended = 0
        with self._engine.begin() as sql:
            for row in sql.execute(sa.select(t.episodes).where(going_on)).all():
                body = json.loads(row.body)
                if body["partition"] != partition:
                    continue
                body["ended_ms"] = ended_ms
                sql.execute(
                    sa.update(t.episodes)
                    .filter_by(episode_id=row.episode_id)
                    .values(ended_ms=ended_ms, body=json.dumps(body))
                )
                ended += 1
        return ended

    # lanes that nobody may work on for a moment

    def hold_lane(
        self, topic: str, epoch: str, lane: int, holder: str, until: tuple[float, float]
    ) -> Lease | None:
        """Take a lane that is free; None where a run holds it.

        Args:
            topic: of readings.
            epoch: of the topic.
            lane: its number.
            holder: who holds it, for people.
            until: now, and when the lease ends; seconds since 1970 UTC.
        """
        now_s, end_s = until
        with suppress(LeaseLostError), self._engine.begin() as sql:
            return take_lane(sql, (topic, epoch, lane), holder, now_s, end_s - now_s)
        return None

    def keep_lane(self, lease: Lease, end_s: float) -> None:
        """Hold a lane for longer.

        Raises:
            LeaseLostError: it ran out and a run took the lane.
        """
        with self._engine.begin() as sql:
            fence(sql, lease, expires_s=end_s)

    def free_lane(self, lease: Lease, now_s: float) -> None:
        """Give a lane back, if it is still held by this lease."""
        with suppress(LeaseLostError), self._engine.begin() as sql:
            fence(sql, lease, run_id=None, expires_s=now_s)

    def lanes(self, topic: str, epoch: str) -> set[int]:
        """Every lane that was ever worked on."""
        with self._engine.begin() as sql:
            query = sa.select(t.leases.c.lane).filter_by(topic=topic, epoch=epoch)
            return set(sql.scalars(query))

    # pets that were erased

    def erase(self, pet_id: str, now_s: float) -> dict[str, int]:
        """Remove what the ledger knows of a pet, and note that its readings up to now are void.

        Returns:
            How many rows of each table.
        """
        digest = pet_digest(pet_id)
        with self._engine.begin() as sql:
            sql.execute(sa.delete(t.erasures).filter_by(pet_digest=digest))
            sql.execute(sa.insert(t.erasures).values(pet_digest=digest, erased_s=now_s))
            return {
                table.name: sql.execute(sa.delete(table).where(table.c.pet_id == pet_id)).rowcount
                for table in (t.episodes, t.alerts, t.outbox, t.labels)
            }

    def give_back(self) -> None:
        """Have the database let go of what was deleted: until then it lies in its free pages."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as sql:
            if sql.dialect.name == "sqlite":
                sql.exec_driver_sql("COMMIT")  # ours begins by itself
            sql.exec_driver_sql("VACUUM")
            if sql.dialect.name == "sqlite":
                sql.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def erasures(self) -> dict[str, float]:
        """When pets were erased, by the digest of their id."""
        with self._engine.begin() as sql:
            return {row.pet_digest: row.erased_s for row in sql.execute(sa.select(t.erasures))}


def pet_digest(pet_id: str) -> str:
    """What stands for an erased pet: its id itself is forgotten."""
    return blake2b(pet_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def erased_pets(erasures: dict[str, float], pet_ids: Collection[str]) -> dict[str, float]:
    """Which of some pets were erased, and when."""
    if not erasures:
        return {}
    digests = {pet_id: pet_digest(pet_id) for pet_id in pet_ids}
    return {pet: erasures[digest] for pet, digest in digests.items() if digest in erasures}
