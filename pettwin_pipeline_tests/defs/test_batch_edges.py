"""How readings are cut into batches changes nothing."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from pettwin_pipeline.adapters import ledger_tables as t
from pettwin_pipeline.adapters.hour_files import HOUR_S
from pettwin_pipeline.defs.ports import Ports
from pettwin_pipeline.defs.stored import SCORES, stored_batch
from pettwin_pipeline.defs.upkeep import hours_to_compact, thin_baselines
from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker
from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    NONSENSE,
    Pipeline,
    calm,
    failures,
    racing,
    repository,
)

pytestmark = DAGSTERS_OWN

MESSAGES = [
    *calm("rex", 20),
    *NONSENSE,
    *racing("rex", 6, since_min=20),
    *racing("rex", 1, since_min=25),  # a minute of it once more
    *calm("rex", 1, since_min=2),  # late
    *calm("rex", 10, since_min=26),
]
OTHERS = [*calm("bo", 25), *racing("bo", 8, since_min=25)]
THIRD = [
    *calm("mia", 15),
    *racing("mia", 7, since_min=15),
    *NONSENSE[:2],
    *racing("mia", 3, since_min=18),  # late and repeated
    *calm("mia", 12, since_min=25),  # after a gap
    *racing("mia", 4, since_min=37),
]
SELDOM = [f"seldom-{n}" for n in range(6)]
"""Pets of every partition that most batches do not touch."""
STREAMS = [
    [
        *(one for pet in SELDOM for one in calm(f"{pet}-{partition}", 0.5)),
        *messages,
        *(one for pet in SELDOM for one in calm(f"{pet}-{partition}", 0.5, since_min=0.2)),
    ]
    for partition, messages in enumerate((MESSAGES, OTHERS, THIRD))
]
COUNTED = ("messages", "readings", "rejects", "scored", "late", "repeated", "alerts")


def run_all(pipeline: Pipeline) -> int:
    """Run until nothing is left; returns how many batches it were."""
    batches = 0
    while requests := pipeline.tick().run_requests:
        for request in requests:
            assert failures(pipeline.run(request.tags)) == {}
            batches += 1
        assert batches < 20, "there is no end to it"
    return batches


def scores(pipeline: Pipeline) -> pl.DataFrame:
    """Of all batches, by partition and offset."""
    ranges = [one.range for one in pipeline.ledger.recent("pet-health-stream", 99)]
    frames = [pipeline.files.read_frame(one, "scores") for one in ranges]
    return pl.concat(frames).sort("partition", "offset")


def alerts(pipeline: Pipeline) -> list[bytes]:
    return sorted(one.value() for one in pipeline.messages("pet-health-alerts"))


def totals(pipeline: Pipeline) -> dict[str, int]:
    found = pipeline.ledger.outcomes.totals("pet-health-stream")
    return {name: found[name] for name in COUNTED}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Everything in one batch."""
    with EmbeddedBroker() as broker, pytest.MonkeyPatch.context() as patch:
        pipeline = Pipeline(tmp_path_factory.mktemp("whole"), broker, patch)
        pipeline.send(MESSAGES, partition=0)
        pipeline.send(OTHERS, partition=1)
        assert run_all(pipeline) == 1
        yield pipeline


def test_the_batch_has_something_of_everything(whole: Pipeline) -> None:
    found = totals(whole)
    assert found["messages"] == len(MESSAGES) + len(OTHERS)
    assert (found["rejects"], found["repeated"] + found["late"]) == (4, 24)
    assert found["alerts"] == len(alerts(whole)) >= 2


