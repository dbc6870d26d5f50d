"""The outbox: who is still to be told of which alert. At least once, whoever is killed.

A row is written by the transaction that marks a range done, and waits until its channel has taken
it. Who delivers claims a row first: until the claim ends nobody else tries it, and a deliverer that
was killed is forgotten then. Each method is one transaction. Knows SQL; what a channel is, and how
a delivery went, is said by `notifications`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from pettwin_pipeline.adapters import ledger_tables as t
from pettwin_pipeline.batches import backoff_s
from pettwin_pipeline.detection.alerts import Alert, encode_alert
from pettwin_pipeline.detection.episodes import Severity
from pettwin_pipeline.detection.hearts import is_at_least

CLAIM_S: Final = 120.0
"""Longer than one delivery takes, so that only who was killed loses a claim."""
GIVE_UP_AFTER_S: Final = 24 * 3600.0
"""A delivery that fails so long after the alert is not tried again."""
NotificationStatus = Literal["waiting", "delivered", "given_up"]


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is told of what: the names of the channels, and the least severity."""

    channels: tuple[str, ...] = ()
    least: Severity = "low"

    def wants(self, alert: Alert) -> bool:
        """Whether the alert is severe enough."""
        return is_at_least(alert.severity, self.least)


NOBODY: Final = Audience()


@dataclass(frozen=True, slots=True)
class Notification:
    """One alert for one channel, claimed for an attempt.

    Attributes:
        alert_id: the same at each attempt.
        body: the alert, as it is on its topic.
        attempts: how often it was claimed, this time included.
        queued_s: when the alert was raised, by the clock.
    """

    alert_id: str
    channel: str
    severity: str
    body: bytes
    attempts: int
    queued_s: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """How the notifications of a channel stand.

    Attributes:
        waiting: not delivered yet.
        failing: of these, how many were tried in vain.
        oldest_s: when the one that waits longest was queued.
        error: of the last attempt at one that was not delivered.
    """

    waiting: int = 0
    failing: int = 0
    delivered: int = 0
    given_up: int = 0
    oldest_s: float | None = None
    error: str | None = None


