"""Rows of many pets laid end to end, each pet's in the order of time: what was, and since when.

What one would ask of every row in turn, asked of all rows at once. Only what truly needs the result
of the row before takes turns. Knows nothing of what the rows say.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pettwin_pipeline.detection.baseline import IndexArray
from pettwin_pipeline.detection.slots import BoolArray

Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Turns:
    """Rows with the same number within their pets, which are stepped over together.

    Attributes:
        order: the rows, first of all pets first, shape (rows,).
        bounds: where in `order` each turn begins, and the last ends.
        pets: the pets by the number of their rows, most first: a turn is one row of each of the
            first so many of them.
    """

    order: IndexArray
    bounds: list[int]
    pets: IndexArray


@dataclass(frozen=True, slots=True)
class Timelines:
    """Where the rows of each pet lie.

    Attributes:
        first: index of the first row of each pet, shape (pets,).
        last: of the last one.
        of: which pet a row is of, shape (rows,).
    """

    first: IndexArray
    last: IndexArray
    of: IndexArray

    @classmethod
    def of_lengths(cls, lengths: IndexArray) -> "Timelines":
        """Pets with so many rows each, at least one."""
        ends = np.cumsum(lengths)
        return cls(ends - lengths, ends - 1, np.repeat(np.arange(len(lengths)), lengths))

    def of_some(self, pets: IndexArray) -> tuple[IndexArray, "Timelines"]:
        """The rows of some pets, and where those of each then lie."""
        some = Timelines.of_lengths((self.last - self.first + 1)[pets])
        return self.first[pets][some.of] + some.nth, some

    @property
    def nth(self) -> IndexArray:
        """The number of each row within its pet, from 0."""
        number: IndexArray = np.arange(len(self.of)) - self.first[self.of]
        return number

    def latest(self, marked: BoolArray) -> IndexArray:
        """The last marked row of the same pet up to each row, itself included; -1 for none.

        Args:
            marked: shape (rows,), or (rows, n) for n questions at once.
        """
        row, first = np.arange(len(marked)), self.first[self.of]
        if marked.ndim > 1:
            row, first = row[:, None], first[:, None]
        found = np.maximum.accumulate(np.where(marked, row, -1), axis=0)
        return np.where(found >= first, found, -1)

    def held(self, marked: BoolArray, values: Values, initial: Values) -> Values:
        """The value of the latest marked row; that of the pet in `initial` before there is one."""
        at = self.latest(marked)
        found = values[at] if marked.ndim == 1 else np.take_along_axis(values, at, axis=0)
        return np.where(at >= 0, found, initial[self.of])

    def before(self, values: Values, initial: Values) -> Values:
        """The value of the row before; that of the pet in `initial` at its first row."""
        shifted = np.empty_like(values)
        shifted[1:] = values[:-1]
        shifted[self.first] = initial
        return shifted

    def total(self, marked: BoolArray) -> IndexArray:
        """How many rows of the same pet are marked up to each row, itself included; by column."""
        counts: IndexArray = np.cumsum(marked, axis=0)
        before: IndexArray = counts[self.first] - marked[self.first]
        return counts - before[self.of]

    def since(self, counted: BoolArray, marked: BoolArray, initial: Values) -> IndexArray:
        """How many rows are counted after the latest marked one; without one those before, too."""
        total, at = self.total(counted), self.latest(marked)
        count: IndexArray = total - np.where(at >= 0, total[at], -initial[self.of].astype(np.int64))
        return count

    def highest(self, values: Values, initial: Values) -> Values:
        """The largest value of the same pet up to each row, `initial` of the pet among them."""
        nth = self.nth
        table = np.zeros((len(self.first), int(nth.max()) + 1), values.dtype)
        table[self.of, nth] = values
        table[:, 0] = np.maximum(table[:, 0], initial)
        found: Values = np.maximum.accumulate(table, axis=1)[self.of, nth]
        return found

    def first_of(self, marked: BoolArray) -> IndexArray:
        """The first marked row of each pet; its last one where none is."""
        rows = np.where(marked, np.arange(len(marked)), len(marked))
        return np.minimum(np.minimum.reduceat(rows, self.first), self.last)

    def turns(self) -> Turns:
        """The order in which rows are stepped over that need the one before."""
        lengths = self.last - self.first + 1
        pets = np.argsort(-lengths, kind="stable")
        if len(pets) == 1:
            return Turns(np.arange(len(self.of)), list(range(len(self.of) + 1)), pets)
        rank = np.empty_like(pets)
        rank[pets] = np.arange(len(pets))
        nth = self.nth
        order = np.lexsort((rank[self.of], nth))
        bounds = np.searchsorted(nth[order], np.arange(lengths[pets[0]] + 1))
        return Turns(order, bounds.tolist(), pets)