def test_in_five_batches_come_the_same_scores_and_the_same_alerts(
    whole: Pipeline, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = -(-(len(MESSAGES) + len(OTHERS)) // 5)
    monkeypatch.setenv("PETTWIN_BATCH_MAX_READINGS", str(most))
    pipeline.send(MESSAGES, partition=0)
    pipeline.send(OTHERS, partition=1)
    assert run_all(pipeline) == 5
    assert scores(pipeline).equals(scores(whole))
    assert alerts(pipeline) == alerts(whole)
    assert totals(pipeline) == totals(whole)


def test_the_number_of_lanes_may_change_between_batches(
    whole: Pipeline, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    for lanes, begin, end in (("1", 0, 150), ("2", 150, 390), ("3", 390, 500)):
        monkeypatch.setenv("PETTWIN_LANES", lanes)
        pipeline.send(MESSAGES[begin:end], partition=0)
        pipeline.send(OTHERS[begin:end], partition=1)
        run_all(pipeline)
    assert scores(pipeline).equals(scores(whole))
    assert alerts(pipeline) == alerts(whole)


def test_a_pet_whose_readings_are_spread_over_partitions_stops_nobody(pipeline: Pipeline) -> None:
    for partition in (0, 1):
        spread = [*calm("rex", 20), *racing("rex", 6, since_min=20)]
        pipeline.send(spread[partition::2], partition=partition)
    pipeline.send(OTHERS, partition=2)
    assert run_all(pipeline) == 1
    ids = [json.loads(one)["alert_id"] for one in alerts(pipeline)]
    assert len(set(ids)) == len(ids) > 0


@dataclass(frozen=True)
class Leg:
    """Some more messages, some runs, and what housekeeping does then."""

    upto: float
    """Share of all messages that are sent by now."""
    lanes: int
    most: int
    """Messages of a batch."""
    ticks: int
    """Of the sensor; what they leave is read by the next legs."""
    every: int
    """Batches from one whole snapshot to the next."""
    after: Literal["nothing", "thin", "compact"] = "nothing"


class Come(NamedTuple):
    """What all of it came to."""

    scores: pl.DataFrame
    alerts: list[bytes]
    episodes: list[tuple[str, str]]
    totals: dict[str, int]


LAST = Leg(upto=1.0, lanes=2, most=100_000, ticks=99, every=32)
legs = st.builds(
    Leg,
    upto=st.floats(0, 1),
    lanes=st.integers(1, 4),
    most=st.sampled_from([150, 400, 100_000]),
    ticks=st.integers(1, 2),
    every=st.sampled_from([1, 2, 32]),
    after=st.sampled_from(["nothing", "thin", "compact"]),
)


def walk(pipeline: Pipeline, patch: pytest.MonkeyPatch, way: Sequence[Leg]) -> Come:
    """Go leg after leg, and look at what is there in the end."""
    begin = 0.0
    for leg in way:
        patch.setenv("PETTWIN_LANES", str(leg.lanes))
        patch.setenv("PETTWIN_BATCH_MAX_READINGS", str(leg.most))
        patch.setenv("PETTWIN_SNAPSHOT_EVERY", str(leg.every))
        for partition, messages in enumerate(STREAMS):
            some = slice(*(round(len(messages) * share) for share in (begin, leg.upto)))
            pipeline.send(messages[some], partition)
        begin = leg.upto
        for _ in range(leg.ticks):
            requests = pipeline.tick().run_requests
            for request in requests or []:
                assert failures(pipeline.run(request.tags)) == {}
            if not requests:
                break
        keep_house(pipeline, leg.after)
    return come(pipeline)


def keep_house(pipeline: Pipeline, what: str) -> None:
    """What the schedules do hours later."""
    if what == "nothing":
        return
    with t.open_engine(pipeline.settings.ledger_url).begin() as sql:
        # But for those in files of hours, which would not be found there any more.
        small = sa.update(t.ranges).where(t.ranges.c.compacted_s.is_(None))
        sql.execute(small.values(finished_s=t.ranges.c.finished_s - 3 * HOUR_S))
    ports = Ports()
    if what == "thin":
        thin_baselines(ports)
    else:
        for hour in hours_to_compact(ports):
            key = datetime.fromtimestamp(hour, tz=UTC).strftime("%Y-%m-%d-%H:%M")
            job = repository().get_job("compaction_job")
            assert job.execute_in_process(instance=pipeline.instance, partition_key=key).success
    ports.close()


def come(pipeline: Pipeline) -> Come:
    ports = Ports()
    done = pipeline.ledger.done_since("pet-health-stream", 0)
    frames = [stored_batch(ports, one) for one in done]
    rows = pl.concat([one for one in frames if one is not None]).sort("partition", "offset")
    with t.open_engine(pipeline.settings.ledger_url).begin() as sql:
        found = sql.execute(sa.select(t.episodes.c.episode_id, t.episodes.c.body))
        episodes = sorted((row.episode_id, row.body) for row in found)
    ports.close()
    names = ("partition", "offset", "pet_id", "time_ms", *SCORES)
    return Come(rows.select(names), alerts(pipeline), episodes, totals(pipeline))


def walked(way: Sequence[Leg]) -> Come:
    """A pipeline of its own that goes this way."""
    with (
        EmbeddedBroker() as broker,
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as folder,
    ):
        return walk(Pipeline(Path(folder), broker, patch), patch, way)


@pytest.fixture(scope="module")
def at_once() -> Come:
    """One batch of one lane, and nobody keeps house."""
    return walked([replace(LAST, lanes=1)])


def test_the_batch_that_is_cut_has_something_of_everything(at_once: Come) -> None:
    assert set(at_once.scores["status"]) == {"scored", "late", "repeated"}
    assert len(at_once.episodes) >= 3
    assert any(json.loads(body)["ended_ms"] for _, body in at_once.episodes)
    assert at_once.totals["rejects"] == 6
    assert sum(map(len, STREAMS)) == at_once.totals["messages"]


@settings(deadline=None, max_examples=6, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(way=st.lists(legs, max_size=3))
@example(
    way=[
        Leg(upto=0.3, lanes=1, most=150, ticks=1, every=32),
        Leg(upto=0.6, lanes=3, most=90, ticks=2, every=32, after="thin"),
        Leg(upto=0.8, lanes=4, most=400, ticks=1, every=2, after="compact"),
    ]
)
def test_batches_lanes_snapshots_and_housekeeping_change_nothing(
    at_once: Come, way: list[Leg]
) -> None:
    in_order = sorted(leg.upto for leg in way)
    found = walked([*(replace(leg, upto=n) for leg, n in zip(way, in_order, strict=True)), LAST])
    assert found.scores.equals(at_once.scores)
    assert found[1:] == at_once[1:]
