"""Ranges that fail again and again: tried in halves, then left to a person, who has two ways on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from pettwin_pipeline.adapters.ledger_tables import open_engine
from pettwin_pipeline.cli import run
from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker
from pettwin_pipeline_tests.defs.pipeline import DAGSTERS_OWN, Pipeline, calm, racing
from pettwin_pipeline_tests.defs.test_failures import block

pytestmark = DAGSTERS_OWN

MINUTES = 40


def send(pipeline: Pipeline) -> None:
    """480 readings in partition 0, 120 of them of an illness."""
    pipeline.send([*calm("rex", 30), *racing("rex", 10, since_min=30)])


def fail(pipeline: Pipeline, times: int) -> list[str]:
    """So many failed attempts, one after the other; returns the ranges that were tried."""
    tried = []
    for _ in range(times):
        (request,) = pipeline.tick().run_requests
        tried.append(pipeline.ledger.of_id(int(request.tags["pettwin/range_id"])))
        assert not pipeline.run(request.tags).success
        pipeline.let_pass(300)
    return [one.range.text for one in tried if one is not None]


def go_on(pipeline: Pipeline) -> list[str]:
    """Runs until nothing is left to do; returns the ranges in their order."""
    done = []
    while requests := pipeline.tick().run_requests:
        assert pipeline.run(requests[0].tags).success
        record = pipeline.ledger.of_id(int(requests[0].tags["pettwin/range_id"]))
        assert record is not None
        done.append(record.range.text)
    return done


def scores(pipeline: Pipeline) -> list[tuple[object, ...]]:
    """All scores, in the order of offsets."""
    done = pipeline.ledger.done_since(pipeline.settings.kafka_topic, 0)
    frames = [pipeline.files.read_frame(one.range, "scores") for one in done]
    return pl.concat(frames).sort("partition", "offset").rows()


def alert_ids(pipeline: Pipeline) -> list[bytes]:
    return [one.value() for one in pipeline.messages(pipeline.settings.kafka_alerts_topic)]


def test_from_the_third_failure_on_a_range_is_halved_each_time(pipeline: Pipeline) -> None:
    send(pipeline)
    block(pipeline, "scores")
    tried = fail(pipeline, 6)
    assert tried == ["0:0-480"] * 3 + ["0:0-240", "0:0-120", "0:0-60"]


def test_halves_come_in_their_order_and_to_the_same_as_the_whole(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(pipeline)
    blocked = block(pipeline, "scores")
    fail(pipeline, 5)
    blocked.unlink()
    assert go_on(pipeline) == ["0:0-60", "0:60-120", "0:120-240", "0:240-480"]
    assert pipeline.committed() == {0: 480}
    in_halves = scores(pipeline), alert_ids(pipeline)
    with EmbeddedBroker() as broker:
        whole = Pipeline(tmp_path / "whole", broker, monkeypatch)
        send(whole)
        assert go_on(whole) == ["0:0-480"]
        assert (scores(whole), alert_ids(whole)) == in_halves
    assert in_halves[1], "the illness is told"


@contextmanager
def nothing_can_be_done(pipeline: Pipeline) -> Iterator[None]:
    """While the block runs, the ledger does not take that a range is done."""
    refuse = "BEFORE UPDATE ON ranges WHEN NEW.status = 'done' BEGIN SELECT RAISE(ABORT, 'no'); END"
    with open_engine(pipeline.settings.ledger_url).begin() as sql:
        sql.exec_driver_sql(f"CREATE TRIGGER refuse {refuse}")
    yield
    with open_engine(pipeline.settings.ledger_url).begin() as sql:
        sql.exec_driver_sql("DROP TRIGGER refuse")


def test_a_range_whose_alerts_were_sent_is_still_done_once_when_it_comes_in_halves(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(pipeline)
    with nothing_can_be_done(pipeline):
        assert fail(pipeline, 4) == ["0:0-480"] * 3 + ["0:0-240"]
    assert pipeline.committed() == {0: 480}
    assert go_on(pipeline) == ["0:0-120", "0:120-240", "0:240-480"]
    in_halves = scores(pipeline), alert_ids(pipeline)
    assert pipeline.committed() == {0: 480}
    with EmbeddedBroker() as broker:
        whole = Pipeline(tmp_path / "whole", broker, monkeypatch)
        send(whole)
        go_on(whole)
        assert (scores(whole), alert_ids(whole)) == in_halves
    assert in_halves[1], "the illness is told"


def test_what_a_range_left_before_it_was_halved_is_removed(pipeline: Pipeline) -> None:
    send(pipeline)
    blocked = block(pipeline, "alerts")
    fail(pipeline, 4)
    blocked.unlink()
    assert go_on(pipeline)[0] == "0:0-120"
    for what in ("readings", "scores"):
        files = (pipeline.files.root / what).rglob("*.parquet")
        rows = pl.concat([pl.read_parquet(path.path) for path in files])
        assert sorted(rows["offset"]) == list(range(480)), what


def parked(pipeline: Pipeline) -> Path:
    """A lane that was given up on; the file in the way of its scores."""
    send(pipeline)
    blocked = block(pipeline, "scores")
    fail(pipeline, 6)
    assert pipeline.tick().run_requests == []
    assert pipeline.record().status in {"waiting", "parked"}
    return blocked


def test_after_the_sixth_failure_the_lane_is_parked_and_says_what_to_do(
    pipeline: Pipeline,
) -> None:
    parked(pipeline)
    pipeline.let_pass(3600)
    told = pipeline.tick().skip_message
    assert "lane 0 is parked: 0:0-60 failed 6 times (score: " in told
    assert "`pettwin unpark`, or `pettwin skip 0:0-60 --reason ...`" in told
    pipeline.tick("pipeline_state")
    assert pipeline.ledger.outcomes.tallies()["pipeline.lane.parked"].last_value == 1


def test_a_skipped_range_is_left_out_and_counted_and_the_lane_goes_on(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    parked(pipeline).unlink()
    assert run(["skip", "0:0-60", "--reason", "a bug"]) == 0
    assert "60 offsets skipped, lane 0 goes on: a bug" in capsys.readouterr().out
    assert go_on(pipeline) == ["0:60-120", "0:120-240", "0:240-480"]
    assert pipeline.ledger.outcomes.gaps(pipeline.settings.kafka_topic) == 60
    assert pipeline.committed() == {0: 480}
    assert len(scores(pipeline)) == 420


def test_an_unparked_range_is_tried_again_and_nothing_is_left_out(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    parked(pipeline).unlink()
    assert run(["unpark"]) == 0
    assert "lane 0: 0:0-60 is tried again" in capsys.readouterr().out
    assert go_on(pipeline) == ["0:0-60", "0:60-120", "0:120-240", "0:240-480"]
    assert len(scores(pipeline)) == 480


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["skip", "0:0-99", "--reason", "x"], "no range 0:0-99 is unfinished; unfinished are: "),
        (["unpark", "3"], "no such lane is parked; parked are: none"),
    ],
)
def test_what_does_not_stand_as_asked_is_one_line(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert run(arguments) == 2
    assert told in capsys.readouterr().err


def test_a_range_that_a_run_works_on_cannot_be_skipped(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    send(pipeline)
    pipeline.tick()
    record = pipeline.record()
    pipeline.ledger.begin(record, 1, "at work", record.requested_s, 60)
    assert run(["skip", record.range.text, "--reason", "x"]) == 2
    told = "0:0-480 is running: only a range that failed or is parked can be skipped"
    assert told in capsys.readouterr().err
    assert pipeline.record().status == "running"


def test_a_half_that_waits_cannot_be_skipped_before_its_turn(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    parked(pipeline)
    assert run(["skip", "0:240-480", "--reason", "x"]) == 2
    assert "0:240-480 is waiting" in capsys.readouterr().err
    assert pipeline.committed() == {}


def test_runs_that_die_without_a_word_count_as_failures(pipeline: Pipeline) -> None:
    send(pipeline)
    tried = []
    for _ in range(4):
        (request,) = pipeline.tick().run_requests
        record = pipeline.ledger.of_id(int(request.tags["pettwin/range_id"]))
        assert record is not None
        tried.append(record.range.text)
        pipeline.ledger.begin(record, record.attempt, "killed", record.requested_s, 60)
        pipeline.let_pass(61)
    assert tried == ["0:0-480"] * 3 + ["0:0-240"]
