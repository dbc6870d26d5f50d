"""Hours of points: packed and back, one laid over another, rolled up."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.datadog_protocol.sketches import SketchBuilder, decode_sketch, encode_sketch
from pettwin_pipeline.emulator.hours import (
    Numbers,
    gathered,
    overlaid,
    pack_numbers,
    pack_sketches,
    pack_slots,
    sketch_slots,
    slots_of,
    unpack_numbers,
    unpack_sketches,
    unpack_slots,
)

Kept = dict[int, dict[int, float]]
"""By key: seconds since the hour began, and value."""
SERIES = st.dictionaries(
    st.integers(0, 3599),
    st.floats(allow_nan=False, allow_infinity=False, width=64),
    min_size=1,
    max_size=20,
)
HOURS = st.dictionaries(st.integers(1, 2**32 - 1), SERIES, max_size=5)


def numbers_of(kept: Kept) -> Numbers:
    return gathered(
        [
            (
                key,
                np.array(sorted(points), np.int32),
                np.array([points[at] for at in sorted(points)]),
            )
            for key, points in sorted(kept.items())
        ]
    )


def kept_of(numbers: Numbers) -> Kept:
    found: Kept = {}
    columns = zip(numbers.rows, numbers.offsets, numbers.values, strict=True)
    for row, offset, value in columns:
        found.setdefault(int(numbers.keys[row]), {})[int(offset)] = float(value)
    return found


@given(HOURS)
def test_an_hour_is_the_same_after_it_was_packed(kept: Kept) -> None:
    assert kept_of(unpack_numbers(pack_numbers(numbers_of(kept)))) == kept


@given(HOURS, HOURS)
def test_of_two_hours_the_newer_holds_where_both_have_a_second(older: Kept, newer: Kept) -> None:
    both = {key: older.get(key, {}) | newer.get(key, {}) for key in older.keys() | newer.keys()}
    found = overlaid(numbers_of(older), numbers_of(newer))
    assert kept_of(found) == both
    places = list(zip(found.rows.tolist(), found.offsets.tolist(), strict=True))
    assert places == sorted(places)


def test_slots_carry_count_sum_extremes_and_the_last() -> None:
    slots = slots_of(numbers_of({7: {0: 4.0, 299: 1.0, 300: 5.0}, 9: {3599: 2.0}}))
    assert slots.keys.tolist() == [7, 9]
    assert slots.rows.tolist() == [0, 0, 1]
    assert slots.offsets.tolist() == [0, 300, 3300]
    assert slots.figures.T.tolist() == [[2, 5, 1, 4, 1], [1, 5, 5, 5, 5], [1, 2, 2, 2, 2]]


@given(HOURS)
def test_slots_are_the_same_after_they_were_packed(kept: Kept) -> None:
    slots = slots_of(numbers_of(kept))
    again = unpack_slots(pack_slots(slots))
    for one, other in (
        (slots.keys, again.keys),
        (slots.rows, again.rows),
        (slots.offsets, again.offsets),
        (slots.figures, again.figures),
    ):
        assert one.tolist() == other.tolist()


def test_sketches_of_a_slot_are_added_up() -> None:
    def encoded(*values: float) -> bytes:
        builder = SketchBuilder()
        for value in values:
            builder.add(value)
        return encode_sketch(builder.build())

    kept = {7: [(0, encoded(1, 2)), (290, encoded(9)), (300, encoded(4))]}
    assert unpack_sketches(pack_sketches(kept)) == kept
    (first, second) = sketch_slots(kept)[7]
    assert (first[0], second) == (0, (300, encoded(4)))
    merged = decode_sketch(first[1])
    assert (merged.count, merged.total, merged.low, merged.high) == (3, 12, 1, 9)
