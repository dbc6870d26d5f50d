"""Many partitions, lanes that change in the middle, partitions that are added while reading."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import sqlalchemy as sa
from confluent_kafka.admin import AdminClient, NewPartitions

from pettwin_pipeline_tests.adapters.ledgers import kept_in, url
from pettwin_pipeline_tests.defs.pipeline import DAGSTERS_OWN, Pipeline, calm, failures, racing
from pettwin_pipeline_tests.integration.outcomes import (
    LONG_S,
    committed_messages,
    empty_pipeline,
    run_until_done,
    scores,
    sent_now,
)
from pettwin_pipeline_tests.integration.topics import ANSWER_S, topic_partitions
from pettwin_pipeline_tests.stack.programs import wait_for

pytestmark = [pytest.mark.integration, DAGSTERS_OWN]

PARTITIONS: Final = 48


class Found(NamedTuple):
    """What came of the fleet, whatever the lanes were."""

    scores: bytes
    alerts: list[str]
    episodes: int
    committed: dict[int, int]
    messages: int


def found(pipeline: Pipeline) -> Found:
    topic = pipeline.settings.kafka_topic
    alerts = committed_messages(pipeline, pipeline.settings.kafka_alerts_topic)
    return Found(
        scores(pipeline).write_ipc(None).getvalue(),
        sorted(map(str, alerts)),
        pipeline.ledger.outcomes.count_episodes(),
        pipeline.committed(),
        pipeline.ledger.outcomes.totals(topic)["messages"],
    )


def send_fleet(pipeline: Pipeline, begin: int, end: int) -> None:
    """Minutes of a pet in each partition; every sixth is ill from its fifteenth minute on."""
    for partition in range(PARTITIONS):
        pet = f"pet-{partition}"
        whole = [*calm(pet, 15), *racing(pet, 5, since_min=15)] if partition % 6 == 0 else []
        whole = whole or calm(pet, 20)
        pipeline.send(sent_now(whole[begin * 12 : end * 12]), partition=partition)


@pytest.fixture
def fleet(kafka: str, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """48 partitions, a ledger in PostgreSQL."""
    with kept_in(postgres):
        ledger = url(tmp_path)
    given = {"PETTWIN_LEDGER_URL": ledger}
    return empty_pipeline(kafka, tmp_path / "pipeline", monkeypatch, PARTITIONS, **given)


@pytest.fixture(scope="module")
def of_one_lane(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What comes of the fleet where one run reads everything at once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("one-lane")
        pipeline = empty_pipeline(kafka, folder, patch, PARTITIONS)
        send_fleet(pipeline, 0, 20)
        run_until_done(pipeline)
        return found(pipeline)


def test_the_illnesses_of_the_fleet_are_told(of_one_lane: Found) -> None:
    assert of_one_lane.episodes >= 8
    assert len(of_one_lane.alerts) >= 8


def test_on_3_lanes_then_5_while_ranges_of_the_3_are_unfinished_it_comes_to_the_same(
    fleet: Pipeline, monkeypatch: pytest.MonkeyPatch, of_one_lane: Found
) -> None:
    monkeypatch.setenv("PETTWIN_LANES", "3")
    send_fleet(fleet, 0, 10)
    done, left, never_begun = fleet.tick().run_requests
    assert failures(fleet.run(done.tags)) == {}
    fleet.run(left.tags, ["telemetry_batch", "anomaly_scores"])  # ends before its last stage
    monkeypatch.setenv("PETTWIN_LANES", "5")
    send_fleet(fleet, 10, 20)
    of_new_lanes = fleet.tick().run_requests
    assert of_new_lanes, "lanes that nobody is at work on go on"
    for request in of_new_lanes:
        assert failures(fleet.run(request.tags)) == {}
    assert failures(fleet.run(never_begun.tags)) == {}
    fleet.let_pass(LONG_S)
    run_until_done(fleet)
    assert found(fleet) == of_one_lane
    lanes = {one.range.lane for one in fleet.ledger.done_since(fleet.settings.kafka_topic, 0)}
    assert lanes == {0, 1, 2, 3, 4}


def add_partitions(pipeline: Pipeline, total: int) -> None:
    topic, kafka = pipeline.settings.kafka_topic, pipeline.kafka
    asked = kafka.connection.admin.create_partitions([NewPartitions(topic, total)])
    asked[topic].result(ANSWER_S)
    wait_for(lambda: len(topic_partitions(kafka, topic)) == total)
    pipeline.connect(None)  # a producer that knows them


@pytest.mark.parametrize("start", ["earliest", "latest", "2026-01-01T00:00:00Z"])
def test_partitions_that_are_added_while_reading_are_read_from_their_first_message(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    given = {"PETTWIN_START": start}
    pipeline = empty_pipeline(kafka, tmp_path / "pipeline", monkeypatch, PARTITIONS, **given)
    pipeline.send(sent_now(calm("before", 1)), partition=1)
    run_until_done(pipeline)
    add_partitions(pipeline, 60)
    for partition in range(PARTITIONS - 1, 60):
        pipeline.send(sent_now(calm(f"pet-{partition}", 1)), partition=partition)
    run_until_done(pipeline)
    ends = dict.fromkeys(range(PARTITIONS - 1, 60), 12)
    read_before = {} if start == "latest" else {1: 12}
    assert pipeline.committed() == ends | read_before
    counted = scores(pipeline)["partition"].value_counts().iter_rows()
    assert dict(counted) == ends | read_before


@contextmanager
def counting(patch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often the broker and the ledger are asked while the block runs, by what is asked."""
    asked: Counter[str] = Counter()

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(AdminClient, name)

        def ask(*arguments: Any, **named: Any) -> Any:
            asked[name] += 1
            return real(*arguments, **named)

        return ask

    def on_statement(*_: object) -> None:
        asked["statements"] += 1

    with patch.context() as wrapped:
        for name in ("list_topics", "describe_topics", "list_offsets"):
            wrapped.setattr(AdminClient, name, counted(name))
        sa.event.listen(sa.Engine, "before_cursor_execute", on_statement)
        yield asked
        sa.event.remove(sa.Engine, "before_cursor_execute", on_statement)


def asked_by_ticks(pipeline: Pipeline, patch: pytest.MonkeyPatch) -> list[Counter[str]]:
    """What the first tick asks, one with nothing new, and one with news in every partition."""
    partitions = pipeline.kafka.watermarks(pipeline.settings.kafka_topic)  # all of them are led now
    counts = []
    for minutes in (0, 0, 0.1):
        for partition in partitions:
            pipeline.send(sent_now(calm(f"pet-{partition}", minutes)), partition=partition)
        with counting(patch) as asked:
            pipeline.tick()
        counts.append(asked)
    assert len(pipeline.record().range.parts) == len(partitions)
    return counts


def test_planning_asks_no_more_often_for_many_partitions_than_for_few(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = empty_pipeline(kafka, tmp_path / "few", monkeypatch, 2)
    asked = asked_by_ticks(few, monkeypatch)
    many = empty_pipeline(kafka, tmp_path / "many", monkeypatch, PARTITIONS)
    assert asked_by_ticks(many, monkeypatch) == asked
    assert asked[0]["statements"] > asked[1]["statements"] > 0
