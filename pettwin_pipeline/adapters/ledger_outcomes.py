"""What came of the ranges: episodes, alerts, counts, and the points that went nowhere.

Kept in the transaction that marks a range done, and read by people: `pettwin status`, the summary
of the demo, metadata. Knows SQL; which run may write is the ledger's business.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from pettwin_pipeline.adapters import ledger_tables as t
from pettwin_pipeline.adapters.telemetry import Tally
from pettwin_pipeline.detection.alerts import Alert
from pettwin_pipeline.detection.episodes import Episode
from pettwin_pipeline.detection.hearts import is_at_least
from pettwin_pipeline.detection.verdicts import LEAST_SEVERITY


class Outcomes:
    """Reads of what came of the ranges, and the tallies of points; each method one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def gaps(self, topic: str) -> int:
        """Offsets of a topic that the broker dropped before they were read."""
        lost = sa.func.coalesce(sa.func.sum(t.gaps.c.end_offset - t.gaps.c.start_offset), 0)
        with self._engine.begin() as sql:
            return int(sql.scalar(sa.select(lost).where(t.gaps.c.topic == topic)) or 0)

    def count_alerts(self) -> dict[str, int]:
        """Alerts by severity."""
        with self._engine.begin() as sql:
            query = sa.select(t.alerts.c.severity, sa.func.count()).group_by(t.alerts.c.severity)
            return {severity: number for severity, number in sql.execute(query)}  # noqa: C416

    def alerts(self, most: int) -> list[dict[str, Any]]:
        """The latest alerts by event time, newest first."""
        with self._engine.begin() as sql:
            query = sa.select(t.alerts.c.body).order_by(t.alerts.c.raised_ms.desc()).limit(most)
            return [json.loads(body) for body in sql.scalars(query)]

    def count_episodes(self) -> int:
        """Episodes ever raised."""
        with self._engine.begin() as sql:
            return int(sql.scalar(sa.select(sa.func.count()).select_from(t.episodes)) or 0)

    def totals(self, topic: str) -> dict[str, int]:
        """Sums of what the done ranges of a topic counted, since its ledger began."""
        with self._engine.begin() as sql:
            rows = sql.execute(sa.select(t.totals).filter_by(topic=topic).order_by(t.totals.c.name))
            return {row.name: row.value for row in rows}

    def add_tallies(self, tallies: Mapping[str, Tally]) -> None:
        """Count points that went nowhere, for `pettwin status`."""
        with self._engine.begin() as sql:
            for metric, tally in tallies.items():
                where = t.tallies.c.metric == metric
                values = {"last_value": tally.last_value, "last_s": tally.last_s}
                changed = sql.execute(
                    sa.update(t.tallies)
                    .where(where)
                    .values(points=t.tallies.c.points + tally.points, **values)
                )
                if changed.rowcount == 0:
                    sql.execute(
                        sa.insert(t.tallies).values(metric=metric, points=tally.points, **values)
                    )

    def owe(self, transport: str, outcomes: Mapping[str, int]) -> None:
        """Keep how many points were accepted and dropped, where nobody could be told yet."""
        with self._engine.begin() as sql:
            for outcome, points in outcomes.items():
                key = {"transport": transport, "outcome": outcome}
                more = sa.update(t.owed_points).filter_by(**key)
                more = more.values(points=t.owed_points.c.points + points)
                if points and not sql.execute(more).rowcount:
                    sql.execute(sa.insert(t.owed_points).values(**key, points=points))

    def settle(self, transport: str) -> dict[str, int]:
        """Take over what is owed: whoever asks tells it with its next points."""
        of_transport = {"transport": transport}
        with self._engine.begin() as sql:
            rows = sql.execute(sa.select(t.owed_points).filter_by(**of_transport)).all()
            sql.execute(sa.delete(t.owed_points).filter_by(**of_transport))
            return {row.outcome: row.points for row in rows}

    def tallies(self) -> dict[str, Tally]:
        """Points counted by metric name."""
        with self._engine.begin() as sql:
            rows = sql.execute(sa.select(t.tallies).order_by(t.tallies.c.metric))
            return {row.metric: Tally(row.points, row.last_value, row.last_s) for row in rows}


def add_totals(sql: sa.Connection, topic: str, counts: Mapping[str, Any]) -> None:
    """Add what a range counted to the sums of its topic, which outlive the rows of ranges."""
    t.take_turns(sql, f"totals {topic}")
    for name, value in counts.items():
        if not isinstance(value, int):
            continue
        key = {"topic": topic, "name": name}
        more = sa.update(t.totals).filter_by(**key).values(value=t.totals.c.value + value)
        if not sql.execute(more).rowcount:
            sql.execute(sa.insert(t.totals).values(**key, value=value))


def keep_episodes(sql: sa.Connection, episodes: Sequence[Episode], now_s: float) -> None:
    """Write episodes as they stand now; the same id replaces what was known.

    `told_ms` stays what it was first: when the episode became so severe that an owner is told.
    """
    for one in episodes:
        is_going_on = one.kind == "health" and one.ended_ms is None
        is_told = is_going_on and is_at_least(one.severity, LEAST_SEVERITY)
        told_ms = one.raised_ms if is_told else None
        values = {
            "severity": one.severity,
            "ended_ms": one.ended_ms,
            "noted_s": now_s,
            "body": msgspec.json.encode(one).decode(),
        }
        where = t.episodes.c.episode_id == one.episode_id
        first = sa.func.coalesce(t.episodes.c.told_ms, told_ms)
        changed = sql.execute(sa.update(t.episodes).where(where).values(**values, told_ms=first))
        if changed.rowcount == 0:
            sql.execute(
                sa.insert(t.episodes).values(
                    episode_id=one.episode_id,
                    pet_id=one.pet_id,
                    started_ms=one.started_ms,
                    raised_ms=one.raised_ms,
                    told_ms=told_ms,
                    **values,
                )
            )


def keep_alerts(sql: sa.Connection, alerts: Sequence[Alert], now_s: float) -> list[Alert]:
    """Write alerts that are not known yet; returns those."""
    fresh = []
    for one in alerts:
        known = sa.select(t.alerts.c.alert_id).where(t.alerts.c.alert_id == one.alert_id)
        if sql.execute(known).first() is None:
            fresh.append(one)
            sql.execute(
                sa.insert(t.alerts).values(
                    alert_id=one.alert_id,
                    episode_id=one.episode_id,
                    pet_id=one.pet_id,
                    severity=one.severity,
                    raised_ms=_ms(one.raised_at),
                    noted_s=now_s,
                    body=msgspec.json.encode(one).decode(),
                )
            )
    return fresh


def _ms(iso: str) -> int:
    return round(datetime.fromisoformat(iso).timestamp() * 1000)
