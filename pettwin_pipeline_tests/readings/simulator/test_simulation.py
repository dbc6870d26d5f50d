import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettwin_pipeline.readings.schema import PHYSICAL_RANGES, READING_SCHEMA, SIGNALS
from pettwin_pipeline.readings.simulator import COLUMNS, Fleet, encode_label, simulate
from pettwin_pipeline_tests.readings.simulator.runs import MIDNIGHT_MS, latest, run


def _bytes(fleet: Fleet, *, seed: int, chunk_s: float, duration_s: float = 600.0) -> bytes:
    chunks = simulate(
        fleet,
        MIDNIGHT_MS,
        duration_s,
        seed=seed,
        chunk_s=chunk_s,
        confounder_rate=200.0,
        fault_rate=200.0,
    )
    readings: list[bytes] = []
    labels: list[bytes] = []
    for chunk in chunks:
        readings.append(chunk.readings.write_ndjson().encode())
        labels += map(encode_label, chunk.labels)
    return b"".join(readings) + b"\n".join(labels)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    fleet = Fleet.draw(12, 3, ill_share=0.5, onset_h=(0, 0.1))
    assert _bytes(fleet, seed=4, chunk_s=60) == _bytes(fleet, seed=4, chunk_s=60)
    assert _bytes(fleet, seed=4, chunk_s=60) != _bytes(fleet, seed=5, chunk_s=60)


@settings(max_examples=20, deadline=None)
@given(chunk_s=st.floats(0.7, 900.0), duration_s=st.floats(1.0, 400.0))
def test_the_length_of_a_chunk_changes_nothing(chunk_s: float, duration_s: float) -> None:
    fleet = Fleet.draw(3, 3, ill_share=1, onset_h=(0, 0.1))
    whole = _bytes(fleet, seed=4, chunk_s=1000.0, duration_s=duration_s)
    assert _bytes(fleet, seed=4, chunk_s=chunk_s, duration_s=duration_s) == whole


def test_chunks_follow_one_another_and_hold_what_lies_in_them() -> None:
    end_ms = MIDNIGHT_MS
    for chunk in simulate(Fleet.draw(5, 1), MIDNIGHT_MS, 200.0, seed=1, chunk_s=45.0):
        assert chunk.begin_ms == end_ms
        end_ms = chunk.end_ms
        times = chunk.readings["time_ms"]
        assert times.is_between(chunk.begin_ms, chunk.end_ms, closed="left").all()
        assert times.is_sorted()
    assert end_ms == MIDNIGHT_MS + 200_000


def test_pets_added_at_the_end_change_none_of_the_earlier() -> None:
    small, large = (Fleet.draw(pets, 8, ill_share=0.3) for pets in (5, 600))
    assert large.pets[:5] == small.pets
    few, _ = run(small, 0.2)
    many, _ = run(large, 0.2)
    ids = [pet.pet_id for pet in small.pets]
    assert many.filter(pl.col("pet_id").is_in(ids)).equals(few)


def test_a_longer_simulation_only_adds() -> None:
    fleet = Fleet.draw(4, 8)
    short, _ = run(fleet, 0.1)
    long, _ = run(fleet, 0.3)
    assert long[: len(short)].equals(short)


def test_a_healthy_twin_is_the_same_until_the_onset() -> None:
    ill = Fleet.draw(20, 5, ill_share=1.0, onset_h=(0.5, 0.9), speed=20.0)
    well = Fleet.draw(20, 5, ill_share=0.0)
    onset_ms = {
        pet.pet_id: MIDNIGHT_MS + pet.illness.onset_ms
        for pet in ill.pets
        if pet.illness is not None
    }
    sick, _ = run(ill, 1.5)
    sound, _ = run(well, 1.5)
    assert len(onset_ms) == 20
    differ = 0
    for pet_id, at_ms in onset_ms.items():
        before = (pl.col("pet_id") == pet_id) & (pl.col("time_ms") < at_ms)
        assert sick.filter(before).equals(sound.filter(before))
        after = (pl.col("pet_id") == pet_id) & (pl.col("time_ms") >= at_ms)
        differ += not sick.filter(after).equals(sound.filter(after))
    assert differ > 15  # a collar may be off, a slow illness may not show yet


