"""How readings are cut into batches changes nothing."""

import json
from collections.abc import Iterator

import polars as pl
import pytest

from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker
from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    NONSENSE,
    Pipeline,
    calm,
    failures,
    racing,
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
