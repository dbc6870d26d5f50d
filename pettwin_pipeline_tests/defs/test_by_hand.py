"""Runs that a person starts: the next range of a free lane, or the reason why not."""

import dagster as dg
import pytest

from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    Pipeline,
    calm,
    failures,
    metadata,
    repository,
)

pytestmark = DAGSTERS_OWN


def test_a_run_by_hand_takes_the_next_range(pipeline: Pipeline) -> None:
    pipeline.send(calm("rex", 1))
    result = pipeline.run()
    assert failures(result) == {}
    assert metadata(result, "telemetry_batch")["messages"] == 12
    record = pipeline.record()
    assert (record.status, record.run_id, record.range.text) == ("done", result.run_id, "0:0-12")
    assert pipeline.committed() == {0: 12}
    assert pipeline.tick().skip_message == "lane 0: nothing new"


def test_a_run_by_hand_says_that_there_is_nothing_to_read(pipeline: Pipeline) -> None:
    told = failures(pipeline.run())["telemetry_batch"]
    assert told == "there is nothing to read by hand: lane 0: nothing new"


def test_a_run_by_hand_does_not_disturb_a_run_at_work(pipeline: Pipeline) -> None:
    pipeline.send(calm("rex", 1))
    pipeline.tick()
    lease = pipeline.ledger.begin(pipeline.record(), 1, "run-1", 4e9, 60)
    told = failures(pipeline.run())["telemetry_batch"]
    assert told == "there is nothing to read by hand: lane 0: run run-1 is at work"
    assert pipeline.ledger.leases(lease.topic, lease.epoch) == [lease]


def test_a_run_by_hand_waits_for_the_back_off_too(pipeline: Pipeline) -> None:
    pipeline.send(calm("rex", 1))
    pipeline.tick()
    record = pipeline.record()
    pipeline.ledger.fail(record, None, "score: disk full", record.requested_s)
    told = failures(pipeline.run())["telemetry_batch"]
    assert told.startswith("there is nothing to read by hand: lane 0: attempt 1 failed, again in ")
    assert told.endswith("(score: disk full)")
    pipeline.let_pass(6)
    assert pipeline.run().success
    assert pipeline.record().attempt == 2


def test_a_later_asset_alone_has_no_range_and_says_where_to_begin(pipeline: Pipeline) -> None:
    job = repository().get_job("stream_job")
    result = job.execute_in_process(
        instance=pipeline.instance,
        asset_selection=[dg.AssetKey("anomaly_scores")],
        raise_on_error=False,
    )
    assert "materialise from telemetry_batch on" in failures(result)["anomaly_scores"]


def test_a_range_that_the_ledger_does_not_know_is_refused(pipeline: Pipeline) -> None:
    result = pipeline.run({"pettwin/range_id": "99", "pettwin/attempt": "1"})
    assert failures(result)["telemetry_batch"] == "the ledger has no range 99"


def test_a_run_by_hand_leaves_the_other_lanes_to_the_sensor(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETTWIN_LANES", "2")
    pipeline.send(calm("rex", 1), partition=0)
    pipeline.send(calm("bo", 1), partition=1)
    assert pipeline.run().success
    (request,) = pipeline.tick().run_requests
    assert request.tags["pettwin/lane"] == "1"
