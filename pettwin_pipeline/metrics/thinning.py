"""Fewer values that tell the same: how a distribution of a large batch becomes small."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

MOST_VALUES: Final = 512
"""Values of one series that are kept between two drains; more are thinned."""


def thin(
    values: npt.NDArray[np.float64], most: int = MOST_VALUES
) -> list[tuple[int, npt.NDArray[np.float64]]]:
    """At most `most` of the values, as (weight, values): the weights sum up to their number.

    The smallest and the largest value stay, with weight 1. The others are sorted and cut into runs
    of equal length, give or take one, and the middle of each stands for its run: quantiles move by
    less than one run, the count not at all.
    """
    if len(values) <= most:
        return [(1, values)]
    ordered = np.sort(values)
    inner = ordered[1:-1]
    edges = np.arange(most - 1) * len(inner) // (most - 2)
    middles = inner[(edges[:-1] + edges[1:] - 1) // 2]
    lengths = np.diff(edges)
    groups = {int(length): middles[lengths == length] for length in np.unique(lengths)}
    ends = ordered[[0, -1]]
    groups[1] = np.concatenate([groups[1], ends]) if 1 in groups else ends
    return sorted(groups.items())


def rate_of(weight: int) -> float:
    """The sample rate of a weight. The Agent cuts 1/rate to a whole number, so it is not below."""
    rate = 1.0 / weight
    return rate if 1.0 / rate >= weight else math.nextafter(rate, 0.0)
