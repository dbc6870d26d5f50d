import numpy as np
import polars as pl
import pytest

from pettwin_pipeline.detection.clinical import (
    ASLEEP,
    AWAKE,
    CRITICAL,
    LIMITS,
    UNKNOWN,
    UNSAID,
    profile_codes,
    resting_heart,
)
from pettwin_pipeline.readings.schema import SIZES, SPECIES
from pettwin_pipeline_tests.detection.collars import stream, wear


def test_a_large_dog_awake_has_a_lower_limit_than_a_small_one() -> None:
    assert resting_heart("dog", "small").awake == (45.0, 160.0)
    assert resting_heart("dog", "giant").awake == (45.0, 140.0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("species", SPECIES)
def test_critical_lies_outside_the_limits_and_usual_inside(species: str, size: str) -> None:
    heart = resting_heart(species, size)
    for (low, high), usual in zip((heart.asleep, heart.awake), heart.usual, strict=True):
        assert heart.critical[0] < low < usual < high < heart.critical[1]


def test_where_sleep_is_not_known_the_wider_limit_holds() -> None:
    limits = np.exp(LIMITS[SPECIES.index("dog"), SIZES.index("small")])
    assert limits[ASLEEP].round(6).tolist() == [35.0, 110.0]
    assert limits[AWAKE].round(6).tolist() == [45.0, 160.0]
    assert limits[UNKNOWN].round(6).tolist() == [35.0, 160.0]


def test_tables_are_in_the_order_of_the_schema() -> None:
    assert np.exp(CRITICAL[SPECIES.index("cat"), 0]).round(6).tolist() == [60.0, 240.0]


@pytest.mark.parametrize(
    ("species", "size", "code"),
    [
        ("dog", "small", 0),
        ("dog", None, 4),
        ("cat", "large", 5 + 2),
        ("hamster", "small", 10),
        ("Dog", "huge", UNSAID),
        (None, "small", UNSAID),
        (None, None, UNSAID),
    ],
)
def test_what_a_reading_says_of_its_pet(species: str | None, size: str | None, code: int) -> None:
    readings = stream(wear([60.0], species=species, size=size))
    assert profile_codes(readings).tolist() == [code]


def test_no_readings_say_nothing() -> None:
    assert profile_codes(stream(wear([60.0])).filter(pl.lit(value=False))).tolist() == []
