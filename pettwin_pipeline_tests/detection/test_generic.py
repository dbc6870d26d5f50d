from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettwin_pipeline.detection.generic import (
    FLAG_AT,
    SILENT,
    WARM,
    BoolArray,
    FloatArray,
    GenericState,
    score_series,
)


def _noise(count: int, seed: int = 1) -> FloatArray:
    return np.random.default_rng(seed).normal(10.0, 1.0, count)


def _flags(values: FloatArray) -> list[int]:
    found: BoolArray = score_series(values, GenericState())[1]
    return np.flatnonzero(found).tolist()


@settings(deadline=None, max_examples=60)
@given(
    steps=st.lists(st.integers(-40, 40) | st.just(None), min_size=1, max_size=200),
    cuts=st.lists(st.floats(0, 1), max_size=8),
    repeat=st.integers(1, 9),
)
def test_how_a_series_is_cut_into_batches_changes_nothing(
    steps: list[int | None], cuts: list[float], repeat: int
) -> None:
    values = np.tile([np.nan if one is None else float(one) for one in steps], repeat)
    whole = score_series(values, GenericState())
    state, parts = GenericState(), []
    edges = sorted(int(cut * len(values)) for cut in cuts)
    for begin, end in pairwise([0, *edges, len(values)]):
        parts.append(score_series(values[begin:end], state))
    assert np.concatenate([score for score, _ in parts]).tolist() == whole[0].tolist()
    assert np.concatenate([flagged for _, flagged in parts]).tolist() == whole[1].tolist()


def test_what_comes_after_a_value_does_not_change_its_score() -> None:
    values = _noise(3000)
    early = score_series(values[:1700], GenericState())[0]
    assert score_series(values, GenericState())[0][:1700].tolist() == early.tolist()


@pytest.mark.parametrize("value", [30.0, -10.0])
def test_a_spike_is_flagged_at_once_and_then_nothing_for_a_while(value: float) -> None:
    values = _noise(2000, 4)
    before = [one for one in _flags(values) if one < 1500]
    assert max(before, default=0) < 1500 - SILENT
    values[1500:1520] = value
    assert [one for one in _flags(values) if one <= 1500 + SILENT] == [*before, 1500]


def test_a_series_that_stands_still_and_then_steps_is_flagged_at_the_step() -> None:
    assert _flags(np.r_[np.full(500, 3.0), np.full(50, 4.0)]) == [500]


def test_noise_is_flagged_about_as_rarely_as_the_score_says() -> None:
    # four tails of one in a thousand each, in pairs that move together
    flags = sum(len(_flags(_noise(5000, seed))) for seed in range(8))
    assert flags < 8 * 5000 * 0.004


def test_what_is_not_flagged_scores_below_what_is() -> None:
    values = _noise(3000)
    values[1000::500] += 9.0
    score, flagged = score_series(values, GenericState())
    assert flagged.any()
    assert score[flagged].min() >= FLAG_AT > score[~flagged].max()


def test_nothing_is_flagged_before_the_series_is_known() -> None:
    values = _noise(WARM)
    values[-1] = 1e6
    assert _flags(values) == []


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e300])
def test_a_value_that_is_no_number_scores_nothing_and_is_not_learnt(odd: float) -> None:
    values = _noise(900)
    with_odd = np.insert(values, 450, odd)
    score, flagged = score_series(with_odd, GenericState())
    assert (score[450], flagged[450]) == (0.0, False)
    assert np.delete(score, 450).tolist() == score_series(values, GenericState())[0].tolist()
