"""Distributions as DDSketch: any number of values in few bins, quantiles within one percent.

The bins are those of Datadog's own library (`ddsketch`); a sketch here is a frozen value that can
be merged, asked and written as bytes. The order in which values came changes nothing but rounding.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
from ddsketch import LogarithmicMapping

from pettwin_pipeline.datadog_protocol.syntax import Comparator

RELATIVE_ACCURACY: Final = 0.01
_MAPPING: Final = LogarithmicMapping(relative_accuracy=RELATIVE_ACCURACY)
_SMALLEST: Final = 1e-300
"""Closer to zero is zero: the bins have no key for it."""

COMPARE: Final[Mapping[Comparator, Callable[[float, float], bool]]] = {
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
    "==": lambda value, limit: value == limit,
    "!=": lambda value, limit: value != limit,
}


def exact_sum(values: Iterable[float]) -> float:
    """Without rounding in between; infinite where it is too large for a number."""
    several = list(values)
    try:
        return math.fsum(several)
    except (OverflowError, ValueError):
        return sum(several)


class Sketch(msgspec.Struct, frozen=True, array_like=True):
    """What is known of the values of one series and one stretch of time.

    Args:
        count: of values, each weighing 1/rate.
        total: their sum.
        low: the smallest, exactly.
        high: the largest, exactly.
        zeros: the weight of zero.
        positive: weight by bin; `negative` holds those below zero, by the bin of their size.
    """

    count: float
    total: float
    low: float
    high: float
    zeros: float = 0.0
    positive: dict[int, float] = {}
    negative: dict[int, float] = {}

    @property
    def average(self) -> float:
        """The mean of the values, exactly."""
        return self.total / self.count

    def quantile(self, share: float) -> float:
        """The value below which `share` (0 to 1) of the values lie, within one percent."""
        if share <= 0:
            return self.low
        if share >= 1:
            return self.high
        rank = share * (self.count - 1)
        seen = 0.0
        for key in sorted(self.negative, reverse=True):
            seen += self.negative[key]
            if seen > rank:
                return min(max(-_MAPPING.value(key), self.low), self.high)
        seen += self.zeros
        if seen > rank:
            return 0.0
        for key in sorted(self.positive):
            seen += self.positive[key]
            if seen > rank:
                return min(max(_MAPPING.value(key), self.low), self.high)
        return self.high

    def count_where(self, comparator: Comparator, limit: float) -> float:
        """How many values are on that side of `limit`, to within the width of a bin."""
        holds = COMPARE[comparator]
        return sum(weight for value, weight in self.bins() if holds(value, limit))

    def bins(self) -> list[tuple[float, float]]:
        """(value, weight) from the smallest value to the largest."""
        below = [(-_MAPPING.value(key), self.negative[key]) for key in sorted(self.negative)]
        above = [(_MAPPING.value(key), self.positive[key]) for key in sorted(self.positive)]
        return [*reversed(below), *([(0.0, self.zeros)] if self.zeros else []), *above]


class SketchBuilder:
    """Takes values one by one; `build` gives the sketch of all so far."""

    def __init__(self) -> None:
        self._count = self._total = self._zeros = 0.0
        self._low, self._high = math.inf, -math.inf
        self._positive: Counter[int] = Counter()
        self._negative: Counter[int] = Counter()

    def add(self, value: float, weight: float = 1.0) -> None:
        """A finite value that stands for `weight` values."""
        self._count += weight
        self._total += value * weight
        self._low = min(self._low, value)
        self._high = max(self._high, value)
        if value > _SMALLEST:
            self._positive[_MAPPING.key(value)] += weight  # type: ignore[assignment]
        elif value < -_SMALLEST:
            self._negative[_MAPPING.key(-value)] += weight  # type: ignore[assignment]
        else:
            self._zeros += weight

    def build(self) -> Sketch:
        """The sketch, or an error where nothing was added."""
        return Sketch(
            self._count,
            self._total,
            self._low,
            self._high,
            self._zeros,
            dict(self._positive),
            dict(self._negative),
        )


def merged(sketches: Iterable[Sketch]) -> Sketch:
    """One sketch of the values of all; at least one is given."""
    several = list(sketches)
    if len(several) == 1:
        return several[0]
    positive: dict[int, float] = {}
    negative: dict[int, float] = {}
    for one in several:
        for mine, theirs in ((positive, one.positive), (negative, one.negative)):
            for key, weight in theirs.items():
                mine[key] = mine.get(key, 0.0) + weight
    return Sketch(
        exact_sum(one.count for one in several),
        exact_sum(one.total for one in several),
        min(one.low for one in several),
        max(one.high for one in several),
        exact_sum(one.zeros for one in several),
        positive,
        negative,
    )


def encode_sketch(sketch: Sketch) -> bytes:
    """For a store: a few bytes a bin."""
    return msgspec.msgpack.encode(sketch)


def decode_sketch(encoded: bytes) -> Sketch:
    """The way back; msgspec.DecodeError where it is none."""
    return msgspec.msgpack.decode(encoded, type=Sketch)
