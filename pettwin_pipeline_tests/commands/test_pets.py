"""`pettwin repartition` and `pettwin erase`, on a pipeline that has seen an illness."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pettwin_pipeline import cli
from pettwin_pipeline.adapters.baseline_files import BaselineFiles
from pettwin_pipeline.adapters.files import parse_frame
from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.detection.baseline import Baselines
from pettwin_pipeline.detection.screen import DETECTOR_VERSION
from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker
from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    Pipeline,
    calm,
    failures,
    racing,
    repository,
)
from pettwin_pipeline_tests.defs.test_compaction import compact, key_of

pytestmark = DAGSTERS_OWN


@pytest.fixture
def pipeline(
    tmp_path: Path, embedded_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> Pipeline:
    return Pipeline(tmp_path / "pipeline", embedded_broker, monkeypatch)


def baselines(pipeline: Pipeline, partition: int) -> Baselines:
    one = pipeline.record().range
    kept = BaselineFiles(pipeline.files, one.topic, one.epoch, partition, DETECTOR_VERSION)
    return kept.read(pipeline.ledger.scored_to(one.topic, one.epoch)[partition])[1]


def batch(pipeline: Pipeline, *sent: tuple[Sequence[Outgoing], int]) -> None:
    """One batch of messages and their partitions."""
    for messages, partition in sent:
        pipeline.send(messages, partition)
    assert failures(pipeline.step()) == {}


def learnt(pipeline: Pipeline, pet: str, partition: int) -> int | None:
    """Slots that a pet's level in a partition has learnt; None where it is not known there."""
    found = baselines(pipeline, partition)
    row = found.pet_ids.index_of(pet)
    return None if row is None else int(found.states["weight"][row].sum())


# a pet that came to another partition


