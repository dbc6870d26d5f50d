import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.readings.schema import SIZES, SPECIES
from pettwin_pipeline.readings.simulator import ACUTE, ILLNESSES, Fleet


def test_resting_heart_rates_are_those_of_the_species() -> None:
    pets = Fleet.draw(3000, 1).pets
    dogs = np.array([pet.resting_bpm for pet in pets if pet.species == "dog"])
    cats = np.array([pet.resting_bpm for pet in pets if pet.species == "cat"])
    assert np.median(dogs) == pytest.approx(62, abs=2)
    assert np.std(dogs) == pytest.approx(11, abs=1.5)
    assert np.median(cats) == pytest.approx(132, abs=3)
    assert np.std(cats) == pytest.approx(19, abs=2)
    assert len(cats) / len(pets) == pytest.approx(0.3, abs=0.03)


def test_a_heavy_dog_has_a_slower_heart() -> None:
    dogs = Fleet.draw(5000, 2, cat_share=0).pets
    slope = np.polyfit([pet.weight_kg for pet in dogs], [pet.resting_bpm for pet in dogs], 1)[0]
    assert slope == pytest.approx(-0.2, abs=0.05)


def test_profiles_use_the_words_of_the_schema_and_plausible_values() -> None:
    for pet in Fleet.draw(500, 3).pets:
        assert pet.species in SPECIES
        assert pet.size in SIZES
        assert 1 < pet.weight_kg < 80
        assert 0 < pet.age_years < 15
        assert 0.14 < pet.breaths_hz < 0.41


@given(
    seed=st.integers(0, 2**32),
    pets=st.integers(1, 60),
    more=st.integers(0, 60),
    share=st.floats(0, 1),
)
def test_a_pet_is_the_same_in_a_larger_fleet(seed: int, pets: int, more: int, share: float) -> None:
    small = Fleet.draw(pets, seed, ill_share=share)
    assert Fleet.draw(pets + more, seed, ill_share=share).pets[:pets] == small.pets


@given(seed=st.integers(0, 2**32), tenths=st.integers(0, 10))
def test_of_each_ten_pets_the_share_falls_ill(seed: int, tenths: int) -> None:
    pets = Fleet.draw(30, seed, ill_share=tenths / 10).pets
    for begin in (0, 10, 20):
        ill = sum(pet.illness is not None for pet in pets[begin : begin + 10])
        assert abs(ill - tenths) <= 1e-9 + (tenths % 10 != 0) * 1


def test_which_illness_goes_around() -> None:
    pets = Fleet.draw(80, 4, ill_share=0.1).pets
    names = [pet.illness.name for pet in pets if pet.illness is not None]
    assert sorted(names) == sorted(ILLNESSES)


def test_only_the_illnesses_asked_for_are_dealt() -> None:
    pets = Fleet.draw(20, 4, ill_share=0.5, illnesses=("fever",)).pets
    assert {pet.illness.name for pet in pets if pet.illness is not None} == {"fever"}


def test_speed_compresses_the_course_and_not_the_onset() -> None:
    slow, fast = (
        Fleet.draw(40, 4, ill_share=1, onset_h=(1, 2), speed=speed).pets for speed in (1.0, 60.0)
    )
    for a, b in zip(slow, fast, strict=True):
        assert a.illness is not None
        assert b.illness is not None
        assert a.illness.onset_ms == b.illness.onset_ms
        if a.illness.name not in ACUTE:
            assert a.illness.rise_ms == pytest.approx(60 * b.illness.rise_ms, rel=0.01)
        else:
            assert b.illness.length_ms >= 299_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"pets": 0},
        {"seed": -1},
        {"ill_share": 1.5},
        {"cat_share": -0.1},
        {"illnesses": ("cold",)},
        {"illnesses": ()},
        {"onset_h": (3.0, 2.0)},
        {"speed": 0.5},
    ],
)
def test_a_fleet_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    arguments: dict[str, object] = {"pets": 1, "seed": 1} | wrong
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Fleet.draw(**arguments)  # type: ignore[arg-type]
