import polars as pl
import pytest

from pettwin_pipeline.readings.heartbeats import parse_sessions, recorded_readings
from pettwin_pipeline.readings.injections import INJECTIONS, SEVERE, inject, inject_every
from pettwin_pipeline.readings.simulator.labels import encode_label, parse_label
from pettwin_pipeline.stack.recordings import dog_heartbeats
from pettwin_pipeline_tests.readings.strategies import NOON_MS


def steady(pet_id: str = "dog-001", seconds: int = 7200, rate: float = 60.0) -> pl.DataFrame:
    """A reading every 2 s from noon on, the first at noon."""
    times = [NOON_MS + 1000 * second for second in range(0, seconds + 1, 2)]
    return pl.DataFrame({"pet_id": pet_id, "time_ms": times, "heart_rate": rate})


def rate_at(readings: pl.DataFrame, second: int) -> float:
    at = pl.col("time_ms") == NOON_MS + 1000 * second
    return float(readings.filter(at)["heart_rate"].item())


@pytest.mark.parametrize(
    ("kind", "seconds", "rate"),
    [
        ("tachycardia", 120, 108.0),
        ("mild_tachycardia", 300, 84.0),
        ("bradycardia", 120, 36.0),
    ],
)
def test_an_episode_changes_the_rate_while_it_lasts(kind: str, seconds: int, rate: float) -> None:
    ill, label = inject(steady(), kind, NOON_MS + 100_000)
    assert [rate_at(ill, 98), rate_at(ill, 100)] == [60.0, rate]
    assert [rate_at(ill, 98 + seconds), rate_at(ill, 100 + seconds)] == [rate, 60.0]
    changed = ill.filter(pl.col("heart_rate") != 60.0)
    assert len(changed) == seconds / 2
    assert changed["time_ms"].is_between(label.start_ms, label.end_ms).all()
    assert ill.drop("heart_rate").equals(steady().drop("heart_rate"))


def test_a_drift_grows_to_half_more() -> None:
    ill, label = inject(steady(), "drift", NOON_MS)
    assert [rate_at(ill, second) for second in (0, 300, 598, 600)] == [60.0, 75.0, 89.9, 60.0]
    assert label.half_effect_ms == NOON_MS + 300_000


def test_a_label_names_pet_kind_and_interval() -> None:
    _, label = inject(steady(), "bradycardia", NOON_MS)
    assert (label.pet_id, label.kind, label.name) == ("dog-001", "illness", "injected_bradycardia")
    assert (label.start_ms, label.end_ms) == (NOON_MS, NOON_MS + 120_000)
    assert label.label_id == f"dog-001/injected_bradycardia/{NOON_MS}"
    assert label.severity == 0.4


def test_a_missing_rate_stays_missing_and_a_high_one_plausible() -> None:
    readings = steady(seconds=4).with_columns(heart_rate=pl.Series([None, 300.0, 60.06]))
    ill, _ = inject(readings, "tachycardia", NOON_MS)
    assert ill["heart_rate"].to_list() == [None, 400.0, 108.1]


def test_an_episode_is_of_one_pet() -> None:
    two = pl.concat([steady("a"), steady("b")])
    for readings, text in ((two, "not of 2"), (two.clear(), "not of 0")):
        with pytest.raises(ValueError, match=text):
            inject(readings, "drift", NOON_MS)


def test_episodes_come_in_turn_every_half_hour_and_each_pet_begins_with_another() -> None:
    ill, labels = inject_every(pl.concat([steady("b"), steady("a")]), first_s=600)
    found = [(one.pet_id, one.name[9:], (one.start_ms - NOON_MS) // 1000) for one in labels]
    assert sorted(found) == [
        ("a", "bradycardia", 6000),
        ("a", "drift", 4200),
        ("a", "mild_tachycardia", 2400),
        ("a", "tachycardia", 600),
        ("b", "bradycardia", 4200),
        ("b", "drift", 2400),
        ("b", "mild_tachycardia", 600),
        ("b", "tachycardia", 6000),
    ]
    assert [one.end_ms for one in labels] == sorted(one.end_ms or 0 for one in labels)
    assert ill["time_ms"].is_sorted()
    assert len(ill) == 2 * len(steady())


def test_what_would_outlast_the_readings_is_not_put_in() -> None:
    short = steady(seconds=1000)
    ill, labels = inject_every(short, first_s=990, kinds=["tachycardia"])
    assert labels == []
    assert ill.equals(short)
    assert len(inject_every(short, first_s=880, kinds=["tachycardia"])[1]) == 1


@pytest.mark.parametrize(("every_s", "kinds"), [(600, ["drift"]), (1800, [])])
def test_episodes_that_would_meet_are_refused(every_s: int, kinds: list[str]) -> None:
    with pytest.raises(ValueError, match="every_s"):
        inject_every(steady(), every_s=every_s, kinds=kinds)


def test_the_packaged_recordings_get_every_kind() -> None:
    readings = recorded_readings(parse_sessions(dog_heartbeats()))
    ill, labels = inject_every(readings, first_s=900)
    assert {one.name for one in labels} == {f"injected_{kind}" for kind in INJECTIONS}
    assert len(labels) == 16
    assert ill.schema == readings.schema
    share = (ill["heart_rate"] != readings["heart_rate"]).mean()
    expected_s = sum(((one.end_ms or 0) - one.start_ms) / 1000 for one in labels)
    assert share == pytest.approx(expected_s / 2 / len(readings), rel=0.1)


@pytest.mark.parametrize("kind", [*INJECTIONS, *SEVERE])
def test_the_label_of_every_kind_is_one_that_its_topic_takes(kind: str) -> None:
    _, label = inject(steady(), kind, NOON_MS)
    assert parse_label(encode_label(label)) == label
