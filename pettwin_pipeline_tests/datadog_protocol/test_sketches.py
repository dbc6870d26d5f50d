"""Sketches of distributions: exact where it is promised, within one percent elsewhere."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.datadog_protocol.sketches import (
    Sketch,
    SketchBuilder,
    decode_sketch,
    encode_sketch,
    merged,
)


def sketch_of(*values: float) -> Sketch:
    builder = SketchBuilder()
    for value in values:
        builder.add(value)
    return builder.build()


def test_count_sum_average_and_ends_are_exact() -> None:
    sketch = sketch_of(-2, 0, 4.5, 1.5)
    assert (sketch.count, sketch.total, sketch.average) == (4, 4.0, 1.0)
    assert (sketch.quantile(0), sketch.quantile(1)) == (-2, 4.5)


def test_values_below_zero_are_ordered() -> None:
    sketch = sketch_of(-100, -10, 0, 10, 100)
    found = [sketch.quantile(share) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert found == pytest.approx([-100, -10, 0, 10, 100], rel=0.01)


def test_a_weight_stands_for_so_many_values() -> None:
    builder = SketchBuilder()
    builder.add(1, 9)
    builder.add(1000)
    sketch = builder.build()
    assert sketch.quantile(0.5) == pytest.approx(1, rel=0.01)
    assert sketch.count_where(">", 500) == 1


@pytest.mark.parametrize(
    ("comparator", "count"), [("<", 2), ("<=", 2), (">", 3), (">=", 3), ("!=", 5)]
)
def test_values_on_one_side_are_counted(comparator: str, count: int) -> None:
    sketch = sketch_of(-5, 0, 10, 20, 30)
    assert sketch.count_where(comparator, 5) == count  # type: ignore[arg-type]


finite = st.floats(-1e12, 1e12)


@given(st.lists(finite, min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_is_within_one_percent_of_the_value_of_its_rank(
    values: list[float], share: float
) -> None:
    ordered = sorted(values)
    true = ordered[math.floor(share * (len(values) - 1))]
    found = sketch_of(*values).quantile(share)
    neighbours = [value for value in ordered if abs(value - true) <= 1e-9 * abs(true)]
    assert any(found == pytest.approx(value, rel=0.0101, abs=1e-290) for value in neighbours)


@given(st.lists(st.lists(st.integers(-99, 99), min_size=1, max_size=9), min_size=1, max_size=5))
def test_merging_is_as_if_all_had_come_to_one(groups: list[list[int]]) -> None:
    whole = sketch_of(*(value for group in groups for value in group))
    assert merged(sketch_of(*group) for group in groups) == whole


@given(st.lists(finite, min_size=1, max_size=20))
def test_a_sketch_survives_being_written(values: list[float]) -> None:
    sketch = sketch_of(*values)
    assert decode_sketch(encode_sketch(sketch)) == sketch
