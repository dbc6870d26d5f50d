"""The sensor: what it asks for, when it does not, and that it leaves the stream alone."""

import pytest

from pettwin_pipeline.adapters.ledger_records import REQUEST_GRACE_S
from pettwin_pipeline.defs.ingest import make_new_readings_sensor
from pettwin_pipeline.errors import PettwinError
from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker
from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    Pipeline,
    calm,
    failures,
    metadata,
    repository,
)

pytestmark = DAGSTERS_OWN


def test_a_tick_asks_for_everything_that_is_there_by_exact_offsets(pipeline: Pipeline) -> None:
    pipeline.send(calm("rex", 1), partition=0)
    pipeline.send(calm("bo", 0.5), partition=3)
    (request,) = pipeline.tick().run_requests
    epoch = pipeline.kafka.broker.epoch
    assert request.run_key == f"pet-health-stream/{epoch}/0/0:0-12,3:0-6/1"
    assert request.run_config == {}
    record = pipeline.record()
    assert request.tags["pettwin/range_id"] == str(record.id)
    assert (record.range.text, record.status, record.attempt) == ("0:0-12,3:0-6", "requested", 1)


def test_a_tick_has_no_effect_on_the_offsets_of_the_group(pipeline: Pipeline) -> None:
    pipeline.send(calm("rex", 1))
    pipeline.tick()
    assert pipeline.committed() == {}
    pipeline.kafka.commit(pipeline.settings.kafka_topic, {0: 5})
    pipeline.tick()
    assert pipeline.committed() == {0: 5}


def test_a_tick_with_nothing_new_says_so(pipeline: Pipeline) -> None:
    tick = pipeline.tick()
    assert (tick.run_requests, tick.skip_message) == ([], "lane 0: nothing new")


def test_while_a_range_waits_for_its_run_nothing_is_asked_for(pipeline: Pipeline) -> None:
    pipeline.send(calm("rex", 1))
    pipeline.tick()
    pipeline.send(calm("rex", 1, since_min=1))
    tick = pipeline.tick()
    assert (tick.run_requests, tick.skip_message) == ([], "lane 0: requested, not yet started")
    assert pipeline.record().range.text == "0:0-12"


def test_while_a_run_works_nothing_is_asked_for(pipeline: Pipeline) -> None:
    pipeline.send(calm("rex", 1))
    pipeline.tick()
    pipeline.ledger.begin(pipeline.record(), 1, "run-1", 4e9, 60)
    tick = pipeline.tick()
    assert (tick.run_requests, tick.skip_message) == ([], "lane 0: run run-1 is at work")


def test_a_range_whose_run_never_came_is_asked_for_again(pipeline: Pipeline) -> None:
    pipeline.send(calm("rex", 1))
    (first,) = pipeline.tick().run_requests
    pipeline.let_pass(REQUEST_GRACE_S + 1)
    (again,) = pipeline.tick().run_requests
    assert again.run_key == first.run_key.removesuffix("1") + "2"
    assert failures(pipeline.run(first.tags))["telemetry_batch"].startswith("attempt 1 of 0:0-12")
    assert pipeline.run(again.tags).success


def test_a_range_whose_run_was_killed_is_asked_for_again_when_its_lease_ends(
    pipeline: Pipeline,
) -> None:
    pipeline.send(calm("rex", 1))
    pipeline.tick()
    record = pipeline.record()
    pipeline.ledger.begin(record, 1, "killed", record.requested_s, 60)
    assert pipeline.tick().run_requests == []
    pipeline.let_pass(60)
    (again,) = pipeline.tick().run_requests
    assert again.tags["pettwin/attempt"] == "2"
    assert pipeline.record().error == "run killed stopped without a word"
    assert pipeline.run(again.tags).success


def test_the_next_range_begins_where_the_done_one_ended(pipeline: Pipeline) -> None:
    pipeline.send(calm("rex", 1))
    assert pipeline.step().success
    pipeline.send(calm("rex", 1, since_min=1))
    pipeline.send(calm("bo", 1), partition=2)
    (request,) = pipeline.tick().run_requests
    assert request.run_key.endswith("/0:12-24,2:0-12/1")


