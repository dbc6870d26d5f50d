"""What is older than the settings keep is removed, and nothing that is still needed."""

import os
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from pettwin_pipeline.adapters.baseline_files import BaselineFiles
from pettwin_pipeline.adapters.hour_files import HOUR_S, HourFiles
from pettwin_pipeline.detection.screen import DETECTOR_VERSION
from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    Pipeline,
    calm,
    failures,
    racing,
    repository,
)

pytestmark = DAGSTERS_OWN

DAY_S = 86_400


def keep_house(pipeline: Pipeline) -> dict[str, object]:
    """A run of the job: how much of each it removed."""
    job: dg.JobDefinition = repository().get_job("housekeeping_job")
    result = job.execute_in_process(instance=pipeline.instance, raise_on_error=False)
    assert failures(result) == {}
    for event in result.all_events:
        if event.is_successful_output:
            found = event.step_output_data.metadata
            return {name: value.value for name, value in found.items()}
    return {}


def batches(pipeline: Pipeline, minutes: Sequence[float]) -> None:
    """A batch of one pet for each of these, and a quarter of an hour between them."""
    for number, length in enumerate(minutes):
        since_min = sum(minutes[:number])
        pipeline.send(calm("rex", length, since_min=since_min))
        assert pipeline.step().success
        pipeline.let_pass(900)


def baselines(pipeline: Pipeline, partition: int = 0) -> BaselineFiles:
    one = pipeline.record().range
    return BaselineFiles(pipeline.files, one.topic, one.epoch, partition, DETECTOR_VERSION)


def age(folder: Path, days: float) -> None:
    """Make every file so old."""
    for path in folder.rglob("*"):
        if path.is_file():
            then_s = path.stat().st_mtime - days * DAY_S
            os.utime(path, (then_s, then_s))


def data(pipeline: Pipeline) -> Path:
    return pipeline.settings.state.data / "v1"


def files(pipeline: Pipeline) -> list[Path]:
    """All but the baselines."""
    found = (path for path in data(pipeline).rglob("*") if path.is_file())
    return [path for path in found if "baselines" not in path.parts]


def test_of_older_hours_one_file_of_baselines_is_kept_and_of_the_last_hour_all(
    pipeline: Pipeline,
) -> None:
    batches(pipeline, [1] * 12)  # three hours
    there = baselines(pipeline).offsets()
    assert len(there) == 12
    removed = keep_house(pipeline)["baselines"]
    kept = baselines(pipeline).offsets()
    assert removed == 12 - len(kept)
    assert kept[-4:] == there[-4:]
    assert 6 <= len(kept) <= 9
    assert keep_house(pipeline)["baselines"] == 0


def test_what_lies_below_a_file_that_is_kept_is_kept(pipeline: Pipeline) -> None:
    """A second pet, of whom nobody hears again, keeps the later files from being whole."""
    pipeline.send([*calm("rex", 1), *calm("bo", 1), *calm("tia", 1)])
    assert pipeline.step().success
    pipeline.let_pass(5 * HOUR_S)
    batches(pipeline, [1, 1])
    keep_house(pipeline)
    scored_to = pipeline.record().range.parts[0].end
    layer, kept = baselines(pipeline).read(scored_to)
    assert layer.depth == 2
    assert kept.pet_ids.to_list() == ["bo", "rex", "tia"]


def test_the_stream_goes_on_as_if_nothing_had_been_removed(pipeline: Pipeline) -> None:
    batches(pipeline, [5] * 4)
    pipeline.let_pass(3 * HOUR_S)
    keep_house(pipeline)
    pipeline.send(racing("rex", 5, since_min=20))
    assert pipeline.step().success
    assert pipeline.ledger.outcomes.count_episodes() == 1
    job: dg.JobDefinition = repository().get_job("replay_job")
    config = {"ops": {"replayed_ranges": {"config": {"since": "2026-01-01"}}}}
    assert job.execute_in_process(instance=pipeline.instance, run_config=config).success


def test_baselines_of_a_batch_that_is_not_done_are_left_alone(pipeline: Pipeline) -> None:
    batches(pipeline, [1])
    pipeline.let_pass(3 * HOUR_S)
    pipeline.send(calm("rex", 1, since_min=1))
    (request,) = pipeline.tick().run_requests
    pipeline.run(request.tags, ["telemetry_batch", "anomaly_scores"])
    keep_house(pipeline)
    assert baselines(pipeline).offsets() == [12, 24]


