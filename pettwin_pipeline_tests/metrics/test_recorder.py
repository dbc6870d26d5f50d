import math

import numpy as np
import pytest

from pettwin_pipeline.errors import UndeclaredPointError
from pettwin_pipeline.metrics.points import Point, Recorder, WatchList

LIMITED = "telemetry.tags.limited"
LAG = {"topic": "t", "consumer_group": "g"}


def of(points: list[Point], name: str) -> list[Point]:
    return [point for point in points if point.name == name]


def limited(points: list[Point]) -> dict[str, float]:
    """How many values were folded, by tag."""
    return {dict(point.tags)["family"]: point.values[0] for point in of(points, LIMITED)}


def by_tag(points: list[Point], key: str) -> dict[str, tuple[float, ...]]:
    return {dict(point.tags)[key]: point.values for point in points}


def test_an_undeclared_name_is_refused() -> None:
    with pytest.raises(UndeclaredPointError, match=r"pipeline\.pulse: not a metric"):
        Recorder().gauge("pipeline.pulse", 1, component="sensor")


def test_an_undeclared_tag_is_refused_and_the_declared_are_named() -> None:
    with pytest.raises(UndeclaredPointError, match="no tag pet_id; declared: component"):
        Recorder().gauge("pipeline.heartbeat", 1, component="sensor", pet_id="rex")


def test_a_value_outside_a_closed_set_is_refused_and_the_set_is_named() -> None:
    with pytest.raises(UndeclaredPointError, match="component:cat is not declared; allowed: sens"):
        Recorder().gauge("pipeline.heartbeat", 1, component="cat")


def test_a_missing_tag_is_refused_unless_it_is_optional() -> None:
    recorder = Recorder()
    recorder.count("vertex.ai.inference.requests", model_version="m", outcome="success")
    with pytest.raises(UndeclaredPointError, match="tag outcome is missing"):
        recorder.count("vertex.ai.inference.requests", model_version="m")


def test_another_kind_than_the_declared_is_refused() -> None:
    with pytest.raises(UndeclaredPointError, match="a gauge, not a count"):
        Recorder().count("pipeline.heartbeat", component="sensor")
    with pytest.raises(UndeclaredPointError, match="a distribution, not a gauge"):
        Recorder().gauge("kafka.produce.latency", 1.0, topic="t")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    recorder = Recorder()
    with pytest.raises(UndeclaredPointError, match="finite"):
        recorder.gauge("pipeline.heartbeat", value, component="sensor")
    with pytest.raises(UndeclaredPointError, match="finite"):
        recorder.distribution("kafka.produce.latency", [1.0, value], topic="t")
    with pytest.raises(UndeclaredPointError, match="finite"):
        recorder.count("kafka.messages.consumed", value, tags=LAG)
    assert recorder.drain() == []


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(UndeclaredPointError, match="not negative"):
        Recorder().count("kafka.messages.consumed", -1, tags=LAG)


def test_counts_add_up_gauges_keep_the_last_and_distributions_every_value() -> None:
    recorder = Recorder()
    for number in (1, 2):
        recorder.count("kafka.messages.consumed", number, tags=LAG)
        recorder.gauge("pipeline.process.cpu", number, component="sensor")
        recorder.distribution("kafka.produce.latency", [number, 10 * number], topic="t")
    assert {point.name: point.values for point in recorder.drain()} == {
        "kafka.messages.consumed": (3.0,),
        "pipeline.process.cpu": (2.0,),
        "kafka.produce.latency": (1.0, 10.0, 2.0, 20.0),
    }
    assert recorder.drain() == []


def test_nothing_counted_and_nothing_measured_leave_no_point() -> None:
    recorder = Recorder()
    recorder.count("kafka.messages.consumed", 0, tags=LAG)
    recorder.distribution("kafka.produce.latency", [], topic="t")
    assert recorder.drain() == []


