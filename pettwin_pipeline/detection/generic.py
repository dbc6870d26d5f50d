"""Series that are not vitals: how rare a value is, by a tail that is fitted to its own series.

The level is the mean of all values before. How far the value, and the median of the last three
values, lie above and below it are four tails: of each the 17 largest are kept, and a generalised
Pareto tail through them says how rare a new one is. The score is -log10 of that share: 3 is one
value in a thousand. After a flag a series is silent for a while. Nothing after a value changes its
score, nor how a series is cut into batches. Pure.
"""

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FLAG_AT: Final = 3.0
"""Score from which a value is flagged: as rare as one in a thousand."""
SILENT: Final = 100
"""Values after a flag that are not flagged."""
KEPT: Final = 17
"""Largest deviations that are remembered."""
TAIL_SHARE: Final = 0.005
FEWEST, MOST = 5, KEPT - 1
"""Of them the tail is fitted to this share of the values seen, within these numbers."""
SHAPED_FROM: Final = 10
"""Excesses from which on the tail has a shape of its own; fewer make an exponential one."""
HEAVIEST: Final = 0.5  # shape of the tail
WARM: Final = 50
"""Values before the first that can be flagged."""
FLOOR: Final = 0.03
"""Of the begin of the tail, the least spread of what lies beyond: a series may move in steps."""
HIGHEST: Final = 100.0
"""Score that stands for everything rarer."""
BLOCK: Final = 512  # values that are looked through together
UNFLAGGED: Final = math.nextafter(FLAG_AT, 0.0)


@dataclass(slots=True)
class GenericState:
    """What is remembered of a series.

    Attributes:
        count: values seen.
        total: their sum.
        recent: the last two of them.
        largest: largest deviations so far, ascending: of the values above the level and below,
            of the medians of three above and below.
        silent: values that are still not to be flagged.
    """

    count: int = 0
    total: float = 0.0
    recent: tuple[float, ...] = ()
    largest: tuple[list[float], ...] = field(default_factory=lambda: ([], [], [], []))
    silent: int = 0


def score_series(values: FloatArray, state: GenericState) -> tuple[FloatArray, BoolArray]:
    """Score the values that follow those that `state` has seen; it is moved on in place.

    Args:
        values: in the order of time, shape (n,). What is not finite is passed over: score 0.
        state: of this series.

    Returns:
        Scores (flagged ones are FLAG_AT or more, all others below), and which are flagged.
    """
    score, flagged = np.zeros(len(values)), np.zeros(len(values), np.bool_)
    usable = np.flatnonzero(np.isfinite(values) & (np.abs(values) < 1e150))  # noqa: PLR2004 - sums stay finite
    if not len(usable):
        return score, flagged
    x = values[usable].astype(np.float64)
    totals = np.cumsum(np.concatenate([[state.total], x]))
    counts = state.count + np.arange(len(x))
    level = np.where(counts > 0, totals[:-1] / np.maximum(counts, 1), x)
    three = np.concatenate([state.recent, x])
    medians = x.copy()
    have = len(three) - 2
    if have > 0:
        medians[-have:] = np.median(np.stack([three[:-2], three[1:-1], three[2:]]), axis=0)
    away = [side for values in (x, medians) for side in (values - level, level - values)]
    found = np.zeros(len(x))
    for tail, top in zip(away, state.largest, strict=True):
        found = np.maximum(found, _rarity(np.maximum(tail, 0.0), counts, top))
    up, state.silent = _flag(found, state.silent)
    score[usable] = np.where(up, found, np.minimum(found, UNFLAGGED))
    flagged[usable] = up
    state.count += len(x)
    state.total = float(totals[-1])
    state.recent = tuple(three[-2:].tolist())
    return score, flagged


def _rarity(deviations: FloatArray, counts: npt.NDArray[np.int64], top: list[float]) -> FloatArray:
    """-log10 of the share of values that deviate so far; `top` is moved on in place."""
    rarity = np.zeros(len(deviations))
    bars = np.full(len(deviations), top[0] if len(top) == KEPT else np.inf)
    for begin in range(0, len(deviations), BLOCK):
        part = deviations[begin : begin + BLOCK]
        above = np.flatnonzero(part > (top[0] if len(top) == KEPT else -1.0)) + begin
        for row, one in zip(above.tolist(), deviations[above].tolist(), strict=True):
            if len(top) == KEPT and one <= top[0]:
                continue
            rarity[row] = _tail(one, int(counts[row]), top)
            insort(top, one)
            if len(top) > KEPT:
                del top[0]
            if len(top) == KEPT:
                bars[row + 1 : begin + BLOCK] = top[0]
        if len(top) == KEPT:
            bars[begin + BLOCK : begin + 2 * BLOCK] = top[0]
    # how far up the ordinary values lie: never as rare as a flag
    usual = np.minimum(-np.log10(np.minimum(MOST / np.maximum(counts, 1), 1.0)), UNFLAGGED)
    ordinary = (deviations <= bars) & (bars > 0) & np.isfinite(bars)
    rarity[ordinary] = (usual * deviations / np.where(bars > 0, bars, 1.0))[ordinary]
    return np.minimum(rarity, HIGHEST)


def _tail(deviation: float, count: int, top: Sequence[float]) -> float:
    """-log10 of the share beyond a deviation, by the largest deviations before it, ascending."""
    number = min(max(int(TAIL_SHARE * count), FEWEST), MOST)
    if count < WARM or len(top) <= number:
        return 0.0
    start = top[-number - 1]
    share = number / count
    beyond = deviation - start
    if beyond <= 0:
        return -math.log10(share) * deviation / start if start > 0 else 0.0
    excesses = [one - start for one in top[-number:]]
    mean = sum(excesses) / number
    shape = 0.0
    if number >= SHAPED_FROM and mean > 0:
        spread = sum((one - mean) ** 2 for one in excesses) / (number - 1)
        if spread > 0:
            shape = min(max(0.5 * (1 - mean * mean / spread), 0.0), HEAVIEST)
    scale = max(mean * (1 - shape), FLOOR * start, 1e-300)
    if shape > 1e-6:  # noqa: PLR2004 - exponential
        rare = math.log1p(shape * min(beyond / scale, 1e12)) / shape
    else:
        rare = beyond / scale
    return min(rare / math.log(10) - math.log10(share), HIGHEST)


def _flag(rarity: FloatArray, silent: int) -> tuple[BoolArray, int]:
    """Which values are flagged, with silence after each, and the silence that is left."""
    up = np.zeros(len(rarity), np.bool_)
    free_from = silent
    for row in np.flatnonzero(rarity >= FLAG_AT).tolist():
        if row >= free_from:
            up[row] = True
            free_from = row + SILENT + 1
    return up, max(free_from - len(rarity), 0)