def test_a_reading_has_the_fields_of_a_collar_and_no_trace_of_a_label() -> None:
    ill, labels = run(Fleet.draw(10, 5, ill_share=1.0, onset_h=(0, 0.1)), 0.5, trouble=50.0)
    well, _ = run(Fleet.draw(10, 5, ill_share=0.0), 0.5, trouble=0.0)
    assert ill.columns == list(COLUMNS)
    assert set(COLUMNS) <= set(READING_SCHEMA) - {"metadata"}
    assert ill.schema == pl.Schema({name: READING_SCHEMA[name] for name in COLUMNS})
    words = {label.name for label in labels} | {label.kind for label in labels}
    for name in ("pet_id", "species", "breed", "size"):
        assert set(ill[name]) == set(well[name])
        assert not any(word in text for word in words for text in ill[name].unique())


def test_a_pet_is_known_by_its_profile_in_every_reading() -> None:
    fleet = Fleet.draw(6, 5)
    readings, _ = run(fleet, 0.1)
    fields = ("pet_id", "species", "breed", "size", "weight_kg", "age_years")
    seen = set(readings.select(fields).unique().rows())
    assert seen == {tuple(getattr(pet, field) for field in fields) for pet in fleet.pets}


def test_values_lie_in_physical_ranges_but_for_impossible_ones() -> None:
    readings, labels = run(Fleet.draw(40, 2, ill_share=0.5, onset_h=(0, 1)), 3, trouble=20.0)
    for name, limits in PHYSICAL_RANGES.items():
        wrong = readings.filter(~pl.col(name).is_between(limits.low, limits.high))
        faulty = [label for label in latest(labels) if label.name == "impossible_value"]
        for row in wrong.iter_rows(named=True):
            assert name == "heart_rate"
            assert any(
                label.pet_id == row["pet_id"] and label.start_ms <= row["time_ms"] < label.end_ms
                for label in faulty
                if label.end_ms is not None
            )
        assert (len(wrong) > 0) == (name == "heart_rate")


def test_nothing_that_is_sent_is_not_a_number() -> None:
    readings, _ = run(Fleet.draw(10, 2), 1, trouble=20.0)
    for name in (*SIGNALS, "battery", "temperature_c", "respiratory_rate"):
        assert np.isfinite(readings[name].drop_nulls().to_numpy()).all()
        assert readings[name].is_not_null().any()


def test_a_collar_sends_once_a_step_with_little_lost_while_nothing_is_wrong() -> None:
    readings, _ = run(Fleet.draw(10, 2), 2, step_s=5.0, trouble=0.0)
    gaps = readings.group_by("pet_id").agg(pl.col("time_ms").diff().drop_nulls().alias("gap"))
    assert gaps["gap"].explode().median() == pytest.approx(5000, abs=20)
    assert len(readings) == pytest.approx(10 * 2 * 720, rel=0.03)


@pytest.mark.parametrize(
    "wrong",
    [
        {"step_s": 7.0},
        {"step_s": 0.0},
        {"seed": -1},
        {"chunk_s": 0.0},
        {"duration_s": 0.0},
        {"fault_rate": -1.0},
    ],
)
def test_impossible_arguments_are_refused_at_once(wrong: dict[str, float]) -> None:
    arguments: dict[str, float] = {"duration_s": 60.0, "seed": 1} | wrong
    with pytest.raises(ValueError, match=r"step_s|seed"):
        simulate(Fleet.draw(1, 1), MIDNIGHT_MS, **arguments)  # type: ignore[arg-type]