def test_lag_of_the_partitions_beyond_the_tagged_adds_up_and_is_counted() -> None:
    recorder = Recorder()
    for partition in range(15):
        recorder.gauge("kafka.consumer.lag", 100 + partition, tags=LAG, partition=partition)
    recorder.gauge("kafka.consumer.lag", 1, tags=LAG, partition=14)  # later: replaces 114
    points = recorder.drain()
    lags = by_tag(of(points, "kafka.consumer.lag"), "partition")
    assert lags == {str(n): (100.0 + n,) for n in range(12)} | {"other": (112.0 + 113 + 1,)}
    assert limited(points) == {"partition": 4.0}


def test_of_the_ages_that_share_a_series_the_highest_counts() -> None:
    recorder = Recorder()
    for lane, age_s in ((12, 5.0), (13, 9.0), (14, 7.0)):
        recorder.gauge("pipeline.lane.lease_age", age_s, lane=lane)
    ages = by_tag(of(recorder.drain(), "pipeline.lane.lease_age"), "lane")
    assert ages == {"other": (9.0,)}


def test_values_beyond_the_limit_of_a_tag_are_other_and_counted() -> None:
    recorder = Recorder()
    for model in ("other", "a", "b", "c", "d", "A", "e"):
        recorder.count("vertex.ai.inference.cost", 1, model_version=model)
    recorder.drain()
    for model in ("a", "f", "other"):
        recorder.count("vertex.ai.inference.cost", 1, model_version=model)
    points = recorder.drain()
    costs = by_tag(of(points, "vertex.ai.inference.cost"), "model_version")
    assert costs == {"a": (1.0,), "other": (2.0,)}
    assert limited(points) == {"model_version": 1.0}


def test_a_value_that_is_other_by_itself_takes_no_place_and_is_not_counted() -> None:
    recorder = Recorder()
    for model in ("other", "a", "b", "c"):
        recorder.count("vertex.ai.inference.cost", 1, model_version=model)
    points = recorder.drain()
    costs = by_tag(of(points, "vertex.ai.inference.cost"), "model_version")
    assert set(costs) == {"other", "a", "b", "c"}
    assert limited(points) == {}


def test_the_first_fifty_watched_pets_have_gauges_and_the_others_share_their_mean() -> None:
    pets = [f"pet-{number:02d}" for number in reversed(range(60))]
    recorder = Recorder(WatchList(pets))
    for pet in pets:
        recorder.gauge("pet.health.watch.heart_rate", int(pet[4:]), pet_id=pet, species="dog")
    points = recorder.drain()
    rates = by_tag(of(points, "pet.health.watch.heart_rate"), "pet_id")
    assert rates == {f"pet-{n:02d}": (float(n),) for n in range(50)} | {"other": (54.5,)}
    assert limited(points) == {"pet_id": 10.0}


def test_without_a_watch_list_no_pet_has_a_series_of_its_own() -> None:
    recorder = Recorder()
    recorder.gauge("pet.health.watch.heart_rate", 60, pet_id="rex", species="dog")
    points = recorder.drain()
    assert list(by_tag(of(points, "pet.health.watch.heart_rate"), "pet_id")) == ["other"]


def test_a_watch_list_names_the_first_by_id_and_knows_how_many_share_other() -> None:
    watch = WatchList(["c", "a", "B", "a", "d"], limit=2)
    assert watch.listed == {"a", "B", "c", "d"}
    assert watch.overflow == 2
    assert [watch.tag(pet) for pet in ("a", "B", "c", "z")] == ["a", "b", "other", "other"]


def test_a_large_distribution_leaves_few_values_that_stand_for_all() -> None:
    recorder = Recorder()
    recorder.distribution("kafka.produce.latency", np.arange(100_000.0), topic="t")
    points = recorder.drain()
    assert sum(len(point.values) for point in points) == 512
    assert sum(point.weight * len(point.values) for point in points) == 100_000
