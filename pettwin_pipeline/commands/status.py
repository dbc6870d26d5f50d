"""`pettwin status`: services, lanes, lag, attempts, errors, what came of it, who was told."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.ledger import Ledger, open_ledger
from pettwin_pipeline.errors import PettwinError
from pettwin_pipeline.settings import Settings

RECENT: Final = 8
"""Ranges that are shown."""


def gather(settings: Settings) -> dict[str, Any]:
    """Everything that `pettwin status` knows, as JSON-like values.

    A broker that does not answer is part of the answer: `broker_error` says so.
    """
    ledger = open_ledger(settings.ledger_url)
    stack = settings.state.read_stack()
    found: dict[str, Any] = {
        "state_folder": str(settings.state.root),
        "stack": asdict(stack) if stack else None,
        "services": [asdict(one) for one in settings.services()],
        "lag": None,
        "broker_error": None,
        **_ledger_view(ledger, settings.kafka_topic),
    }
    try:
        with Kafka(settings) as kafka:
            found["lag"] = {str(p): n for p, n in kafka.lag(settings.kafka_topic).items()}
            epoch = kafka.topic_epoch(settings.kafka_topic)
        found["lanes"] = _lanes(ledger, settings, epoch)
    except PettwinError as error:
        found["broker_error"] = str(error)
    ledger.close()
    return found


def _ledger_view(ledger: Ledger, topic: str) -> dict[str, Any]:
    recent = ledger.recent(topic, RECENT)
    error = ledger.last_error(topic)
    return {
        "lanes": [],
        "totals": ledger.outcomes.totals(topic),
        "gap": ledger.outcomes.gaps(topic),
        "episodes": ledger.outcomes.count_episodes(),
        "alerts": ledger.outcomes.count_alerts(),
        "points": {name: asdict(one) for name, one in ledger.outcomes.tallies().items()},
        "notifications": {name: asdict(one) for name, one in ledger.outbox.backlog().items()},
        "last_error": error,
        "ranges": [
            {
                "range": one.range.text,
                "lane": one.range.lane,
                "status": one.status,
                "attempt": one.attempt,
                "run": one.run_id,
                "counts": {k: v for k, v in one.counts.items() if isinstance(v, int)},
                "error": one.error,
            }
            for one in recent
        ],
    }


def _lanes(ledger: Ledger, settings: Settings, epoch: str) -> list[dict[str, Any]]:
    topic, now_s = settings.kafka_topic, time.time()
    held = {one.lane: one for one in ledger.leases(topic, epoch) if one.expires_s > now_s}
    waiting = {one.range.lane: one for one in ledger.unfinished(topic, epoch)}
    lanes = []
    for lane in sorted({*range(settings.pettwin_lanes), *held, *waiting}):
        lease, record = held.get(lane), waiting.get(lane)
        lanes.append(
            {
                "lane": lane,
                "state": "at work" if lease else record.status if record else "free",
                "run": lease.run_id if lease else None,
                "held_s": round(now_s - lease.taken_s, 1) if lease else None,
                "attempt": record.attempt if record else None,
                "error": record.error if record else None,
            }
        )
    return lanes


def show(found: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """The same for people."""
    console = Console(highlight=False, markup=False)
    console.print(f"state folder: {found['state_folder']}")
    stack = found["stack"]
    console.print(f"stack: {'process ' + str(stack['pid']) if stack else 'not running here'}")
    console.print(_table(("name", "state", "detail"), found["services"]))
    if found["lanes"]:
        columns = ("lane", "state", "run", "held_s", "attempt", "error")
        console.print(_table(columns, found["lanes"]))
    if found["ranges"]:
        columns = ("range", "lane", "status", "attempt", "counts", "error")
        console.print(_table(columns, found["ranges"], title="latest ranges"))
    if found["points"]:
        rows = [{"metric": name, **one} for name, one in found["points"].items()]
        title = "points that were counted, not sent"
        console.print(_table(("metric", "points", "last_value"), rows, title=title))
    for channel, one in found["notifications"].items():
        console.print(_notifications_line(channel, one))
    totals = found["totals"]
    console.print(
        f"read: {totals.get('messages', 0):,} messages, {totals.get('readings', 0):,} readings, "
        f"{totals.get('rejects', 0):,} rejects, {found['gap']:,} lost or skipped"
    )
    late, repeated = totals.get("late", 0), totals.get("repeated", 0)
    if late or repeated:
        console.print(f"kept but not scored: {late:,} late readings, {repeated:,} repeated ones")
    alerts = ", ".join(f"{n} {severity}" for severity, n in sorted(found["alerts"].items()))
    console.print(f"found: {found['episodes']:,} episodes, alerts: {alerts or 'none'}")
    if found["last_error"]:
        console.print(f"last error: {found['last_error']}")
    say(_lag_line(found))


def _lag_line(found: Mapping[str, Any]) -> str:
    if found["broker_error"]:
        return "lag: unknown"
    lag = found["lag"]
    return f"lag: {sum(lag.values()):,} messages in {len(lag)} partitions"


def _notifications_line(channel: str, one: Mapping[str, Any]) -> str:
    told = f"notifications by {channel}: {one['delivered']:,} delivered, {one['waiting']:,} waiting"
    if one["oldest_s"] is not None:
        told += f", the oldest for {max(0.0, time.time() - one['oldest_s']):,.0f} s"
    if one["given_up"]:
        told += f", {one['given_up']:,} given up"
    return f"{told}; the last error: {one['error']}" if one["error"] else told


def _table(columns: tuple[str, ...], rows: list[dict[str, Any]], title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in columns:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in columns))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{v:,} {k}" for k, v in value.items() if v)
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