class Outbox:
    """Reads and writes of the outbox."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def claim(self, channel: str, now_s: float) -> Notification | None:
        """The next one that is due, for this caller alone until the claim ends; None: none is.

        Those that were tried least come first, so that one which is refused for ever holds up no
        other; among these the oldest.
        """
        due = _waiting(channel) & (t.outbox.c.not_before_s <= now_s)
        turn = (t.outbox.c.attempts, t.outbox.c.queued_s, t.outbox.c.alert_id)
        query = sa.select(t.outbox).where(due).order_by(*turn).limit(1)
        with self._engine.begin() as sql:
            row = sql.execute(query.with_for_update(skip_locked=True)).one_or_none()
            if row is None:
                return None
            claimed = _claimed(row, row.attempts + 1)
            sql.execute(
                sa.update(t.outbox)
                .where(_is(claimed))
                .values(attempts=claimed.attempts, tried_s=now_s, not_before_s=now_s + CLAIM_S)
            )
            return claimed

    def delivered(self, one: Notification, now_s: float) -> None:
        """Its channel has taken it, whatever others noted of it meanwhile."""
        with self._engine.begin() as sql:
            sql.execute(
                sa.update(t.outbox)
                .where(_is(one))
                .values(status="delivered", ended_s=now_s, error=None)
            )

    def failed(
        self, one: Notification, error: str, now_s: float, wait_s: float | None = None
    ) -> NotificationStatus:
        """Note why an attempt failed; it is tried again after a while, or given up.

        Does nothing where somebody else claimed it since.

        Args:
            one: as it was claimed.
            error: for people, in one line.
            now_s: seconds since 1970, UTC.
            wait_s: how long the receiver asks to be left alone: the whole channel waits.

        Returns:
            What it is now, as far as this attempt decides it.
        """
        is_late = now_s - one.queued_s >= GIVE_UP_AFTER_S
        pause_s = max(backoff_s(one.attempts), wait_s or 0.0)
        ending: dict[str, Any] = {"status": "given_up", "ended_s": now_s}
        values = ending if is_late else {"not_before_s": now_s + pause_s}
        ours = _is(one) & _waiting(one.channel) & (t.outbox.c.attempts == one.attempts)
        with self._engine.begin() as sql:
            sql.execute(sa.update(t.outbox).where(ours).values(error=error, **values))
            if wait_s is not None:
                early = _waiting(one.channel) & (t.outbox.c.not_before_s < now_s + wait_s)
                sql.execute(sa.update(t.outbox).where(early).values(not_before_s=now_s + wait_s))
        return "given_up" if is_late else "waiting"

    def give_up_unconfigured(self, channels: Collection[str], now_s: float) -> int:
        """Give up what has long waited for a channel that there is not any more; returns how much.

        Args:
            channels: those that there are.
            now_s: seconds since 1970, UTC.
        """
        late = (
            (t.outbox.c.status == "waiting")
            & (t.outbox.c.queued_s <= now_s - GIVE_UP_AFTER_S)
            & t.outbox.c.channel.not_in(channels)
        )
        values = {"status": "given_up", "ended_s": now_s, "error": "there is no such channel now"}
        with self._engine.begin() as sql:
            return sql.execute(sa.update(t.outbox).where(late).values(**values)).rowcount

    def backlog(self) -> dict[str, Backlog]:
        """How every channel stands that was ever told of anything."""
        place = (t.outbox.c.channel, t.outbox.c.status)
        numbers = (sa.func.count().label("rows"), sa.func.min(t.outbox.c.queued_s).label("oldest"))
        found: dict[str, dict[str, Any]] = {}
        with self._engine.begin() as sql:
            for row in sql.execute(sa.select(*place, *numbers).group_by(*place)):
                values = found.setdefault(row.channel, {})
                values[row.status] = row.rows
                if row.status == "waiting":
                    values["oldest_s"] = row.oldest
            for channel, values in found.items():
                values.update(_troubles(sql, channel))
        return {channel: Backlog(**values) for channel, values in found.items()}


def _troubles(sql: sa.Connection, channel: str) -> dict[str, Any]:
    """How much of what waits was tried in vain, and the last error. Reads no delivered row."""
    error = t.outbox.c.error
    failing = sa.select(sa.func.count(error)).where(_waiting(channel))
    told_s = sa.func.coalesce(t.outbox.c.tried_s, t.outbox.c.queued_s)
    undelivered = t.outbox.c.status.in_(("waiting", "given_up"))
    last = sa.select(error).where((t.outbox.c.channel == channel) & undelivered)
    last = last.where(error.is_not(None)).order_by(told_s.desc()).limit(1)
    return {"failing": sql.scalar(failing), "error": sql.scalar(last)}


def queue_notifications(
    sql: sa.Connection, alerts: Sequence[Alert], audience: Audience, now_s: float
) -> None:
    """Put alerts into the outbox, once for each channel of those who want them."""
    for one in alerts:
        if not audience.wants(one):
            continue
        for channel in audience.channels:
            known = sa.select(t.outbox.c.alert_id)
            known = known.filter_by(alert_id=one.alert_id, channel=channel)
            if sql.execute(known).first() is None:
                sql.execute(
                    sa.insert(t.outbox).values(
                        alert_id=one.alert_id,
                        channel=channel,
                        pet_id=one.pet_id,
                        severity=one.severity,
                        body=encode_alert(one).decode(),
                        status="waiting",
                        attempts=0,
                        queued_s=now_s,
                        not_before_s=now_s,
                    )
                )


def _waiting(channel: str) -> sa.ColumnElement[bool]:
    return (t.outbox.c.channel == channel) & (t.outbox.c.status == "waiting")


def _is(one: Notification) -> sa.ColumnElement[bool]:
    return (t.outbox.c.alert_id == one.alert_id) & (t.outbox.c.channel == one.channel)


def _claimed(row: Any, attempts: int) -> Notification:
    return Notification(
        alert_id=row.alert_id,
        channel=row.channel,
        severity=row.severity,
        body=row.body.encode(),
        attempts=attempts,
        queued_s=row.queued_s,
    )
