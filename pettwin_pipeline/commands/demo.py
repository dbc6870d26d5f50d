"""`pettwin demo`: recorded dogs and a simulated fleet through the whole pipeline, in a minute.

Everything is local and in a state folder of its own, whatever the settings name. The real sensor,
daemon and runs do the work; this process sends, waits, counts, and compares what went in with what
came out.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import polars as pl

from pettwin_pipeline.adapters.kafka import Kafka, Outgoing
from pettwin_pipeline.adapters.ledger import Ledger, open_ledger
from pettwin_pipeline.batches import PartitionRange
from pettwin_pipeline.commands.sending import Sender
from pettwin_pipeline.commands.simulate import Plan, label_messages, messages_of
from pettwin_pipeline.commands.summary import Outcome, show_summary
from pettwin_pipeline.commands.up import (
    BrokerChoice,
    claimed,
    dagster_parts,
    local_broker,
    stack_writer,
)
from pettwin_pipeline.detection.alerts import Alert, parse_alert
from pettwin_pipeline.errors import StackError
from pettwin_pipeline.readings.heartbeats import parse_sessions, recorded_readings
from pettwin_pipeline.readings.injections import inject_every
from pettwin_pipeline.readings.simulator import Label, SimulatedChunk
from pettwin_pipeline.settings import Settings
from pettwin_pipeline.stack.ports import LOOPBACK, answers
from pettwin_pipeline.stack.recordings import dog_heartbeats
from pettwin_pipeline.stack.supervisor import Supervisor

MINUTES: Final = 120.0
SEED: Final = 7
FIRST_EPISODE_S: Final = 1500
EPISODE_EVERY_S: Final = 1500
STALLED_S: Final = 60.0
"""Without any progress for so long, the demo has failed."""
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
    """What the demo sends: recorded readings with their labels, beside the simulation."""

    recorded: pl.DataFrame
    labels: list[Label]
    plan: Plan
    start_ms: int

    def chunks(self) -> Iterator[tuple[pl.DataFrame, list[Label]]]:
        """Readings in the order of time, and the labels known by then, a minute at a time."""
        for chunk in self.plan.chunks(self.start_ms, 60.0):
            yield _with_recorded(chunk, self.recorded), [*chunk.labels, *self._known(chunk)]

    def _known(self, chunk: SimulatedChunk) -> list[Label]:
        return [one for one in self.labels if chunk.begin_ms <= one.order[0] < chunk.end_ms]


def _with_recorded(chunk: SimulatedChunk, recorded: pl.DataFrame) -> pl.DataFrame:
    during = recorded.filter(pl.col("time_ms").is_between(chunk.begin_ms, chunk.end_ms, "left"))
    return pl.concat([chunk.readings, during], how="diagonal").sort("time_ms", maintain_order=True)


def prepare_input(pets: int, now_s: float) -> Input:
    """Recorded dogs with injected episodes, and a fleet in which every fifth pet falls ill."""
    plan = Plan(
        pets=pets,
        minutes=MINUTES,
        seed=SEED,
        ill_share=0.2,
        speed=0.0,
        onset_h=(0.5, 1.0),
        courses=40.0,
    )
    start_ms = plan.start_ms(now_s)
    recorded = recorded_readings(parse_sessions(dog_heartbeats()), start_ms)
    recorded, labels = inject_every(recorded, every_s=EPISODE_EVERY_S, first_s=FIRST_EPISODE_S)
    return Input(recorded, labels, plan, start_ms)


def demo_environment(settings: Settings) -> dict[str, str]:
    """The settings of the demo: nothing but its folder, a short interval and its own env tag."""
    return {
        "PETTWIN_STATE_DIR": str(settings.state.root / "demo"),
        "PETTWIN_BATCH_INTERVAL_S": "5",
        "DD_ENV": "demo",
    }


@contextmanager
def only(environment: dict[str, str]) -> Iterator[None]:
    """While the block runs, children see no other setting than these."""
    known = {name.upper() for name in Settings.model_fields} - set(environment)
    before = {name: os.environ.pop(name) for name in known if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)


def run(choice: BrokerChoice, *, pets: int, ui_port: int | None, say: Callable[[str], None]) -> int:
    """Run the demo; returns the exit code."""
    if ui_port is not None and answers(ui_port):
        raise StackError(f"port {ui_port} is taken: choose another one with --port")
    environment = demo_environment(Settings.load())
    settings = Settings.load(environment)
    state = settings.state
    with claimed(state):
        shutil.rmtree(state.root, ignore_errors=True)
        state.root.mkdir(parents=True)
        say("the demo runs on local parts only: no account, no real address is used")
        with only(environment), local_broker(settings, choice, say) as local:
            dagster = dagster_parts(state, ui_port, folder=state.root, env=environment)
            write = stack_writer(state, local.broker, {})
            write({})
            for service in settings.services():
                say(f"{service.name} ({service.state}): {service.detail}")
            with Supervisor((*local.parts, *dagster), say=say, on_change=write) as supervisor:
                with supervisor.stopping_on_signals():
                    return _run_parts(settings, supervisor, pets, ui_port, say)


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
    with Kafka(settings) as kafka:
        sent = _send(settings, kafka, given, supervisor, say)
        say(f"{sent:,} messages sent; waiting until everything is scored")
        ledger = open_ledger(settings.ledger_url)
        _await_done(settings, kafka, ledger, sent, supervisor, say)
        outcome = Outcome(
            sent=sent,
            broken=len(BROKEN),
            took_s=time.monotonic() - began_s,
            totals=ledger.outcomes.totals(settings.kafka_topic),
            lag=sum(kafka.lag(settings.kafka_topic).values()),
            lost=ledger.outcomes.gaps(settings.kafka_topic),
            ranges=ledger.done_since(settings.kafka_topic, 0.0),
            kept_alerts=sum(ledger.outcomes.count_alerts().values()),
            episodes=ledger.outcomes.count_episodes(),
            published=read_alerts(kafka, settings.kafka_alerts_topic),
            labels=given.labels,
        )
        ledger.close()
    show_summary(outcome, settings, say)
    if ui_port is not None and not outcome.problems:
        say(f"Dagster: http://{LOOPBACK}:{ui_port}; Ctrl-C stops everything")
        supervisor.watch()
    return 1 if outcome.problems else 0


def _send(
    settings: Settings,
    kafka: Kafka,
    given: Input,
    supervisor: Supervisor,
    say: Callable[[str], None],
) -> int:
    """Send everything; returns how many messages went to the topic of readings."""
    topics = (settings.kafka_topic, settings.kafka_labels_topic)
    say(
        f"sending {len(given.recorded):,} readings of {given.recorded['pet_id'].n_unique()} "
        f"recorded dogs with {len(given.labels)} injected episodes, and {given.plan.minutes:.0f} "
        f"minutes of {given.plan.pets} simulated pets"
    )
    with Sender(settings, kafka, topics, say=say, idle=supervisor.check) as sender:
        sender.send(topics[0], [Outgoing(b"broken-collar", value) for value in BROKEN])
        for readings, labels in given.chunks():
            _stop_if_asked(supervisor)
            sender.send(topics[0], messages_of(readings, keep_times=False))
            sender.send(topics[1], label_messages(labels))
            supervisor.check()
    return sender.acked_of(topics[0])


def _await_done(
    settings: Settings,
    kafka: Kafka,
    ledger: Ledger,
    sent: int,
    supervisor: Supervisor,
    say: Callable[[str], None],
) -> None:
    """Until the ledger has all messages and the group's offsets say the same."""
    topic = settings.kafka_topic
    seen, since_s = -1, time.monotonic()
    while True:
        _stop_if_asked(supervisor)
        supervisor.check()
        done = ledger.outcomes.totals(topic).get("messages", 0)
        if done + ledger.outcomes.gaps(topic) >= sent and not sum(kafka.lag(topic).values()):
            return
        if done != seen:
            seen, since_s = done, time.monotonic()
            say(f"  {done:,} of {sent:,} messages scored")
        if time.monotonic() - since_s > STALLED_S:
            raise StackError(
                f"no progress for {STALLED_S:.0f} s at {done:,} of {sent:,} messages: "
                f"{ledger.last_error(topic) or 'no error was noted'}; logs: {settings.state.logs}"
            )
        time.sleep(0.5)


def _stop_if_asked(supervisor: Supervisor) -> None:
    if supervisor.stopping:
        raise StackError("the demo was stopped before its end")


def read_alerts(kafka: Kafka, topic: str) -> list[Alert]:
    """Every alert that the topic holds, as a reader of its own sees them."""
    marks = kafka.watermarks(topic)
    parts: Sequence[PartitionRange] = [
        PartitionRange(p, mark.low, mark.stable)
        for p, mark in marks.items()
        if mark.stable > mark.low
    ]
    values = kafka.read_range(topic, parts).values if parts else []
    return [parse_alert(value) for value in values if value is not None]
