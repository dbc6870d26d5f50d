import pytest

from pettwin_pipeline.batches import Gap
from pettwin_pipeline.errors import UndeclaredPointError
from pettwin_pipeline.metrics.points import Recorder, WatchList
from pettwin_pipeline.metrics.stages import (
    record_alerts,
    record_episodes,
    record_gaps,
    record_readings,
    record_rejects,
    record_watched,
)
from pettwin_pipeline.readings.schema import Reject, RejectReason
from pettwin_pipeline_tests.metrics.batch import NOW_S, Values, alert, drained, episode, frame


def reject(offset: int, reason: RejectReason) -> Reject:
    return Reject(0, offset, b"rex", b"{", reason, "for a test")


def test_accepted_readings_are_counted_and_their_age_is_measured() -> None:
    recorder = Recorder()
    late, early = int(NOW_S * 1000) - 2_500, int(NOW_S * 1000) + 1_000
    readings = frame({"time_ms": late}, {"time_ms": early})
    record_readings(recorder, readings, "t", "g", NOW_S)
    assert drained(recorder) == {
        ("kafka.messages.consumed", "g", "t"): (2.0,),
        ("kafka.consumer.event_age", "g", "t"): (2.5, 0.0),  # ahead of us is no age below zero
    }


def test_an_empty_batch_says_nothing() -> None:
    recorder = Recorder()
    record_readings(recorder, frame(), "t", "g", NOW_S)
    record_watched(recorder, frame(), WatchList(["rex"]))
    record_rejects(recorder, [], "t")
    record_gaps(recorder, [], "t")
    record_episodes(recorder, [])
    record_alerts(recorder, [], "delivered")
    assert recorder.drain() == []


def test_vitals_go_to_the_cohort_of_species_and_size_and_nulls_to_none() -> None:
    recorder = Recorder()
    readings = frame(
        {"heart_rate": 80.0, "gait_symmetry": 0.9},
        {"heart_rate": 82.0},
        {"heart_rate": 190.0, "species": "cat", "size": "small", "sleep_quality": 0.5},
        {"activity_score": 12.0, "species": "hamster", "size": "tiny"},
        {"activity_score": 13.0, "species": None, "size": None},
    )
    record_readings(recorder, readings, "t", "g", NOW_S)
    vitals = {key: value for key, value in drained(recorder).items() if "health" in key[0]}
    assert vitals == {
        ("pet.health.heart_rate", "medium", "dog"): (80.0, 82.0),
        ("pet.health.gait_symmetry", "medium", "dog"): (0.9,),
        ("pet.health.heart_rate", "small", "cat"): (190.0,),
        ("pet.health.sleep_quality", "small", "cat"): (0.5,),
        ("pet.health.activity_score", "na", "other"): (12.0, 13.0),
    }


def test_dead_letters_are_counted_by_reason() -> None:
    recorder = Recorder()
    reasons = [RejectReason.NOT_JSON, RejectReason.TOMBSTONE, RejectReason.NOT_JSON]
    record_rejects(recorder, [reject(n, one) for n, one in enumerate(reasons)], "t")
    assert drained(recorder) == {
        ("kafka.messages.dead_lettered", "not_json", "t"): (2.0,),
        ("kafka.messages.dead_lettered", "tombstone", "t"): (1.0,),
    }


def test_every_reason_for_a_dead_letter_is_declared() -> None:
    recorder = Recorder()
    record_rejects(recorder, [reject(0, reason) for reason in RejectReason], "t")
    assert len(recorder.drain()) == len(RejectReason)


def test_offsets_that_were_gone_are_counted_by_partition() -> None:
    recorder = Recorder()
    record_gaps(recorder, [Gap(3, 10, 15), Gap(40, 0, 2), Gap(41, 7, 8)], "t")
    assert drained(recorder) == {
        ("kafka.offsets.gap", "3", "t"): (5.0,),
        ("kafka.offsets.gap", "other", "t"): (3.0,),
        ("telemetry.tags.limited", "partition"): (2.0,),
    }


