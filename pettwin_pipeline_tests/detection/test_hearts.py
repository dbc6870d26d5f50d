import numpy as np
import polars as pl
import pytest

from pettwin_pipeline.detection.baseline import Baselines, encode_baselines
from pettwin_pipeline.detection.episodes import Episode
from pettwin_pipeline.detection.hearts import STRETCH
from pettwin_pipeline.detection.scoring import Scored, score_batch
from pettwin_pipeline_tests.detection.collars import Value, stream, wear

SLOTS = 2 * STRETCH + 60
PETS = 4


def _restless(pet: int) -> pl.DataFrame:
    """Hearts that go up and down for minutes and hours, about the thresholds and far beyond."""
    dice = np.random.default_rng(pet)
    bpm = list[Value]([62.0] * 100)
    while len(bpm) < SLOTS:
        factor = float(dice.choice([0.5, 0.7, 0.77, 0.85, 1.0, 1.16, 1.2, 1.3, 1.7, 3.0]))
        noise = np.exp(0.05 * dice.standard_normal(int(dice.choice([9, 30, 80, 300]))))
        bpm += (62.0 * factor * noise).tolist()
        bpm += [None] * int(dice.choice([0, 0, 3, 40]))
    kind = None if pet % 2 else "dog"
    early = wear(bpm[:200], pet_id=f"pet-{pet}", species=kind, size=None)
    late = wear(
        bpm[200:SLOTS],
        pet_id=f"pet-{pet}",
        species="cat",
        stillness=0.5,
        activity=dice.uniform(0, 9, SLOTS - 200).tolist(),
        start_ms=int(early["time_ms"][-1]) + 10_000,
    )
    return pl.concat([early, late])


@pytest.fixture(scope="module")
def restless() -> pl.DataFrame:
    return stream(*[_restless(pet) for pet in range(PETS)])


def test_stretches_tell_the_same_as_slots_one_by_one(restless: pl.DataFrame) -> None:
    whole = score_batch(restless, Baselines.empty())
    baselines, scores, told = Baselines.empty(), list[pl.DataFrame](), list[Episode]()
    for begin in range(0, len(restless), PETS):
        batch = score_batch(restless[begin : begin + PETS], baselines)
        baselines = batch.baselines
        scores.append(batch.scores)
        told += batch.episodes
    assert pl.concat(scores).equals(whole.scores)
    assert told == whole.episodes
    assert encode_baselines(baselines) == encode_baselines(whole.baselines)


def test_the_restless_have_episodes_of_every_kind(restless: pl.DataFrame) -> None:
    scored: Scored = score_batch(restless, Baselines.empty())
    assert {(one.direction, one.ended_ms is None) for one in scored.episodes} >= {
        ("high", True),
        ("high", False),
        ("low", True),
        ("low", False),
    }
    assert {"low", "medium", "critical"} <= {one.severity for one in scored.episodes}
