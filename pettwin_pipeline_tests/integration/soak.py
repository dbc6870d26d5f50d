"""`make soak`: a stack whose processes are killed at random times, and what it comes to.

A simulated fleet sends readings to a real Kafka all the while, with nonsense and repeated readings
in between. After the last kill everything is read to the end, and an independent reader compares
it with what the same messages come to where nobody is killed. Exit code 0 only if nothing was lost
and nothing came twice.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Final

import confluent_kafka as ck
import psutil
import pytest

from pettwin_pipeline.adapters.ledger import Ledger, open_ledger
from pettwin_pipeline.adapters.ledger_records import FINISHED, RangeRecord
from pettwin_pipeline.stack.apache_kafka import prepare_kafka
from pettwin_pipeline.stack.ports import free_port
from pettwin_pipeline.stack.supervisor import Supervisor
from pettwin_pipeline_tests.defs.pipeline import NONSENSE, Pipeline, failures
from pettwin_pipeline_tests.integration.independent_reader import (
    Outcome,
    committed,
    ends,
    faults,
    messages,
    outcome,
)
from pettwin_pipeline_tests.integration.processes import Running, left_running, pettwin
from pettwin_pipeline_tests.stack.programs import wait_for

VICTIMS: Final = {
    "a run worker": 5,
    "the code server": 2,
    "the daemon": 2,
    "the supervisor": 1,
    "everything at once": 1,
}
"""How often each is killed, against the others."""
PAUSE_S: Final = (1.0, 12.0)
"""Shortest and longest time between two kills."""
LIFE_S: Final = 6.0
"""About as long a run takes."""
DRAIN_S: Final = 1800.0
"""A range that failed again and again waits for up to 5 minutes."""
PARTITIONS: Final = 4
SETTINGS: Final = {
    "PETTWIN_BATCH_INTERVAL_S": "5",
    "PETTWIN_BATCH_MAX_READINGS": "3000",
    "PETTWIN_LANES": "3",
    "PETTWIN_LEASE_S": "10",
    "PETTWIN_SNAPSHOT_EVERY": "5",
}
SPEED: Final = 10
"""Of event time: pets have to fall ill within minutes."""
FLEET: Final = (
    *("simulate", "--pets", "40", "--speed", str(SPEED), "--noise", "3"),
    *("--ill-share", "0.3", "--courses", "20", "--onset", "0.4", "2"),
)


def names(of: str) -> dict[str, str]:
    """Topics and a group of their own."""
    return {
        "KAFKA_TOPIC": f"readings-{of}",
        "KAFKA_ALERTS_TOPIC": f"alerts-{of}",
        "KAFKA_LABELS_TOPIC": f"labels-{of}",
        "KAFKA_CONSUMER_GROUP": f"group-{of}",
    }


def say(text: str) -> None:
    """One line for people, with the time."""
    print(time.strftime("%H:%M:%S"), text, flush=True)  # noqa: T201


class Soak:
    """A stack in a folder, started again whenever it has ended, and who was killed."""

    def __init__(self, folder: Path, kafka: str, dice: random.Random) -> None:
        self.folder = folder
        self.given = {**names("killed"), **SETTINGS, "KAFKA_BOOTSTRAP_SERVERS": kafka}
        self.kafka = kafka
        self.kills: Counter[str] = Counter()
        self.unparked = 0
        self._dice = dice
        self._port = str(free_port())
        self.up = self._started()

    @property
    def topic(self) -> str:
        """Of the readings."""
        return self.given["KAFKA_TOPIC"]

    def _started(self) -> Running:
        up = Running(self.folder, "up", "--dagster", "--port", self._port, **self.given)
        up.says("up; Ctrl-C stops everything")
        return up

    def kill_somebody(self) -> None:
        """Kill one process, or all of them; a supervisor is started again."""
        name = self._dice.choices(list(VICTIMS), list(VICTIMS.values()))[0]
        if name == "a run worker":  # most of the time there is none
            with suppress(AssertionError):
                wait_for(lambda: bool(self._workers()))
            time.sleep(self._dice.uniform(0, LIFE_S))
        killed = [pid for pid in self._pids(name) if _kill(pid)]
        if killed:
            self.kills[name] += 1
            say(f"killed {name} ({', '.join(map(str, killed))})")
        if name in {"the supervisor", "everything at once"}:
            self.up.ends()
            time.sleep(self._dice.uniform(0, 5))
            self.up = self._started()
        elif self.up.process.poll() is not None:
            raise SystemExit(f"the stack gave up:\n{self.up.out}\n{self.up.err}")

    def _pids(self, name: str) -> list[int]:
        children = self.up.stack["children"]
        if name == "a run worker":
            return self._dice.sample(workers := self._workers(), min(1, len(workers)))
        if name == "the supervisor":
            return [self.up.process.pid]
        if name == "everything at once":
            return [self.up.process.pid, *children.values(), *self._workers()]
        part = {"the code server": "dagster-code", "the daemon": "dagster-daemon"}[name]
        return [children[part]] if part in children else []

    def _workers(self) -> list[int]:
        """Processes of runs, also of those whose code server was killed."""
        found = []
        for process in left_running(self.folder):
            with suppress(psutil.Error):
                if any("spawn_main" in part for part in process.cmdline()):
                    found.append(process.pid)
        return sorted(found)

    def records(self) -> list[RangeRecord]:
        """All ranges, newest first."""
        with self.ledger() as ledger:
            return ledger.recent(self.topic, 1_000_000)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger of the stack."""
        ledger = open_ledger(f"sqlite:///{self.folder}/state/ledger.sqlite")
        yield ledger
        ledger.close()

    def is_drained(self) -> bool:
        """Whether everything is read; a parked lane is freed, as a person would."""
        records = self.records()
        if any(one.status == "parked" for one in records):
            self.unparked += 1
            pettwin(self.folder, "unpark", **self.given)
        if any(one.status not in FINISHED for one in records):
            return False
        group = self.given["KAFKA_CONSUMER_GROUP"]
        return committed(self.kafka, group, self.topic) == ends(self.kafka, self.topic)