def test_a_pet_that_moved_takes_along_what_was_learnt(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    batch(pipeline, (calm("rex", 60), 0), (calm("bo", 5), 0))
    batch(pipeline, (calm("rex", 1, since_min=60), 3))
    before = learnt(pipeline, "rex", 0)
    assert before is not None
    assert cli.run(["repartition"]) == 0
    assert "rex: home is partition 3, leaves 0; learnt in 0" in capsys.readouterr().out
    assert (learnt(pipeline, "rex", 0), learnt(pipeline, "rex", 3)) == (None, before)
    assert learnt(pipeline, "bo", 0) is not None


def test_an_illness_at_the_new_home_is_found_at_once(pipeline: Pipeline) -> None:
    """Without its level, a pet that comes to a new place is not judged for ten minutes."""
    batch(pipeline, (calm("rex", 60), 0))
    batch(pipeline, (calm("rex", 1, since_min=60), 3))
    assert cli.run(["repartition"]) == 0
    batch(pipeline, (racing("rex", 6, since_min=61), 3))
    assert pipeline.ledger.outcomes.count_episodes() == 1


def test_an_episode_of_the_place_that_was_left_ends(pipeline: Pipeline) -> None:
    batch(pipeline, ([*calm("rex", 30), *racing("rex", 6, since_min=30)], 0))
    batch(pipeline, (calm("rex", 1, since_min=37), 3))
    assert cli.run(["repartition"]) == 0
    pipeline.let_pass(91 * 86_400)
    assert pipeline.ledger.upkeep.trim(4e9)["episodes"] == 1, "one that goes on is not trimmed"


def test_what_would_move_is_told_and_nothing_changed(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    batch(pipeline, (calm("rex", 10), 0))
    batch(pipeline, (calm("rex", 1, since_min=10), 3))
    assert cli.run(["repartition", "--dry-run"]) == 0
    assert "1 pets would be moved; nothing was changed" in capsys.readouterr().out
    assert learnt(pipeline, "rex", 0) is not None


def test_pets_that_stayed_are_told(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    batch(pipeline, (calm("rex", 1), 0), (calm("bo", 1), 3))
    assert cli.run(["repartition"]) == 0
    assert "2 pets in 2 partitions: each is in one of them only" in capsys.readouterr().out


def test_replays_of_ranges_before_and_after_a_move_are_the_same(pipeline: Pipeline) -> None:
    batch(pipeline, (calm("rex", 10), 0))
    batch(pipeline, (calm("rex", 1, since_min=10), 3))
    assert cli.run(["repartition"]) == 0
    batch(pipeline, (calm("rex", 1, since_min=11), 3))
    job = repository().get_job("replay_job")
    config = {"ops": {"replayed_ranges": {"config": {"since": "2026-01-01"}}}}
    result = job.execute_in_process(
        instance=pipeline.instance, run_config=config, raise_on_error=False
    )
    assert failures(result) == {}


# a pet that is to be forgotten


def traces(pipeline: Pipeline, pet: str) -> list[str]:
    """Files of the state folder that hold the id of a pet, raw or in a Parquet file."""
    found = []
    for path in pipeline.settings.state.root.rglob("*"):
        if path.is_file() and path.suffix == ".parquet":
            rows = parse_frame(path.read_bytes())
            found += [str(path)] if pet in rows["pet_id"].to_list() else []
        elif path.is_file() and pet.encode() in path.read_bytes():
            found.append(str(path))
    return found


def test_nothing_is_left_of_an_erased_pet_and_everything_of_the_others(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    ill = [*calm("reginald", 15), *racing("reginald", 5, since_min=15)]
    batch(pipeline, (ill, 0), (calm("bo", 20), 0))
    pipeline.let_pass(7200)
    assert compact(pipeline, key_of(pipeline)).success
    batch(pipeline, (racing("reginald", 5, since_min=20), 0), (calm("bo", 5, since_min=20), 0))
    assert traces(pipeline, "reginald")
    assert cli.run(["erase", "reginald", "--yes"]) == 0
    told = capsys.readouterr().out
    assert "300 readings removed" in told
    assert "1 episodes removed" in told
    assert "until the broker's retention passes" in told
    assert traces(pipeline, "reginald") == []
    assert baselines(pipeline, 0).pet_ids.to_list() == ["bo"]
    assert pipeline.ledger.outcomes.alerts(99) == []
    hours = pipeline.settings.state.data.rglob("hours/*/*/*.parquet")
    assert [len(parse_frame(path.read_bytes())) for path in hours] == [240]


def test_readings_that_were_sent_before_are_void_and_later_ones_count(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETTWIN_MAX_AGE_H", "1000000")
    batch(pipeline, (calm("rex", 1), 0))
    pipeline.send(calm("rex", 1, since_min=1))
    pipeline.send(calm("bo", 1, since_min=1))
    assert cli.run(["erase", "rex", "--yes"]) == 0
    later = [Outgoing(one.key, one.value) for one in calm("rex", 2, since_min=2)]
    pipeline.send(later)
    result = pipeline.step()
    assert failures(result) == {}
    counts = pipeline.record().counts
    assert (counts["messages"], counts["readings"], counts["erased"]) == (48, 36, 12)
    assert baselines(pipeline, 0).pet_ids.to_list() == ["bo", "rex"]


def test_a_replay_of_what_is_left_is_the_same(pipeline: Pipeline) -> None:
    batch(pipeline, (calm("rex", 10), 0), (calm("bo", 10), 0))
    (request,) = _requests(pipeline)
    assert pipeline.run(request).success
    assert cli.run(["erase", "rex", "--yes"]) == 0
    assert failures(pipeline.run(request)) == {}


def _requests(pipeline: Pipeline) -> list[dict[str, str]]:
    pipeline.send(calm("bo", 1, since_min=10))
    return [dict(one.tags) for one in pipeline.tick().run_requests]


def test_a_pet_that_nobody_knows_is_no_error(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    batch(pipeline, (calm("bo", 1), 0))
    assert cli.run(["erase", "nobody", "--yes"]) == 0
    assert "nothing was kept of nobody" in capsys.readouterr().out


def test_nothing_is_erased_without_a_yes(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch(pipeline, (calm("rex", 1), 0))
    monkeypatch.setattr("sys.stdin", (pipeline.settings.state.root / "stack.json").open())
    assert cli.run(["erase", "rex"]) == 1
    assert baselines(pipeline, 0).pet_ids.to_list() == ["rex"]


def test_the_ledger_remembers_an_erased_pet_by_a_digest_only(pipeline: Pipeline) -> None:
    batch(pipeline, (calm("rex", 1), 0))
    assert cli.run(["erase", "rex", "--yes"]) == 0
    (digest,) = pipeline.ledger.upkeep.erasures()
    assert len(digest) == 32
    assert "rex" not in json.dumps(digest)
