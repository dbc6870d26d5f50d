import numpy as np
import pytest

from pettwin_pipeline.errors import UndeclaredPointError
from pettwin_pipeline.metrics.points import Recorder
from pettwin_pipeline.metrics.upkeep import (
    record_active_pets,
    record_backlog,
    record_deliveries,
    record_freshness,
    record_heartbeat,
    record_lag,
    record_lanes,
    record_notification,
    record_process,
    record_request,
    record_run,
)
from pettwin_pipeline_tests.metrics.batch import drained


def test_lag_is_a_gauge_of_each_partition_and_never_below_zero() -> None:
    recorder = Recorder()
    # a commit that is newer than the watermark seen gives a lag below zero
    record_lag(recorder, {0: 120, 1: 0, 2: -3, 12: 5, 13: 6}, "t", "g")
    name = "kafka.consumer.lag"
    assert drained(recorder) == {
        (name, "g", "0", "t"): (120.0,),
        (name, "g", "1", "t"): (0.0,),
        (name, "g", "2", "t"): (0.0,),
        (name, "g", "other", "t"): (11.0,),
        ("telemetry.tags.limited", "partition"): (2.0,),
    }


def test_a_heartbeat_is_one() -> None:
    recorder = Recorder()
    record_heartbeat(recorder, "sensor")
    assert drained(recorder) == {("pipeline.heartbeat", "sensor"): (1.0,)}
    with pytest.raises(UndeclaredPointError, match="component:pacemaker"):
        record_heartbeat(recorder, "pacemaker")


def test_a_process_says_what_it_takes() -> None:
    recorder = Recorder()
    record_process(recorder, "daemon", 12.5, 104_857_600)
    assert drained(recorder) == {
        ("pipeline.process.cpu", "daemon"): (12.5,),
        ("pipeline.process.memory", "daemon"): (104_857_600.0,),
    }


def test_freshness_is_an_age_and_its_share_of_the_fail_window() -> None:
    recorder = Recorder()
    record_freshness(recorder, {"a": 90.0, "no_window": 5.0}, {"a": 60.0, "never_made": 60.0})
    assert drained(recorder) == {
        ("dagster.asset.freshness", "a"): (90.0,),
        ("dagster.asset.freshness_ratio", "a"): (1.5,),
        ("dagster.asset.freshness", "no_window"): (5.0,),
    }


def test_runs_are_counted_and_timed_by_status_in_the_words_of_dagster() -> None:
    recorder = Recorder()
    record_run(recorder, "stream_job", "SUCCESS", 4.5)
    record_run(recorder, "stream_job", "success", 5.5)
    record_run(recorder, "stream_job", "CANCELED", None)
    assert drained(recorder) == {
        ("dagster.runs", "stream_job", "success"): (2.0,),
        ("dagster.run.duration", "stream_job", "success"): (4.5, 5.5),
        ("dagster.runs", "stream_job", "canceled"): (1.0,),
    }
    with pytest.raises(UndeclaredPointError, match="status:started"):
        record_run(recorder, "stream_job", "STARTED", 1.0)


def test_active_pets_of_rare_species_add_up() -> None:
    recorder = Recorder()
    record_active_pets(recorder, {"dog": 7, "rabbit": 2, "other": 1, None: 3})
    assert drained(recorder) == {
        ("pet.health.active_pets", "dog"): (7.0,),
        ("pet.health.active_pets", "other"): (6.0,),
    }


def test_held_lanes_have_an_age_and_parked_ones_say_so() -> None:
    recorder = Recorder()
    record_lanes(recorder, {0: 3.5}, [2])
    assert drained(recorder) == {
        ("pipeline.lane.lease_age", "0"): (3.5,),
        ("pipeline.lane.parked", "0"): (0.0,),
        ("pipeline.lane.parked", "2"): (1.0,),
    }


def test_a_lane_that_was_parked_and_lies_idle_says_that_it_is_not_any_more() -> None:
    recorder = Recorder()
    record_lanes(recorder, {}, (), lanes=range(2))
    assert drained(recorder) == {
        ("pipeline.lane.parked", "0"): (0.0,),
        ("pipeline.lane.parked", "1"): (0.0,),
    }


def test_parked_lanes_beyond_the_tagged_add_up() -> None:
    recorder = Recorder()
    record_lanes(recorder, {12: 8.0, 13: 4.0}, {13, 14, 15})
    values = drained(recorder)
    assert values["pipeline.lane.lease_age", "other"] == (8.0,)
    assert values["pipeline.lane.parked", "other"] == (3.0,)


def test_the_backlog_is_a_state_zero_too() -> None:
    recorder = Recorder()
    record_backlog(recorder, {"webhook": 3, "email": 0})
    assert drained(recorder) == {
        ("pipeline.outbox.backlog", "webhook"): (3.0,),
        ("pipeline.outbox.backlog", "email"): (0.0,),
    }


def test_attempts_to_tell_an_owner_are_counted_by_channel_and_outcome() -> None:
    recorder = Recorder()
    for _ in range(2):
        record_notification(recorder, "high", "webhook", "failed")
    record_notification(recorder, "high", "file", "delivered")
    name = "pet.health.alerts.sent"
    assert drained(recorder) == {
        (name, "webhook", "failed", "high"): (2.0,),
        (name, "file", "delivered", "high"): (1.0,),
    }


def test_requests_are_timed_by_peer_and_outcome() -> None:
    recorder = Recorder()
    record_request(recorder, "webhook", "failed", 10_000.0)
    assert drained(recorder) == {("pipeline.http.latency", "failed", "webhook"): (10_000.0,)}
    with pytest.raises(UndeclaredPointError, match="peer:file"):
        record_request(recorder, "file", "success", 1.0)


def test_deliveries_are_counted_where_there_were_any() -> None:
    recorder = Recorder()
    record_deliveries(recorder, "t", 2, 0, np.array([1.5, 2.5]))
    assert drained(recorder) == {
        ("kafka.messages.produced", "acked", "t"): (2.0,),
        ("kafka.produce.latency", "t"): (1.5, 2.5),
    }
    record_deliveries(recorder, "t", 0, 3, [])
    assert drained(recorder) == {("kafka.messages.produced", "failed", "t"): (3.0,)}
    record_deliveries(recorder, "t", 0, 0, [])
    assert recorder.drain() == []
