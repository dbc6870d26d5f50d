"""What was true of the pets, by vets or the simulator, and how good each day's detection was by it.

A label is kept by its id: what comes later replaces what came before. Labels and the positions of
their topic move in one transaction, and with them the days whose quality has to be computed again.
Knows SQL; quality is measured in `detection.quality`.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from pettwin_pipeline.adapters import ledger_tables as t
from pettwin_pipeline.detection.hearts import SEVERITIES, is_at_least
from pettwin_pipeline.detection.quality import OUTCOMES
from pettwin_pipeline.detection.verdicts import LEAST_SEVERITY
from pettwin_pipeline.readings.simulator.labels import Label, encode_label, parse_label

MOST_DAYS: Final = 62
"""Of an interval, the last ones: nobody keeps readings that are older."""
_TOLD: Final = tuple(one for one in SEVERITIES if is_at_least(one, LEAST_SEVERITY))

Figures = Mapping[str, Any]
"""What a detector was worth on a day for a species, as JSON has it."""


class Labels:
    """Reads and writes of labels, days and qualities; each method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def keep(
        self,
        labels: Iterable[Label],
        place: tuple[str, str],
        ends: Mapping[int, int],
        now_s: float,
    ) -> set[str]:
        """Write labels, and how far their topic was read.

        Args:
            labels: in the order of their partitions: the later of one id stands.
            place: topic and its epoch.
            ends: next offset to read, by partition.
            now_s: now.

        Returns:
            The days that they change.
        """
        topic, epoch = place
        days: set[str] = set()
        with self._engine.begin() as sql:
            t.take_turns(sql, f"labels {topic}")
            for one in labels:
                days |= self._keep(sql, one, now_s)
            for partition, end in ends.items():
                key = {"topic": topic, "epoch": epoch, "partition": partition}
                sql.execute(sa.delete(t.positions).filter_by(**key))
                sql.execute(sa.insert(t.positions).values(**key, next_offset=end))
            self._mark(sql, days, now_s)
        return days

    def _keep(self, sql: sa.Connection, one: Label, now_s: float) -> set[str]:
        """Write a label; the days of what it says now and of what it said before."""
        mine = {"label_id": one.label_id}
        known = sql.scalar(sa.select(t.labels.c.body).filter_by(**mine))
        values = {
            "pet_id": one.pet_id,
            "start_ms": one.start_ms,
            "end_ms": one.end_ms,
            "noted_s": now_s,
            "body": encode_label(one).decode(),
        }
        if known is None:
            sql.execute(sa.insert(t.labels).values(**mine, **values, lead_reported=False))
            return _days_of(one, now_s)
        sql.execute(sa.update(t.labels).filter_by(**mine).values(**values))
        return _days_of(one, now_s) | _days_of(_label(known), now_s)

    def _mark(self, sql: sa.Connection, days: Iterable[str], now_s: float) -> None:
        for day in sorted(days):
            changed = sa.update(t.label_days).filter_by(day=day).values(changed_s=now_s)
            if not sql.execute(changed).rowcount:
                sql.execute(sa.insert(t.label_days).values(day=day, changed_s=now_s))

    def between(self, begin_ms: int, end_ms: int) -> list[Label]:
        """Labels that lie over any of a time; those without an end go on. By their id."""
        over = (t.labels.c.start_ms < end_ms) & (
            t.labels.c.end_ms.is_(None) | (t.labels.c.end_ms > begin_ms)
        )
        with self._engine.begin() as sql:
            bodies = sql.scalars(
                sa.select(t.labels.c.body).where(over).order_by(t.labels.c.label_id)
            )
            return [_label(body) for body in bodies]

    # days

    def due_days(self, settled_s: float, asked_before_s: float) -> list[str]:
        """Days to compute again, newest first.

        Args:
            settled_s: those that no label has changed since.
            asked_before_s: and for which nobody has asked since.
        """
        due = (t.label_days.c.changed_s <= settled_s) & (
            t.label_days.c.asked_s.is_(None) | (t.label_days.c.asked_s <= asked_before_s)
        )
        with self._engine.begin() as sql:
            found = sa.select(t.label_days.c.day).where(due).order_by(t.label_days.c.day.desc())
            return list(sql.scalars(found))

    def note_asked(self, days: Collection[str], now_s: float) -> None:
        """These days were asked for."""
        with self._engine.begin() as sql:
            asked = sa.update(t.label_days).where(t.label_days.c.day.in_(list(days)))
            sql.execute(asked.values(asked_s=now_s))

    # decisions

    def told(self, begin_ms: int, until_ms: int) -> dict[str, dict[str, list[tuple[int, int]]]]:
        """When owners were told of health, by detector and pet, to the end of each episode.

        Args:
            begin_ms: of what was going on then or later.
            until_ms: what has no end yet goes on until here; what was told later is not known.
        """
        late = t.episodes.c.ended_ms.is_(None) | (t.episodes.c.ended_ms > begin_ms)
        screened = sa.select(t.episodes.c.pet_id, t.episodes.c.told_ms, t.episodes.c.ended_ms)
        first = sa.func.min(t.alerts.c.raised_ms)
        sent = (
            sa.select(t.alerts.c.pet_id, first, t.episodes.c.ended_ms)
            .join(t.episodes, t.episodes.c.episode_id == t.alerts.c.episode_id)
            .where(t.alerts.c.severity.in_(_TOLD))
            .group_by(t.alerts.c.episode_id, t.alerts.c.pet_id, t.episodes.c.ended_ms)
        )
        asked = {
            "statistical": screened.where(t.episodes.c.told_ms.is_not(None)),
            "ensemble": sent,
        }
        told: dict[str, dict[str, list[tuple[int, int]]]] = {name: {} for name in asked}
        with self._engine.begin() as sql:
            for detector, query in asked.items():
                for pet_id, told_ms, ended_ms in sql.execute(query.where(late)):
                    end_ms = min(until_ms, until_ms if ended_ms is None else ended_ms)
                    if told_ms < until_ms:
                        span = told_ms, max(end_ms, told_ms + 1)
                        told[detector].setdefault(pet_id, []).append(span)
        return told

    # qualities

    def keep_quality(
        self, day: str, rows: Sequence[Figures], started_s: float, now_s: float
    ) -> list[dict[str, Any]]:
        """Write the quality of a day; it is due no more, unless a label came since `started_s`.

        Args:
            day: ISO 8601.
            rows: for each detector and species, with `detector`, `species` and OUTCOMES.
            started_s: when what it is made of was read.
            now_s: now.

        Returns:
            Windows that were not reported yet, for each detector and species. A window that a
            later label moves elsewhere is not taken back where it was.
        """
        news = []
        with self._engine.begin() as sql:
            t.take_turns(sql, f"quality {day}")
            known = {
                (row.detector, row.species): json.loads(row.reported)
                for row in sql.execute(sa.select(t.qualities).filter_by(day=day))
            }
            sql.execute(sa.delete(t.qualities).filter_by(day=day))
            for one in rows:
                key = {"detector": one["detector"], "species": one["species"]}
                before = known.get((one["detector"], one["species"]), dict.fromkeys(OUTCOMES, 0))
                counted = {name: max(one[name], number) for name, number in before.items()}
                if not one["is_enough"]:  # nothing is published yet: it is when there are more
                    counted = before
                news.append(key | {name: counted[name] - before[name] for name in OUTCOMES})
                sql.execute(
                    sa.insert(t.qualities).values(
                        **key,
                        day=day,
                        computed_s=now_s,
                        body=json.dumps(dict(one)),
                        reported=json.dumps(counted),
                    )
                )
            settled = sa.delete(t.label_days).where(t.label_days.c.day == day)
            sql.execute(settled.where(t.label_days.c.changed_s <= started_s))
        return news

    def claim_leads(self, label_ids: Collection[str]) -> set[str]:
        """Those of some labels whose lead time nobody has reported yet; they are the caller's."""
        fresh = set()
        with self._engine.begin() as sql:
            for name in sorted(label_ids):
                claim = sa.update(t.labels).filter_by(label_id=name, lead_reported=False)
                if sql.execute(claim.values(lead_reported=True)).rowcount:
                    fresh.add(name)
        return fresh

    def qualities(self, since_day: str, until_day: str = "9999") -> list[dict[str, Any]]:
        """The qualities of some days with their `day`, in order."""
        chosen = t.qualities.c.day.between(since_day, until_day)
        order = t.qualities.c.day, t.qualities.c.detector, t.qualities.c.species
        with self._engine.begin() as sql:
            rows = sql.execute(sa.select(t.qualities).where(chosen).order_by(*order))
            return [{"day": row.day, **json.loads(row.body)} for row in rows]


def _label(body: str) -> Label:
    label = parse_label(body.encode())
    if isinstance(label, str):  # we wrote it: a release that knows less must not guess
        raise TypeError(f"a kept label cannot be read: {label}")
    return label


def _days_of(one: Label, now_s: float) -> set[str]:
    """The days that an interval lies over, up to today; the last ones of a long one."""
    now_ms = round(now_s * 1000)
    last_ms = now_ms if one.end_ms is None else min(now_ms, max(one.end_ms - 1, one.start_ms))
    last = day_of(last_ms)
    days = (last - day_of(one.start_ms)).days + 1  # none, where all of it lies ahead
    return {(last - timedelta(days=back)).isoformat() for back in range(min(days, MOST_DAYS))}


def day_of(time_ms: int) -> date:
    """The day of a time, UTC."""
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC).date()
