"""What is asked of all rows at once is what a loop over each pet's rows would answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.detection.slots import BoolArray
from pettwin_pipeline.detection.timelines import Timelines, Values


@dataclass(frozen=True)
class Rows:
    """Rows of some pets: two marks and a value each; and of each pet a value from before."""

    lines: Timelines
    marked: BoolArray
    counted: BoolArray
    values: Values
    initial: Values

    def one_by_one(self, step: Callable[[int, int], int]) -> list[int]:
        """From what was before, and a row, to what is after it: a loop over each pet."""
        return list(self._steps(step))

    def _steps(self, step: Callable[[int, int], int]) -> Iterator[int]:
        for pet, first in enumerate(self.lines.first.tolist()):
            held = int(self.initial[pet])
            for row in range(first, int(self.lines.last[pet]) + 1):
                held = step(held, row)
                yield held


@st.composite
def many(draw: st.DrawFn) -> Rows:
    """Of one to five pets."""
    lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))

    def drawn(of: st.SearchStrategy[int], count: int) -> Values:
        return np.array(draw(st.lists(of, min_size=count, max_size=count)))

    count, number = sum(lengths), st.integers(0, 5)
    return Rows(
        Timelines.of_lengths(np.array(lengths)),
        drawn(st.booleans(), count),
        drawn(st.booleans(), count),
        drawn(number, count),
        drawn(number, len(lengths)),
    )


@given(many())
def test_a_value_is_held_from_a_marked_row_to_the_next(rows: Rows) -> None:
    expected = rows.one_by_one(lambda held, row: rows.values[row] if rows.marked[row] else held)
    assert rows.lines.held(rows.marked, rows.values, rows.initial).tolist() == expected


@given(many())
def test_several_questions_at_once_are_answered_one_by_one(rows: Rows) -> None:
    marks = np.stack([rows.marked, rows.counted], axis=1)
    values, initial = (np.stack([one, one + 1], axis=1) for one in (rows.values, rows.initial))
    both = rows.lines.held(marks, values, initial)
    for column, mark in enumerate((rows.marked, rows.counted)):
        alone = rows.lines.held(mark, values[:, column], initial[:, column])
        assert both[:, column].tolist() == alone.tolist()


@given(many())
def test_rows_are_counted_since_the_last_marked_one(rows: Rows) -> None:
    expected = rows.one_by_one(
        lambda held, row: 0 if rows.marked[row] else held + int(rows.counted[row])
    )
    assert rows.lines.since(rows.counted, rows.marked, rows.initial).tolist() == expected


@given(many())
def test_the_highest_value_so_far_is_of_the_own_pet(rows: Rows) -> None:
    expected = rows.one_by_one(lambda held, row: max(held, rows.values[row]))
    assert rows.lines.highest(rows.values, rows.initial).tolist() == expected


@given(many())
def test_the_row_before_is_of_the_own_pet(rows: Rows) -> None:
    before = rows.lines.before(rows.values, rows.initial)
    assert before[rows.lines.first].tolist() == rows.initial.tolist()
    others = np.setdiff1d(np.arange(len(before)), rows.lines.first)
    assert before[others].tolist() == rows.values[others - 1].tolist()


@given(many())
def test_the_first_marked_row_of_a_pet_is_its_last_one_where_none_is(rows: Rows) -> None:
    for pet, found in enumerate(rows.lines.first_of(rows.marked).tolist()):
        mine = range(rows.lines.first[pet], rows.lines.last[pet] + 1)
        assert found == next((row for row in mine if rows.marked[row]), mine[-1])


@given(many())
def test_turns_take_every_row_after_the_one_before_it_and_the_longest_pets_first(
    rows: Rows,
) -> None:
    turns = rows.lines.turns()
    assert sorted(turns.order.tolist()) == list(range(len(rows.values)))
    for nth, (begin, end) in enumerate(pairwise(turns.bounds)):
        taken = turns.order[begin:end]
        assert rows.lines.of[taken].tolist() == turns.pets[: end - begin].tolist()
        assert rows.lines.nth[taken].tolist() == [nth] * (end - begin)


@given(many(), st.data())
def test_some_pets_keep_their_rows(rows: Rows, data: st.DataObject) -> None:
    pets = np.array(
        data.draw(st.lists(st.sampled_from(range(len(rows.initial))), unique=True)), int
    )
    at, some = rows.lines.of_some(pets)
    assert rows.lines.of[at].tolist() == pets[some.of].tolist()
    assert rows.lines.nth[at].tolist() == some.nth.tolist()
    assert len(at) == sum((rows.lines.last - rows.lines.first + 1)[pets])
