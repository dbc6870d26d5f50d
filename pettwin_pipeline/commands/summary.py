"""What the demo prints at its end, and what it compares: what went in against what came out."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table

from pettwin_pipeline.adapters.ledger_records import RangeRecord
from pettwin_pipeline.detection.alerts import Alert
from pettwin_pipeline.readings.simulator import Label
from pettwin_pipeline.settings import Settings

PROGRAM: Final = sys.argv[0] if sys.argv[0].endswith("pettwin") else "pettwin"
"""How the person called it."""
SHOWN_ALERTS: Final = 6
GRACE_MS: Final = 60_000
"""An alert this long after an episode still belongs to it."""
SEVERITIES: Final = ("critical", "high", "medium", "low")
TOLD: Final = ("critical", "high", "medium")
"""Severities that owners are told of: the default, which the demo keeps."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the demo sent and what became of it.

    Attributes:
        sent: messages that the broker acknowledged on the topic of readings.
        broken: how many of them were meant to be rejects.
        took_s: from the start of the parts to the last range.
        totals: of the ledger, by name.
        lag: messages that are not committed.
        lost: offsets that the broker dropped unread.
        ranges: that are done.
        kept_alerts: alerts in the ledger.
        notified: ids of the alerts in the file of notifications, as its reader sees them.
        episodes: episodes in the ledger.
        published: alerts as a reader of the topic sees them.
        dead_letters: messages on the topic of dead letters.
        labels: of the episodes that were injected into the recordings.
    """

    sent: int
    broken: int
    took_s: float
    totals: Mapping[str, int]
    lag: int
    lost: int
    ranges: Sequence[RangeRecord]
    kept_alerts: int
    notified: Sequence[str]
    episodes: int
    published: Sequence[Alert]
    dead_letters: int
    labels: Sequence[Label]

    @property
    def problems(self) -> list[str]:
        """Why what went in is not what came out; empty where it is."""
        ids = Counter(alert.alert_id for alert in self.published)
        to_tell = {alert.alert_id for alert in self.published if alert.severity in TOLD}
        checks = (
            (self.lost == 0, f"the broker dropped {self.lost:,} messages before they were read"),
            (self.totals.get("messages", 0) == self.sent, "messages sent and read differ"),
            (self.totals.get("rejects", 0) == self.broken, "other rejects than the broken ones"),
            (self.dead_letters == self.broken, "dead letters and broken messages differ"),
            (self.lag == 0, f"{self.lag:,} messages were not committed"),
            (len(ids) == self.kept_alerts, "alerts on the topic and in the ledger differ"),
            (self.kept_alerts > 0, "no alert was raised"),
            (set(self.notified) == to_tell, "alerts to be told and notifications differ"),
        )
        return [text for holds, text in checks if not holds]

    def found(self) -> dict[str, tuple[int, int]]:
        """Injected episodes that were told, and all of them, by kind."""
        counts: dict[str, list[int]] = {}
        for label in self.labels:
            kind = counts.setdefault(label.name, [0, 0])
            kind[0] += any(_belongs(alert, label) for alert in self.published)
            kind[1] += 1
        return {name: (hit, total) for name, (hit, total) in counts.items()}


def _belongs(alert: Alert, label: Label) -> bool:
    from datetime import datetime

    if alert.pet_id != label.pet_id or label.end_ms is None:
        return False
    raised_ms = datetime.fromisoformat(alert.raised_at).timestamp() * 1000
    return label.start_ms <= raised_ms <= label.end_ms + GRACE_MS


def show_summary(outcome: Outcome, settings: Settings, say: Callable[[str], None]) -> None:
    """Print it; the last line says the result."""
    console = Console(highlight=False, markup=False)
    console.print()
    console.print(_numbers(outcome))
    say("")
    say("some of the alerts:")
    for line in _alerts(outcome):
        say(line)
    say("alerts are automatic observations on recorded and simulated data, not veterinary advice")
    say(f"notifications: {len(set(outcome.notified))}, from medium on, in {settings.notify_file}")
    state = settings.state
    say(f"look at it: PETTWIN_STATE_DIR={state.root} {PROGRAM} up --dagster, then open its address")
    say(f"logs: {state.logs}; status: PETTWIN_STATE_DIR={state.root} {PROGRAM} status")
    for problem in outcome.problems:
        say(f"not right: {problem}")
    if outcome.problems:
        say("demo: failed")
    else:
        say(
            f"demo: what went in came out: {outcome.totals['readings']:,} readings scored, "
            f"{outcome.totals['rejects']} rejects, {outcome.kept_alerts} alerts, lag 0"
        )


def _numbers(outcome: Outcome) -> Table:
    totals = outcome.totals
    working_s = max(outcome.took_s, 0.001)
    severities = Counter(alert.severity for alert in outcome.published)
    told = ", ".join(f"{severities[one]} {one}" for one in SEVERITIES if severities[one])
    found = ", ".join(f"{hit} of {n} {name}" for name, (hit, n) in outcome.found().items())
    rows = (
        ("readings", f"{totals.get('readings', 0):,} in {len(outcome.ranges)} batches"),
        ("whole demo", f"{outcome.took_s:.0f} s, {outcome.sent / working_s:,.0f} messages/s"),
        ("rejects", f"{totals.get('rejects', 0)}, in the dead-letter topic with their reasons"),
        ("late, repeated", f"{totals.get('late', 0)}, {totals.get('repeated', 0)}"),
        ("episodes", f"{outcome.episodes}"),
        ("alerts", f"{outcome.kept_alerts}: {told}"),
        ("injected episodes told", found),
        ("verdicts", "statistical: no model was asked"),
        ("lag", f"{outcome.lag}"),
    )
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in rows:
        table.add_row(name, value)
    return table


def _alerts(outcome: Outcome) -> Iterator[str]:
    """The most severe alert of different pets, with their texts, for a terminal of any width."""
    by_pet: dict[str, Alert] = {}
    for alert in sorted(outcome.published, key=lambda one: SEVERITIES.index(one.severity)):
        by_pet.setdefault(alert.pet_id, alert)
    for alert in list(by_pet.values())[:SHOWN_ALERTS]:
        yield f"{alert.severity:<9} {alert.pet_id}: {alert.reason}"
        yield f'{"":<9} to its owner: "{alert.owner_message}"'