def _kill(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def kill_for(soak: Soak, minutes: float, dice: random.Random) -> None:
    """Kill at random times, while readings flow, and some nonsense."""
    producer = ck.Producer({"bootstrap.servers": soak.kafka, "enable.idempotence": True})
    span = ("--minutes", str(minutes * SPEED))
    fleet = Running(soak.folder, *FLEET, *span, **soak.given)
    while fleet.process.poll() is None:
        time.sleep(dice.uniform(*PAUSE_S))
        soak.kill_somebody()
        for one in NONSENSE:
            producer.produce(soak.topic, one.value, one.key)
        producer.flush()
    if fleet.process.returncode:
        raise SystemExit(f"the fleet could not send: {fleet.err}")


def copied(kafka: str, source: str, target: str) -> None:
    """The same messages at the same offsets of another topic."""
    producer = ck.Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
    for one in messages(kafka, source):
        where = {"partition": one.partition(), "timestamp": one.timestamp()[1]}
        while True:
            try:
                producer.produce(target, one.value(), one.key(), **where)
            except BufferError:
                producer.poll(0.1)
            else:
                break
    producer.flush()


def undisturbed(kafka: str, source: str, folder: Path) -> Outcome:
    """What the messages of a topic come to in this process, where nobody is killed."""
    given = {**names("undisturbed"), "KAFKA_BOOTSTRAP_SERVERS": kafka}
    folder.mkdir()
    log = (folder / "log").open("w")
    with log, redirect_stdout(log), redirect_stderr(log), pytest.MonkeyPatch.context() as patch:
        pipeline = Pipeline(folder, None, patch, PARTITIONS, **given)
        copied(kafka, source, given["KAFKA_TOPIC"])
        while requests := pipeline.tick().run_requests:
            assert failures(pipeline.run(requests[0].tags)) == {}
        return outcome(kafka, given, Path(pipeline.settings.data_url))


def summary(soak: Soak, seen: Outcome, found: list[str]) -> Iterator[str]:
    """What was killed, what was read, and whether it is as it should be."""
    kinds = Counter(one.status for one in soak.records())
    attempts = sum(one.attempt for one in soak.records())
    kills = ", ".join(f"{name} {number}" for name, number in soak.kills.most_common())
    yield f"kills      {soak.kills.total()}: {kills}"
    yield f"batches    {kinds['done']} done, {attempts} attempts, {kinds['cut']} cut in halves"
    yield f"unparked   {soak.unparked}"
    yield f"readings   {len(seen.scores):,}, dead letters of {len(seen.letters)} kinds"
    yield f"alerts     {len(seen.alerts)}"
    yield from (f"FAULT      {one}" for one in found)
    yield f"verdict    {'FAILED' if found else 'nothing lost, nothing twice, the same bytes'}"


def soaked(folder: Path, kafka: str, minutes: float, seed: int) -> bool:
    """Kill, drain, compare; whether everything is as it should be."""
    dice = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        Pipeline(folder, None, patch, PARTITIONS, **names("killed"), KAFKA_BOOTSTRAP_SERVERS=kafka)
    soak = Soak(folder, kafka, dice)
    try:
        kill_for(soak, minutes, dice)
        say(f"draining; {sum(ends(kafka, soak.topic).values()):,} messages were sent")
        wait_for(soak.is_drained, DRAIN_S)
        code = soak.up.stop()
        wait_for(lambda: left_running(folder) == [])
    finally:
        for process in left_running(folder):
            process.kill()
    say("scoring the same messages where nobody is killed")
    seen = outcome(kafka, soak.given, folder / "state/data")
    found = faults(seen, undisturbed(kafka, soak.topic, folder / "undisturbed"))
    found += [] if code == 0 else [f"the stack ended with exit code {code}: {soak.up.err}"]
    for line in summary(soak, seen, found):
        say(line)
    return not found


def main() -> None:
    """Run it; exit code 1 where something was lost, came twice, or differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    say(f"soak: {asked.minutes:g} minutes, seed {asked.seed}, in {folder}")
    prepared = prepare_kafka(folder / "kafka", say)
    with Supervisor([prepared.part(folder / "kafka.log")]) as supervisor:
        supervisor.start()
        good = soaked(folder / "stack", prepared.address, asked.minutes, asked.seed)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
