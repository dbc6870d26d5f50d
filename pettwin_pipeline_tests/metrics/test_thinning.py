import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.metrics.thinning import rate_of, thin


def test_few_values_are_not_thinned() -> None:
    values = np.array([3.0, 1.0, 2.0])
    assert [(weight, kept.tolist()) for weight, kept in thin(values, 3)] == [(1, [3.0, 1.0, 2.0])]


def test_thinning_by_hand() -> None:
    values = np.array([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    # ends 0 and 9; inside 1..8 in two runs of four: the second of each stands for its run
    assert [(w, kept.tolist()) for w, kept in thin(values, 4)] == [(1, [0.0, 9.0]), (4, [2.0, 6.0])]


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=400).map(np.array),
    st.integers(3, 50),
)
def test_thinning_keeps_count_and_extremes(values: npt.NDArray[np.float64], most: int) -> None:
    kept = thin(values, most)
    assert sum(weight * len(part) for weight, part in kept) == len(values)
    everything = np.concatenate([part for _, part in kept])
    assert len(everything) <= max(most, 1)
    assert everything.min() == values.min()
    assert everything.max() == values.max()
    assert np.isin(everything, values).all()


def test_thinning_moves_a_quantile_by_less_than_one_run() -> None:
    values = np.random.default_rng(1).permutation(100_000).astype(float)
    kept = thin(values)
    rows = sorted((value, weight) for weight, part in kept for value in part)
    ranks = np.cumsum([weight for _, weight in rows])
    for share in (0.5, 0.95, 0.99):
        value = rows[int(np.searchsorted(ranks, share * 100_000))][0]
        assert abs(value - share * 100_000) < 100_000 / 510 + 1


@given(st.integers(1, 10**6))
def test_a_sample_rate_reads_back_as_its_weight_where_the_agent_cuts_it(weight: int) -> None:
    assert int(1 / rate_of(weight)) == weight
