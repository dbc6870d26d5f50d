"""`kill -9` of every process of a stack, at every step of a batch, on a real Kafka.

In each lane three batches follow one another, each held at another step while the process is
killed. An independent reader looks at what is there afterwards.
"""

import json
import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.stack.ports import free_port
from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    NONSENSE,
    Pipeline,
    calm,
    failures,
    racing,
)
from pettwin_pipeline_tests.integration.independent_reader import (
    Outcome,
    committed,
    ends,
    faults,
    outcome,
)
from pettwin_pipeline_tests.integration.processes import Holding, left_running
from pettwin_pipeline_tests.stack.programs import is_gone, wait_for

pytestmark = [
    pytest.mark.integration,
    DAGSTERS_OWN,
    pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's"),
]

PATIENCE_S: Final = 300.0
LANES: Final = 4
STEPS: Final = (
    "after the lane was taken",
    "after reading",
    "after the dead letters",
    "after the readings",
    "after the baselines",
    "after the scores",
    "after the pending alerts",
    "in the open transaction",
    "after the transaction",
    "after the ledger said done",
    "after the points were claimed",
    "after the points were sent",
)
"""The steps of a batch, each with a process that is killed there."""
ROUNDS: Final = len(STEPS) // LANES
BATCH: Final = 304
"""Messages of a batch: a calm pet, nonsense, and an illness that begins."""


def batch_of(pet: str, number: int) -> list[Outgoing]:
    """Messages stamped now: Kafka's retention drops what is stamped months ago."""
    begin_min = number * 60
    calm_min = calm(pet, 15, begin_min)
    messages = [*calm_min, *NONSENSE, *racing(pet, 10, begin_min + 15)]
    assert len(messages) == BATCH
    return [replace(one, timestamp_ms=0) for one in messages]


def new_pipeline(kafka: str, folder: Path, patch: pytest.MonkeyPatch) -> Pipeline:
    """Topics and group of its own; in each partition a pet that falls ill in every batch."""
    name = uuid.uuid4().hex
    names = {
        "KAFKA_TOPIC": f"readings-{name}",
        "KAFKA_ALERTS_TOPIC": f"alerts-{name}",
        "KAFKA_LABELS_TOPIC": f"labels-{name}",
        "KAFKA_CONSUMER_GROUP": f"group-{name}",
    }
    given = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "PETTWIN_MAX_AGE_H": "1000000"}
    made = Pipeline(folder, None, patch, 4, **names | given)
    for partition in range(LANES):
        for number in range(ROUNDS):
            made.send(batch_of(f"pet-{partition}", number), partition)
    return made


def names_of(pipeline: Pipeline) -> dict[str, str]:
    settings = pipeline.settings
    return {
        "KAFKA_TOPIC": settings.kafka_topic,
        "KAFKA_ALERTS_TOPIC": settings.kafka_alerts_topic,
        "KAFKA_LABELS_TOPIC": settings.kafka_labels_topic,
        "KAFKA_CONSUMER_GROUP": settings.kafka_consumer_group,
    }


def seen(kafka: str, pipeline: Pipeline) -> Outcome:
    return outcome(kafka, names_of(pipeline), Path(pipeline.settings.data_url))


