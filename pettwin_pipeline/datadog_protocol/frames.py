"""What a query evaluates to: groups of series over the buckets of a grid, and their arithmetic."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

from pettwin_pipeline.datadog_protocol.rolling import Floats, Grid
from pettwin_pipeline.datadog_protocol.syntax import Operator

Group: TypeAlias = tuple[str, ...]
"""`key:value` of each key of the group-by, in its order; empty without one."""

MISSING: Final = "N/A"
"""The value of a group for series that do not have its key."""

_OPERATIONS: Final[Mapping[Operator, Callable[[Floats, Floats], Floats]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Frame:
    """Values of groups over time.

    Args:
        grid: the buckets.
        groups: one for each row, each once.
        values: [group, bucket], NaN where there is none.
        counting: whether it comes of `.as_count()` or `.as_rate()`: what is missing is 0 then.
        fixed: whether it is a constant; beside one nothing that is missing becomes 0.
    """

    grid: Grid
    groups: tuple[Group, ...]
    values: Floats
    counting: bool = False
    fixed: bool = False

    def mapped(self, values: Floats) -> "Frame":
        """The same groups with other values."""
        return replace(self, values=values)

    def picked(self, rows: Sequence[int]) -> "Frame":
        """Some of the groups, in that order."""
        return replace(
            self, groups=tuple(self.groups[row] for row in rows), values=self.values[list(rows)]
        )


def constant(value: float, over: Grid) -> Frame:
    """One group without tags that is always the same."""
    return Frame(over, ((),), np.full((1, over.buckets), value), fixed=True)


def combined(symbol: Operator, left: Frame, right: Frame) -> Frame:
    """Group by group where tags are the same; one group without tags goes with every other.

    A counting side is 0 where only the other has a value. What is divided by zero is missing.
    """
    groups, rows_left, rows_right = _pairs(left, right)
    first, second = left.values[rows_left], right.values[rows_right]
    if not (left.fixed or right.fixed):
        first, second = _aligned(left, first, second), _aligned(right, second, first)
    with np.errstate(all="ignore"):
        values = _OPERATIONS[symbol](first, second)
    return _joined(left, right, groups, values)


def paired(function: Callable[[Floats, Floats], Floats], left: Frame, right: Frame) -> Frame:
    """`max(a, b)` and the like, group by group as in arithmetic."""
    groups, rows_left, rows_right = _pairs(left, right)
    with np.errstate(all="ignore"):
        values = function(left.values[rows_left], right.values[rows_right])
    return _joined(left, right, groups, values)


def _joined(left: Frame, right: Frame, groups: tuple[Group, ...], values: Floats) -> Frame:
    fixed = left.fixed and right.fixed
    counting = (left.counting or left.fixed) and (right.counting or right.fixed) and not fixed
    return Frame(left.grid, groups, np.where(np.isfinite(values), values, np.nan), counting, fixed)


def _aligned(frame: Frame, mine: Floats, theirs: Floats) -> Floats:
    if not frame.counting:
        return mine
    return np.where(np.isnan(mine) & ~np.isnan(theirs), 0.0, mine)


def _pairs(left: Frame, right: Frame) -> tuple[tuple[Group, ...], list[int], list[int]]:
    if left.groups == right.groups:
        every = list(range(len(left.groups)))
        return left.groups, every, every
    if right.groups == ((),):
        return left.groups, list(range(len(left.groups))), [0] * len(left.groups)
    if left.groups == ((),):
        return right.groups, [0] * len(right.groups), list(range(len(right.groups)))
    return _matched(left, right)


def _matched(left: Frame, right: Frame) -> tuple[tuple[Group, ...], list[int], list[int]]:
    """By the same tags, or where those of one side are among those of the other."""
    by_tags = {frozenset(group): row for row, group in enumerate(right.groups)}
    groups: list[Group] = []
    rows_left: list[int] = []
    rows_right: list[int] = []
    for row, group in enumerate(left.groups):
        same = by_tags.get(frozenset(group))
        others = [same] if same is not None else _nested(group, right.groups)
        for other in others:
            wider = group if len(group) >= len(right.groups[other]) else right.groups[other]
            groups.append(wider)
            rows_left.append(row)
            rows_right.append(other)
    return tuple(groups), rows_left, rows_right


def _nested(group: Group, others: Sequence[Group]) -> list[int]:
    mine = set(group)
    return [row for row, other in enumerate(others) if mine <= set(other) or mine >= set(other)]


def interpolated(values: Floats, interval_s: int, limit_s: int, method: str) -> Floats:
    """Gaps within each row filled up to `limit_s` after the last value before them.

    Linear leans towards the next value, and holds the last one where none follows; `last` holds it
    always; `zero` puts 0. Nothing comes before the first value.
    """
    if method == "null" or limit_s < interval_s or values.size == 0:
        return values
    missing = np.isnan(values)
    if not missing.any():
        return values
    columns = np.arange(values.shape[1])
    before = np.maximum.accumulate(np.where(missing, -1, columns), axis=1)
    reach = (columns - before) * interval_s <= limit_s
    fill = missing & (before >= 0) & reach
    held = np.take_along_axis(values, np.maximum(before, 0), axis=1)
    if method == "zero":
        return np.where(fill, 0.0, values)
    if method == "last":
        return np.where(fill, held, values)
    backwards = np.where(missing, values.shape[1], columns)[:, ::-1]
    after = np.minimum.accumulate(backwards, axis=1)[:, ::-1]
    follows = after < values.shape[1]
    there = np.take_along_axis(values, np.minimum(after, values.shape[1] - 1), axis=1)
    share = (columns - before) / np.maximum(after - before, 1)
    leaning = np.where(follows, held + (there - held) * share, held)
    return np.where(fill, leaning, values)