def test_a_watched_pet_has_its_latest_values_by_event_time() -> None:
    recorder = Recorder()
    readings = frame(
        {"time_ms": 3_000, "heart_rate": 91.0},
        {"time_ms": 1_000, "heart_rate": 80.0, "activity_score": 5.0},
        {"time_ms": 2_000, "heart_rate": 85.0, "gait_symmetry": 0.8},
        {"time_ms": 9_000, "heart_rate": 60.0, "pet_id": "not-watched"},
    )
    record_watched(recorder, readings, WatchList(["rex", "absent"]))
    assert drained(recorder) == {
        ("pet.health.watch.heart_rate", "rex", "dog"): (91.0,),
        ("pet.health.watch.activity_score", "rex", "dog"): (5.0,),
        ("pet.health.watch.gait_symmetry", "rex", "dog"): (0.8,),
    }


def test_of_sixty_watched_pets_fifty_have_gauges_and_ten_share_theirs() -> None:
    recorder = Recorder()
    pets = [f"pet-{number:02d}" for number in range(60)]
    readings = frame(*({"pet_id": pet, "heart_rate": 60.0 + n} for n, pet in enumerate(pets)))
    record_watched(recorder, readings, WatchList(pets))
    values = drained(recorder)
    name = "pet.health.watch.heart_rate"
    own = {(name, pet, "dog"): (60.0 + n,) for n, pet in enumerate(pets[:50])}
    # the mean of 110 to 119
    shared: Values = {(name, "other", "dog"): (114.5,), ("telemetry.tags.limited", "pet_id"): (10,)}
    assert values == own | shared


def test_nobody_on_the_watch_list_means_no_gauge_of_a_pet() -> None:
    recorder = Recorder()
    record_watched(recorder, frame({"heart_rate": 80.0}), WatchList([]))
    assert recorder.drain() == []


def test_faults_of_collars_and_several_signals_have_tags_of_their_own() -> None:
    recorder = Recorder()
    faults = [episode(kind="sensor", signal=signal) for signal in ("battery", "readings")]
    several = episode(signal="heart_rate", signals=("heart_rate", "gait_symmetry"))
    record_episodes(recorder, [*faults, several])
    assert drained(recorder) == {
        ("pet.health.anomaly.detected", "high", "sensor", "dog"): (2.0,),
        ("pet.health.anomaly.detected", "high", "multi", "dog"): (1.0,),
    }


def test_the_series_of_a_batch_do_not_grow_with_the_pets() -> None:
    def series(pets: int) -> int:
        recorder = Recorder()
        rows = ({"pet_id": f"pet-{n}", "heart_rate": 80.0, "time_ms": 0} for n in range(pets))
        readings = frame(*rows)
        record_readings(recorder, readings, "t", "g", NOW_S)
        record_watched(recorder, readings, WatchList(readings["pet_id"]))
        return len({(point.name, point.tags) for point in recorder.drain()})

    # consumed, age, one cohort; fifty pets and the others, and the count of those
    assert series(1) == 4
    assert series(50) == 53
    assert series(2_000) == 55


def test_an_episode_is_counted_at_each_severity_and_not_when_it_ends() -> None:
    recorder = Recorder()
    record_episodes(
        recorder,
        [
            episode(severity="medium"),
            episode(severity="high"),
            episode(severity="high", ended_ms=130_000),
            episode(severity="high", episode_id="e2", species="cat", signal="gait_symmetry"),
            episode(severity="low", episode_id="e3", species="cat", signal="multi"),
        ],
    )
    name = "pet.health.anomaly.detected"
    assert drained(recorder) == {
        (name, "medium", "heart_rate", "dog"): (1.0,),
        (name, "high", "heart_rate", "dog"): (1.0,),
        (name, "high", "gait", "cat"): (1.0,),
        (name, "low", "multi", "cat"): (1.0,),
    }


def test_alerts_on_their_topic_are_counted_by_severity_and_outcome() -> None:
    recorder = Recorder()
    two = [alert("high"), alert("critical")]
    record_alerts(recorder, two, "delivered")
    record_alerts(recorder, two[:1], "failed")
    name = "pet.health.alerts.sent"
    assert drained(recorder) == {
        (name, "topic", "delivered", "high"): (1.0,),
        (name, "topic", "delivered", "critical"): (1.0,),
        (name, "topic", "failed", "high"): (1.0,),
    }
    with pytest.raises(UndeclaredPointError, match="outcome:lost is not declared"):
        record_alerts(recorder, two, "lost")