@pytest.fixture(scope="module")
def undisturbed(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """What comes of the same messages in one batch of one lane, and nobody is killed."""
    with pytest.MonkeyPatch.context() as patch:
        pipeline = new_pipeline(kafka, tmp_path_factory.mktemp("undisturbed"), patch)
        assert failures(pipeline.step()) == {}
        yield seen(kafka, pipeline)


@dataclass(frozen=True)
class Orders:
    """At which step the run of which range is held, as files: see `held_definitions.py`."""

    folder: Path

    @classmethod
    def written(cls, folder: Path) -> "Orders":
        """Every lane is held in every batch, at a step that no other batch has."""
        folder.mkdir()
        for number in range(ROUNDS):
            for lane in range(LANES):
                order = folder / f"{cls.range_text(lane, number)}.order"
                order.write_text(STEPS[number * LANES + lane])
        return cls(folder)

    @staticmethod
    def range_text(lane: int, number: int) -> str:
        """The batch of a lane, whose one partition has the same number."""
        return f"{lane}:{number * BATCH}-{(number + 1) * BATCH}"

    def held(self, number: int) -> dict[int, int]:
        """Wait until every run of a round is held; their process ids by lane."""
        files = {n: self.folder / f"{self.range_text(n, number)}.held" for n in range(LANES)}
        wait_for(lambda: all(path.exists() for path in files.values()), PATIENCE_S)
        return {lane: int(path.read_text()) for lane, path in files.items()}

    def let_go(self) -> None:
        """Every run that is held goes on."""
        for path in self.folder.glob("*.held"):
            path.unlink()


class Stack:
    """A `pettwin up --dagster` whose runs can be held, started again after it was killed."""

    def __init__(self, pipeline: Pipeline, kafka: str) -> None:
        self.folder = pipeline.settings.state.root.parent
        self.orders = Orders.written(self.folder / "orders")
        self._given = {
            **names_of(pipeline),
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "PETTWIN_MAX_AGE_H": "1000000",
            "PETTWIN_BATCH_INTERVAL_S": "5",
            "PETTWIN_BATCH_MAX_READINGS": str(BATCH),
            "PETTWIN_LANES": str(LANES),
            "PETTWIN_LEASE_S": "10",
            "HELD_RUNS": str(self.orders.folder),
        }
        self._port = str(free_port())
        self.up = self.started()

    def started(self) -> Holding:
        """A stack in this folder, once everything runs."""
        arguments = ("up", "--dagster", "--port", self._port)
        up = Holding(self.folder, *arguments, **self._given)
        up.says("up; Ctrl-C stops everything")
        return up


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def kill_the_workers(stack: Stack, workers: Mapping[int, int]) -> None:
    for pid in workers.values():
        kill(pid)


def kill_a_part(stack: Stack, name: str) -> None:
    killed = stack.up.stack["children"][name]
    kill(killed)
    wait_for(lambda: stack.up.stack["children"].get(name, killed) != killed, PATIENCE_S)


def kill_the_daemon(stack: Stack, workers: Mapping[int, int]) -> None:
    kill_a_part(stack, "dagster-daemon")


def kill_the_code_server(stack: Stack, workers: Mapping[int, int]) -> None:
    kill_a_part(stack, "dagster-code")


def kill_the_supervisor(stack: Stack, workers: Mapping[int, int]) -> None:
    """Its parts die with it; the runs that are under way live on, and so do their leases."""
    parts = stack.up.stack["children"]
    stack.up.process.kill()
    stack.up.ends()
    wait_for(lambda: all(is_gone(pid) for pid in parts.values()))
    assert not any(is_gone(pid) for pid in workers.values())
    stack.up = stack.started()


@pytest.mark.parametrize(
    "kill_it",
    [kill_the_workers, kill_the_daemon, kill_the_code_server, kill_the_supervisor],
)
def test_a_process_that_is_killed_at_any_step_of_a_batch_changes_nothing(
    kafka: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: Outcome,
    kill_it: Callable[[Stack, Mapping[int, int]], None],
) -> None:
    pipeline = new_pipeline(kafka, tmp_path / "pipeline", monkeypatch)
    topic, group = pipeline.settings.kafka_topic, pipeline.settings.kafka_consumer_group
    stack = Stack(pipeline, kafka)
    for number in range(ROUNDS):
        kill_it(stack, stack.orders.held(number))
        stack.orders.let_go()
    wait_for(lambda: committed(kafka, group, topic) == ends(kafka, topic), PATIENCE_S)
    wait_for(lambda: all_done(pipeline), PATIENCE_S)
    assert stack.up.stop() == 0, stack.up.err
    wait_for(lambda: left_running(stack.folder) == [], PATIENCE_S)
    assert faults(seen(kafka, pipeline), undisturbed) == []
    outcomes = pipeline.ledger.outcomes
    assert outcomes.totals(topic)["messages"] == LANES * ROUNDS * BATCH
    assert sum(outcomes.count_alerts().values()) == len(undisturbed.alerts)


def all_done(pipeline: Pipeline) -> bool:
    records = pipeline.ledger.recent(pipeline.settings.kafka_topic, 99)
    return {one.status for one in records} == {"done"}


def test_the_illnesses_of_the_undisturbed_run_are_told(undisturbed: Outcome) -> None:
    told = [json.loads(one)["pet_id"] for one in undisturbed.alerts]
    assert all(told.count(f"pet-{n}") >= ROUNDS for n in range(LANES)), "in every batch"
    assert undisturbed.committed == dict.fromkeys(range(LANES), ROUNDS * BATCH)