def test_a_range_grows_up_to_the_cap(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETTWIN_BATCH_MAX_READINGS", "10")
    pipeline.send(calm("rex", 1))
    (request,) = pipeline.tick().run_requests
    assert request.run_key.endswith("/0:0-10/1")


def test_every_lane_has_a_range_of_its_own(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETTWIN_LANES", "2")
    for partition in range(4):
        pipeline.send(calm("rex", 1), partition=partition)
    requests = pipeline.tick().run_requests
    assert [one.run_key.split("/", 2)[2] for one in requests] == [
        "0/0:0-12,2:0-12/1",
        "1/1:0-12,3:0-12/1",
    ]
    assert all(pipeline.run(one.tags).success for one in requests)
    assert pipeline.committed() == dict.fromkeys(range(4), 12)


def test_where_reading_begins_is_a_setting(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETTWIN_START", "latest")
    pipeline.send(calm("rex", 1))
    assert pipeline.tick().skip_message == "lane 0: nothing new"
    pipeline.send(calm("rex", 1, since_min=1))
    (request,) = pipeline.tick().run_requests
    assert request.run_key.endswith("/0:12-24/1")


def test_a_time_to_begin_at_needs_kafka_and_the_tick_says_so(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETTWIN_START", "2026-03-01T00:00:00Z")
    with pytest.raises(Exception, match="embedded broker finds no offset by time") as caught:
        pipeline.tick()
    assert not isinstance(caught.value, PettwinError)


def test_readings_of_a_new_epoch_are_not_hidden_by_the_keys_of_the_old(
    pipeline: Pipeline, later_broker: EmbeddedBroker
) -> None:
    pipeline.send(calm("rex", 1))
    (before,) = pipeline.tick().run_requests
    assert pipeline.run(before.tags).success
    pipeline.connect(later_broker)
    pipeline.send(calm("rex", 1))
    (after,) = pipeline.tick().run_requests
    assert after.run_key != before.run_key
    result = pipeline.run(after.tags)
    assert result.success
    assert metadata(result, "anomaly_scores")["scored"] == 12
    assert pipeline.committed() == {0: 12}


def test_without_a_broker_the_tick_is_skipped_and_says_how_to_get_one(
    pipeline: Pipeline,
) -> None:
    pipeline.settings.state.remove_stack()
    for name in ("new_readings", "pipeline_state"):
        assert pipeline.tick(name).skip_message.startswith("no broker: start one with `pettwin up`")


def test_a_broker_that_does_not_answer_fails_the_tick_with_its_address(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("KAFKA_TIMEOUT_S", "0.3")
    told = r"broker at 127\.0\.0\.1:1 \(from KAFKA_BOOTSTRAP_SERVERS\) does not answer"
    with pytest.raises(Exception, match=told):
        pipeline.tick()


def test_a_ledger_that_was_lost_goes_on_behind_what_its_group_has_read(
    pipeline: Pipeline,
) -> None:
    pipeline.send(calm("rex", 1))
    assert pipeline.step().success
    for path in pipeline.settings.state.root.glob("ledger.sqlite*"):
        path.unlink()
    pipeline.send(calm("rex", 1, since_min=1))
    pipeline.send(calm("bo", 1), partition=1)
    result = pipeline.step()
    assert result.success
    assert pipeline.record().range.text == "0:12-24,1:0-12"


@pytest.mark.parametrize(("interval_s", "least_s"), [(5, 4), (30, 29)])
def test_a_tick_is_due_before_dagster_looks_again(
    pipeline: Pipeline, interval_s: int, least_s: int
) -> None:
    """It looks every 5 s: what is due a moment after such a look is 5 s late."""
    assert pipeline.settings, "the code location is loaded where the settings of the test hold"
    job = repository().get_job("stream_job")
    assert make_new_readings_sensor(job, interval_s).minimum_interval_seconds == least_s
