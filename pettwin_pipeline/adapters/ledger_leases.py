"""How a lane is taken, and how a write is made to count only while it is held.

Both inside a transaction of the caller's, for runs and for people who hold lanes. Knows SQL.
"""

from typing import Any

import sqlalchemy as sa

from pettwin_pipeline.adapters import ledger_tables as t
from pettwin_pipeline.adapters.ledger_records import Lease
from pettwin_pipeline.errors import LeaseLostError


def take_lane(
    sql: sa.Connection, place: tuple[str, str, int], holder: str, now_s: float, lease_s: float
) -> Lease:
    """Take a lane that nobody else holds, or whose lease ran out.

    Args:
        sql: of the transaction.
        place: topic, epoch and lane.
        holder: a run, or who else takes it.
        now_s: seconds since 1970, UTC.
        lease_s: how long it is held.

    Raises:
        LeaseLostError: somebody else holds it.
    """
    topic, epoch, lane = place
    key = {"topic": topic, "epoch": epoch, "lane": lane}
    t.take_turns(sql, f"lane {topic} {epoch} {lane}")  # there may be no row yet to lock
    held = sql.execute(sa.select(t.leases).filter_by(**key).with_for_update()).one_or_none()
    if held is not None and held.run_id not in {None, holder} and held.expires_s > now_s:
        raise LeaseLostError(f"lane {lane} is held by run {held.run_id}")
    token = 1 if held is None else held.token + 1
    lease = Lease(topic, epoch, lane, holder, token, now_s, now_s + lease_s)
    values = {
        "run_id": lease.run_id,
        "token": lease.token,
        "taken_s": lease.taken_s,
        "expires_s": lease.expires_s,
    }
    if held is None:
        sql.execute(sa.insert(t.leases).values(**key, **values))
    else:
        sql.execute(sa.update(t.leases).filter_by(**key).values(**values))
    return lease


def fence(sql: sa.Connection, lease: Lease, **values: Any) -> None:
    """Change the lease's row, which is locked until the transaction ends, or refuse.

    Raises:
        LeaseLostError: the lane is not held by this lease any more.
    """
    key = {"topic": lease.topic, "epoch": lease.epoch, "lane": lease.lane}
    mine = sa.update(t.leases).filter_by(**key, run_id=lease.run_id, token=lease.token)
    if sql.execute(mine.values(**values)).rowcount != 1:
        raise LeaseLostError(
            f"run {lease.run_id} does not hold lane {lease.lane} any more: it may write nothing"
        )
