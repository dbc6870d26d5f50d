"""The small files of an hour's batches are put together, and nothing is lost on the way."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl
import pytest

from pettwin_pipeline.adapters.hour_files import HOUR_S, HourFiles, hour_of
from pettwin_pipeline.adapters.ledger_upkeep import Upkeep
from pettwin_pipeline.defs import upkeep
from pettwin_pipeline.defs.ports import Ports
from pettwin_pipeline.readings.schema import READING_SCHEMA
from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker
from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    Pipeline,
    calm,
    failures,
    metadata,
    racing,
    repository,
)

pytestmark = DAGSTERS_OWN

AGO_S = 2 * HOUR_S


@pytest.fixture
def hour(pipeline: Pipeline) -> str:
    """The partition of the hour, two hours ago, in which three ranges were done."""
    for messages in (calm("rex", 10), calm("rex", 5, since_min=10), racing("rex", 5, since_min=15)):
        pipeline.send(messages)
        pipeline.send(calm("bo", 1, since_min=len(messages)), partition=2)
        assert pipeline.step().success
    finished_s = pipeline.record().finished_s
    assert finished_s is not None
    pipeline.let_pass(finished_s % HOUR_S - 1800 + AGO_S)  # all of them in the middle of an hour
    return key_of(pipeline)


def key_of(pipeline: Pipeline) -> str:
    finished_s = pipeline.record().finished_s
    assert finished_s is not None
    return datetime.fromtimestamp(hour_of(finished_s), tz=UTC).strftime("%Y-%m-%d-%H:%M")


def compact(pipeline: Pipeline, hour: str) -> dg.ExecuteInProcessResult:
    job: dg.JobDefinition = repository().get_job("compaction_job")
    return job.execute_in_process(
        instance=pipeline.instance, partition_key=hour, raise_on_error=False
    )


def small_files(pipeline: Pipeline) -> list[str]:
    """Files of batches, by what they hold."""
    root = pipeline.settings.state.data / "v1"
    found = (path.relative_to(root).parts[0] for path in root.rglob("*") if path.is_file())
    return sorted(kind for kind in found if kind not in {"hours", "baselines"})


def stored(pipeline: Pipeline) -> pl.DataFrame:
    """Every row of the hours of this topic."""
    one = pipeline.record().range
    paths = HourFiles(pipeline.files, one.topic, one.epoch).paths()
    return pl.concat(pl.read_parquet(path.read_bytes()) for path in paths)


def test_the_readings_and_scores_of_an_hour_are_one_file_and_the_small_ones_are_gone(
    pipeline: Pipeline, hour: str
) -> None:
    batches = [one.range for one in pipeline.ledger.recent(pipeline.settings.kafka_topic, 3)]
    readings = pl.concat(pipeline.files.read_frame(one, "readings") for one in batches)
    scores = pl.concat(pipeline.files.read_frame(one, "scores") for one in batches)
    result = compact(pipeline, hour)
    assert failures(result) == {}
    told = metadata(result, "compacted_readings")
    assert (told["dagster/row_count"], told["ranges"], len(told["files"])) == (276, 3, 1)
    place = ["partition", "offset"]
    found = stored(pipeline).sort(place)
    assert found.select(list(READING_SCHEMA)).equals(readings.sort(place))
    names = ["status", "score", "flagged"]
    assert found.select(names).equals(scores.sort(place).select(names))
    assert small_files(pipeline) == []


def test_rows_are_sorted_by_pet_and_time(pipeline: Pipeline, hour: str) -> None:
    compact(pipeline, hour)
    rows = stored(pipeline)
    assert rows.equals(rows.sort("pet_id", "time_ms"))


def test_a_range_of_a_compacted_hour_can_be_scored_again(
    pipeline: Pipeline, hour: str, later_broker: EmbeddedBroker
) -> None:
    compact(pipeline, hour)
    pipeline.connect(later_broker)  # the readings are on no broker any more
    job: dg.JobDefinition = repository().get_job("replay_job")
    result = job.execute_in_process(
        instance=pipeline.instance,
        run_config={"ops": {"replayed_ranges": {"config": {"since": "2026-01-01"}}}},
        raise_on_error=False,
    )
    assert failures(result) == {}


def test_compacting_twice_changes_nothing(pipeline: Pipeline, hour: str) -> None:
    compact(pipeline, hour)
    before = stored(pipeline)
    assert metadata(compact(pipeline, hour), "compacted_readings")["dagster/row_count"] == 0
    assert stored(pipeline).equals(before)


@pytest.mark.parametrize("when", ["before the ledger knows", "before the small files are removed"])
def test_a_compaction_that_dies_is_done_again(
    pipeline: Pipeline, hour: str, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def die(*_: object) -> int:
        raise OSError(when)

    with monkeypatch.context() as patch:
        if when == "before the ledger knows":
            patch.setattr(Upkeep, "note_compacted", die)
        else:
            patch.setattr(upkeep, "_remove_files", die)
        assert not compact(pipeline, hour).success
    assert failures(compact(pipeline, hour)) == {}
    assert len(stored(pipeline)) == 276
    assert small_files(pipeline) == []


def test_a_large_hour_is_several_files(
    pipeline: Pipeline, hour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MOST_ROWS", 150)
    told = metadata(compact(pipeline, hour), "compacted_readings")
    assert (told["dagster/row_count"], len(told["files"])) == (276, 2)
    assert len(stored(pipeline)) == 276


def test_a_batch_whose_files_are_gone_does_not_stop_the_others(
    pipeline: Pipeline, hour: str
) -> None:
    one = pipeline.record().range
    pipeline.files.path(one, "scores", "parquet").unlink()
    told = metadata(compact(pipeline, hour), "compacted_readings")
    assert (told["ranges_without_files"], told["dagster/row_count"]) == (1, 204)
    assert pipeline.ledger.upkeep.uncompacted_s(one.topic, 4e9) == []


def test_points_that_were_not_sent_yet_stay(pipeline: Pipeline) -> None:
    pipeline.send(calm("rex", 1))
    (request,) = pipeline.tick().run_requests
    pipeline.run(request.tags, ["telemetry_batch", "anomaly_scores", "verdicts", "health_alerts"])
    pipeline.let_pass(AGO_S)
    compact(pipeline, key_of(pipeline))
    assert [kind for kind in small_files(pipeline) if kind.startswith("points")] == [
        "points_explain",
        "points_ingest",
        "points_publish",
        "points_score",
    ]


def due(pipeline: Pipeline) -> list[str | None]:
    """The hours that a tick of the schedule asks for."""
    schedule: dg.ScheduleDefinition = repository().get_schedule_def("hourly_compaction")
    with dg.build_schedule_context(
        instance=pipeline.instance,
        scheduled_execution_time=datetime.now(tz=UTC),
        resources={"ports": Ports()},
        repository_def=repository(),
    ) as context:
        requests = schedule.evaluate_tick(context).run_requests or []
        return [one.partition_key for one in requests]


def test_the_schedule_asks_for_each_hour_that_is_over_and_has_small_files(
    pipeline: Pipeline, hour: str
) -> None:
    pipeline.send(calm("tia", 1))
    assert pipeline.step().success  # in the hour that is going on
    assert due(pipeline) == [hour]
    compact(pipeline, hour)
    assert due(pipeline) == []
