"""`pettwin demo`: recorded dogs and a simulated fleet through the whole pipeline, in a minute.

Everything is local and in a state folder of its own, whatever the settings name. The real sensor,
daemon and runs do the work; this process sends, waits, counts, and compares what went in with what
came out.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.adapters.ledger import Ledger, open_ledger
from pettwin_pipeline.batches import PartitionRange
from pettwin_pipeline.commands.sending import Sender
from pettwin_pipeline.commands.simulate import Plan, label_messages, messages_of
from pettwin_pipeline.commands.summary import Outcome, show_summary
from pettwin_pipeline.commands.up import (
    LOCK,
    BrokerChoice,
    claimed,
    dagster_parts,
    local_broker,
    stack_writer,
)
from pettwin_pipeline.detection.alerts import Alert, parse_alert
from pettwin_pipeline.detection.blocks import BLOCK_MS
from pettwin_pipeline.errors import StackError
from pettwin_pipeline.readings.heartbeats import parse_sessions, recorded_readings
from pettwin_pipeline.readings.injections import SEVERE, inject_every
from pettwin_pipeline.readings.simulator import Label, SimulatedChunk
from pettwin_pipeline.settings import Settings
from pettwin_pipeline.stack.local_datadog import local_datadog_part
from pettwin_pipeline.stack.ports import LOOPBACK, answers
from pettwin_pipeline.stack.recordings import dog_heartbeats
from pettwin_pipeline.stack.supervisor import Supervisor

MADE_FOR: Final = datetime(2026, 1, 1, 20, tzinfo=UTC)
"""The hour of the simulated day: pets sleep and wake by it."""
MINUTES: Final = 120.0
SEED: Final = 7
FIRST_EPISODE_S: Final = 1500
EPISODE_EVERY_S: Final = 1500
STALLED_S: Final = 60.0
"""Without any progress for so long, the demo has failed."""
LOOK_S: Final = 0.5
MARK: Final = "made-by-pettwin-demo"
"""A file that says that a folder may be emptied by the next demo."""
BROKEN: Final = (
    b"\xff\xfe not text",
    b"{broken",
    None,
    b'{"timestamp": "2026-01-01T00:00:00Z", "heart_rate": 70}',
    b'{"pet_id": "x", "timestamp": "2026-01-01T00:00:00Z", "heart_rate": "fast"}',
    b'{"pet_id": "x", "timestamp": "yesterday", "heart_rate": 70}',
    b'{"pet_id": "x", "timestamp": "2026-01-01T00:00:00Z", "heart_rate": 9000}',
)
"""What broken collars send: the demo shows where it goes."""


@dataclass(frozen=True, slots=True)
class Input:
    """What the demo sends: recorded readings with their labels, beside the simulation.

    Both are made for a fixed time, so that every demo finds the same, and moved to end now.
    """

    recorded: pl.DataFrame
    labels: list[Label]
    plan: Plan
    by_ms: int

    def chunks(self) -> Iterator[tuple[pl.DataFrame, list[Label]]]:
        """Readings in the order of time, and the labels known by then, a minute at a time."""
        for chunk in self.plan.chunks(self.plan.start_ms(0.0), 60.0):
            labels = [one.moved(self.by_ms) for one in chunk.labels]
            begin_ms, end_ms = chunk.begin_ms + self.by_ms, chunk.end_ms + self.by_ms
            labels += [one for one in self.labels if begin_ms <= one.order[0] < end_ms]
            yield self._readings(chunk, begin_ms, end_ms), labels

    def _readings(self, chunk: SimulatedChunk, begin_ms: int, end_ms: int) -> pl.DataFrame:
        simulated = chunk.readings.with_columns(pl.col("time_ms") + self.by_ms)
        during = pl.col("time_ms").is_between(begin_ms, end_ms, "left")
        both = pl.concat([simulated, self.recorded.filter(during)], how="diagonal")
        return both.sort("time_ms", maintain_order=True)


def prepare_input(pets: int, now_s: float) -> Input:
    """Recorded dogs with injected episodes, and a fleet in which every fifth pet falls ill.

    One of the dogs falls severely ill, so that its owner is told.
    """
    plan = Plan(
        pets=pets,
        minutes=MINUTES,
        seed=SEED,
        ill_share=0.2,
        speed=0.0,
        start=MADE_FOR,
        onset_h=(0.5, 1.0),
        courses=40.0,
    )
    start_ms = plan.start_ms(now_s)
    by_ms = round(now_s * 1000 - MINUTES * 60_000) - start_ms
    by_ms -= by_ms % BLOCK_MS  # whole blocks: each reading stays in its place within one
    recorded = recorded_readings(parse_sessions(dog_heartbeats()), start_ms + by_ms)
    is_severe = pl.col("pet_id") == recorded["pet_id"].min()
    inject = partial(inject_every, every_s=EPISODE_EVERY_S, first_s=FIRST_EPISODE_S)
    others, labels = inject(recorded.filter(~is_severe))
    severe, severe_labels = inject(recorded.filter(is_severe), kinds=tuple(SEVERE))
    together = pl.concat([others, severe]).sort("time_ms", "pet_id")
    labels = sorted([*labels, *severe_labels], key=lambda one: one.order)
    return Input(together, labels, plan, by_ms)


def demo_environment(settings: Settings) -> dict[str, str]:
    """The settings of the demo: its folder, a short interval, its env tag; all others default."""
    return {
        **dict.fromkeys(Settings.names(), ""),
        "PETTWIN_STATE_DIR": str(settings.state.root / "demo"),
        "PETTWIN_BATCH_INTERVAL_S": "5",
        "DD_ENV": "demo",
    }


def run(choice: BrokerChoice, *, pets: int, ui_port: int | None, say: Callable[[str], None]) -> int:
    """Run the demo; returns the exit code."""
    if ui_port is not None and answers(ui_port):
        raise StackError(f"port {ui_port} is taken: choose another one with --port")
    environment = demo_environment(Settings.load())
    settings = Settings.load(environment)
    state = settings.state
    with claimed(state):
        _empty(state.root)
        say("the demo runs on local parts only: no account, no real address is used")
        with local_broker(settings, choice, say) as local:
            datadog = local_datadog_part(state)
            parts = (*local.parts, datadog.part, *dagster_parts(state, ui_port, environment))
            write = stack_writer(state, local.broker, datadog.addresses)
            write({})
            for service in settings.services():
                say(f"{service.name} ({service.state}): {service.detail}")
            with (
                Supervisor(parts, say=say, on_change=write) as supervisor,
                supervisor.stopping_on_signals(),
            ):
                return _run_parts(settings, supervisor, pets, ui_port, say)


def _empty(folder: Path) -> None:
    """Remove what the last demo left; the lock, which is held, stays.

    Raises:
        StackError: there is something that no demo left.
    """
    if not (folder / MARK).exists() and any(one.name != LOCK for one in folder.iterdir()):
        raise StackError(
            f"{folder} holds something that no demo left there: move it away, or set "
            "PETTWIN_STATE_DIR to another folder"
        )
    (folder / MARK).touch()
    for one in folder.iterdir():
        if one.is_dir():
            shutil.rmtree(one)
        elif one.name not in {LOCK, MARK}:
            one.unlink()


def _run_parts(
    settings: Settings,
    supervisor: Supervisor,
    pets: int,
    ui_port: int | None,
    say: Callable[[str], None],
) -> int:
    began_s = time.monotonic()
    say("starting Dagster: code server and daemon")
    supervisor.start()
    given = prepare_input(pets, time.time())
    with Kafka(settings) as kafka, closing(open_ledger(settings.ledger_url)) as ledger:
        demo = Demo(settings, kafka, ledger, supervisor, say)
        sent = demo.send(given)
        demo.await_done(sent)
        outcome = demo.outcome(given, sent, time.monotonic() - began_s)
    show_summary(outcome, settings, say)
    if ui_port is not None and not outcome.problems:
        say(f"Dagster: http://{LOOPBACK}:{ui_port}; Ctrl-C stops everything")
        supervisor.watch()
    return 1 if outcome.problems else 0


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo works with while the parts run."""

    settings: Settings
    kafka: Kafka
    ledger: Ledger
    supervisor: Supervisor
    say: Callable[[str], None]

    def send(self, given: Input) -> int:
        """Send everything; returns how many messages went to the topic of readings."""
        topics = (self.settings.kafka_topic, self.settings.kafka_labels_topic)
        recorded = given.recorded
        self.say(
            f"sending {len(recorded):,} readings of {recorded['pet_id'].n_unique()} recorded dogs "
            f"with {len(given.labels)} injected episodes, and {given.plan.minutes:.0f} minutes of "
            f"{given.plan.pets} simulated pets"
        )
        with Sender(self.settings, self.kafka, topics, say=self.say, idle=self._look) as sender:
            sender.send(topics[0], [Outgoing(b"broken-collar", value) for value in BROKEN])
            for readings, labels in given.chunks():
                sender.send(topics[0], messages_of(readings, keep_times=False))
                sender.send(topics[1], label_messages(labels))
                self._look()
        return sender.acked_of(topics[0])

    def await_done(self, sent: int) -> None:
        """Until everything is scored, committed, told and reported.

        Raises:
            StackError: nothing moves any more, or somebody asked for an end.
        """
        self.say(f"{sent:,} messages sent; waiting until everything is scored")
        seen, since_s = -1, time.monotonic()
        while not self._is_done(sent):
            self._look()
            done = self.ledger.outcomes.totals(self.settings.kafka_topic).get("messages", 0)
            if done != seen:
                seen, since_s = done, time.monotonic()
                self.say(f"  {done:,} of {sent:,} messages scored")
            if time.monotonic() - since_s > STALLED_S:
                raise StackError(
                    f"no progress for {STALLED_S:.0f} s at {done:,} of {sent:,} messages: "
                    f"{self.ledger.last_error(self.settings.kafka_topic) or 'no error was noted'}; "
                    f"logs: {self.settings.state.logs}"
                )
            time.sleep(LOOK_S)

    def _is_done(self, sent: int) -> bool:
        topic = self.settings.kafka_topic
        read = self.ledger.outcomes.totals(topic).get("messages", 0)
        return (
            read + self.ledger.outcomes.gaps(topic) >= sent
            and sum(self.kafka.lag(topic).values()) == 0
            and all(one.reported_s is not None for one in self.ledger.done_since(topic, 0.0))
            and not any(one.waiting for one in self.ledger.outbox.backlog().values())
        )

    def _look(self) -> None:
        """Keep the parts running, and end where somebody asked for it."""
        self.supervisor.check()
        if self.supervisor.stopping:
            raise StackError("the demo was stopped before its end")

    def outcome(self, given: Input, sent: int, took_s: float) -> Outcome:
        """What became of it, from the ledger and, as a reader of its own, from the topics."""
        topic = self.settings.kafka_topic
        outcomes = self.ledger.outcomes
        return Outcome(
            sent=sent,
            broken=len(BROKEN),
            took_s=took_s,
            totals=outcomes.totals(topic),
            lag=sum(self.kafka.lag(topic).values()),
            lost=outcomes.gaps(topic),
            ranges=self.ledger.done_since(topic, 0.0),
            kept_alerts=sum(outcomes.count_alerts().values()),
            notified=read_notified(self.settings.notify_file),
            episodes=outcomes.count_episodes(),
            published=read_alerts(self.kafka, self.settings.kafka_alerts_topic),
            dead_letters=len(read_topic(self.kafka, self.settings.dead_letter_topic)),
            labels=given.labels,
        )


def read_topic(kafka: Kafka, topic: str) -> list[bytes | None]:
    """Every message that a topic holds, as a reader of its own sees them."""
    marks = kafka.watermarks(topic).items()
    parts = [
        PartitionRange(p, mark.low, mark.stable) for p, mark in marks if mark.stable > mark.low
    ]
    return kafka.read_range(topic, parts).values if parts else []


def read_notified(path: Path | None) -> list[str]:
    """The ids of the alerts that owners were told of, as a reader of the file sees them."""
    lines = path.read_bytes().splitlines() if path is not None and path.exists() else []
    return [json.loads(line)["notification_id"] for line in lines]


def read_alerts(kafka: Kafka, topic: str) -> list[Alert]:
    """Every alert that the topic holds."""
    return [parse_alert(value) for value in read_topic(kafka, topic) if value is not None]