def test_baselines_that_a_person_changed_are_kept(pipeline: Pipeline) -> None:
    batches(pipeline, [1] * 8)
    one = pipeline.record().range
    changed = baselines(pipeline).offsets()[1]
    upkeep = pipeline.ledger.upkeep
    upkeep.note_baselines_changed(one.topic, one.epoch, {0: changed}, "repartition", 1.0)
    pipeline.let_pass(9 * HOUR_S)
    keep_house(pipeline)
    assert changed in baselines(pipeline).offsets()


def test_a_broken_chain_of_baselines_is_told_and_nothing_of_it_removed(
    pipeline: Pipeline,
) -> None:
    pipeline.send([*calm("rex", 1), *calm("bo", 1), *calm("tia", 1)])
    assert pipeline.step().success
    batches(pipeline, [1, 1])
    baselines(pipeline).path(36).unlink()
    pipeline.let_pass(9 * HOUR_S)
    assert keep_house(pipeline)["baselines"] == 0


def test_files_older_than_the_setting_are_removed(pipeline: Pipeline) -> None:
    batches(pipeline, [1])
    age(data(pipeline), days=10)
    batches(pipeline, [1, 1])
    before = len(files(pipeline))
    assert keep_house(pipeline)["files"] == 0, "14 days are the default"
    age(data(pipeline), days=5)
    assert keep_house(pipeline)["files"] == before // 3
    assert len(files(pipeline)) == before - before // 3


def test_hours_older_than_the_setting_are_removed_whenever_they_were_written(
    pipeline: Pipeline,
) -> None:
    batches(pipeline, [1])
    hours = HourFiles(pipeline.files, "pet-health-stream", pipeline.record().range.epoch)
    readings = pipeline.files.read_frame(pipeline.record().range, "readings")
    for hour_s in (1_700_000_000 // HOUR_S * HOUR_S, 4_000_000_000 // HOUR_S * HOUR_S):
        hours.write(hour_s, 1, readings)
    assert keep_house(pipeline)["files"] == 1
    assert [path.name for path in hours.paths()] == ["2096-10-02T07-0000000001.parquet"]


def test_baselines_of_another_detector_go_with_the_readings(pipeline: Pipeline) -> None:
    batches(pipeline, [1])
    one = pipeline.record().range
    old = BaselineFiles(pipeline.files, one.topic, one.epoch, 0, "0")
    pipeline.files.write(old.path(7), b"of another release")
    assert keep_house(pipeline)["files"] == 0
    age(data(pipeline), days=15)
    keep_house(pipeline)
    assert (old.offsets(), baselines(pipeline).offsets()) == ([], [12])


def test_the_ledger_forgets_what_is_old_and_keeps_the_sums(pipeline: Pipeline) -> None:
    pipeline.send([*calm("rex", 15), *racing("rex", 5, since_min=15)])
    assert pipeline.step().success
    pipeline.send(calm("rex", 60, since_min=20))
    assert pipeline.step().success
    ledger = pipeline.ledger
    sums = ledger.outcomes.totals("pet-health-stream")
    positions = ledger.positions("pet-health-stream", pipeline.record().range.epoch)
    pipeline.let_pass(89 * DAY_S)
    assert keep_house(pipeline)["ranges"] == 0
    pipeline.let_pass(2 * DAY_S)
    removed = keep_house(pipeline)
    assert removed["ranges"] == 2
    assert removed["episodes"] == 1
    assert removed["alerts"] == sums["alerts"] > 0
    assert ledger.recent("pet-health-stream", 9) == []
    assert ledger.outcomes.totals("pet-health-stream") == sums
    (request,) = requests_after(pipeline)
    assert positions == dict.fromkeys(positions, 0) | {0: sums["messages"]}
    assert request.run_key is not None
    assert f"0:{sums['messages']}-" in request.run_key


def requests_after(pipeline: Pipeline) -> list[dg.RunRequest]:
    pipeline.send(calm("rex", 1, since_min=80))
    requests: list[dg.RunRequest] = pipeline.tick().run_requests
    return requests


def test_an_episode_that_goes_on_is_not_forgotten(pipeline: Pipeline) -> None:
    pipeline.send([*calm("rex", 15), *racing("rex", 5, since_min=15)])
    assert pipeline.step().success
    pipeline.let_pass(91 * DAY_S)
    assert keep_house(pipeline)["episodes"] == 0
    assert pipeline.ledger.outcomes.count_episodes() == 1


def test_runs_that_ended_are_removed_when_they_are_old(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches(pipeline, [1])
    runs = len(pipeline.instance.get_runs())
    assert keep_house(pipeline)["runs"] == 0
    monkeypatch.setenv("PETTWIN_KEEP_RUNS_DAYS", "0.0000001")
    assert keep_house(pipeline)["runs"] == runs + 1
