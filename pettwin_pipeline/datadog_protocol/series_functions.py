"""Functions on the values of a frame, each row by itself: [group, bucket] in, the same shape out.

What is missing (NaN) stays missing unless a function is there to fill it. After Datadog's
documentation of functions; where it leaves something open the docstring says what is done here.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from pettwin_pipeline.datadog_protocol.rolling import Floats

Truths: TypeAlias = npt.NDArray[np.bool_]
RowFunction: TypeAlias = Callable[[Floats, int], Floats]
"""Values and the length of a bucket in seconds."""

_MOST_DEPENDENCE: Final = 0.2
_LEAST_POINTS: Final = 3
_EQUAL: Final = 1e-9
_SMOOTHEST: Final = 12
"""autosmooth looks at spans up to a twelfth of the window."""


def _steps(row: Floats, interval_s: int) -> tuple[Floats, Floats]:
    """From each value to the one before it that is there: difference, and seconds between."""
    delta = np.full(len(row), np.nan)
    seconds = np.full(len(row), np.nan)
    there = np.flatnonzero(~np.isnan(row))
    delta[there[1:]] = np.diff(row[there])
    seconds[there[1:]] = np.diff(there) * interval_s
    return delta, seconds


def _by_row(function: Callable[[Floats, int], Floats]) -> RowFunction:
    def every_row(values: Floats, interval_s: int) -> Floats:
        if not len(values):
            return values
        return np.vstack([function(row, interval_s) for row in values])

    return every_row


def _difference(row: Floats, interval_s: int) -> Floats:
    return _steps(row, interval_s)[0]


def _monotonic(row: Floats, interval_s: int) -> Floats:
    """A counter that went down began anew: there is no difference."""
    delta = _difference(row, interval_s)
    return np.where(delta < 0, np.nan, delta)


def _per(unit_s: int) -> RowFunction:
    def rate(row: Floats, interval_s: int) -> Floats:
        delta, seconds = _steps(row, interval_s)
        return np.asarray(delta / seconds * unit_s)

    return _by_row(rate)


def _cumulated(values: Floats, _: int) -> Floats:
    running = np.cumsum(np.nan_to_num(values), axis=1)
    return np.where(np.isnan(values), np.nan, running)


def _integrated(row: Floats, interval_s: int) -> Floats:
    """The documented sum of time difference times value difference."""
    delta, seconds = _steps(row, interval_s)
    running = np.cumsum(np.nan_to_num(delta * seconds))
    return np.where(np.isnan(row), np.nan, running)


def _logarithm(function: Callable[[Floats], Floats]) -> RowFunction:
    def logarithm(values: Floats, _: int) -> Floats:
        with np.errstate(all="ignore"):
            result = function(values)
        return np.where(np.isfinite(result), result, np.nan)

    return logarithm


def _weighted_average(span: int) -> RowFunction:
    """Exponentially weighted over the points that are there; alpha is 2 / (span + 1)."""
    alpha = 2 / (span + 1)

    def average(row: Floats, _: int) -> Floats:
        result = np.full(len(row), np.nan)
        current = np.nan
        for place in np.flatnonzero(~np.isnan(row)):
            known = not np.isnan(current)
            current = alpha * row[place] + (1 - alpha) * current if known else row[place]
            result[place] = current
        return result

    return _by_row(average)


def _rolling(span: int, function: Callable[[Floats], float]) -> RowFunction:
    """Over the last `span` points that are there, fewer at the beginning."""

    def rolled(row: Floats, _: int) -> Floats:
        result = np.full(len(row), np.nan)
        there = np.flatnonzero(~np.isnan(row))
        for count, place in enumerate(there):
            result[place] = function(row[there[max(count - span + 1, 0) : count + 1]])
        return result

    return _by_row(rolled)


def _mean(values: Floats) -> float:
    return float(np.mean(values))


def _median(values: Floats) -> float:
    return float(np.median(values))


def autosmoothed(values: Floats, _: int) -> Floats:
    """A moving average of the widest span that takes away nothing but noise.

    Noise is what does not depend on the point before it. One span for all rows.
    """
    best = 1
    for span in range(2, values.shape[1] // _SMOOTHEST + 1):
        apart = [_dependence(row - _moving_average(row, span)) for row in values]
        if not apart or max(apart) > _MOST_DEPENDENCE:
            break
        best = span
    return np.array([_moving_average(row, best) for row in values]).reshape(values.shape)


def _moving_average(row: Floats, span: int) -> Floats:
    """Around each point, of what is there."""
    kernel = np.ones(span)
    there = ~np.isnan(row)
    total = np.convolve(np.where(there, row, 0.0), kernel, "same")
    count = np.convolve(there.astype(np.float64), kernel, "same")
    return np.where(there, total / np.maximum(count, 1), np.nan)


def _dependence(row: Floats) -> float:
    """Of each value on the one before it, -1 to 1: 1 where nothing varies."""
    there = row[~np.isnan(row)]
    if len(there) < _LEAST_POINTS or np.ptp(there) < _EQUAL:
        return 1.0
    apart = there - np.mean(there)
    return float(np.sum(apart[1:] * apart[:-1]) / np.sum(apart**2))


def defaulted(values: Floats, default: float) -> Floats:
    """What is missing becomes `default`."""
    return np.where(np.isnan(values), default, values)


def cut(values: Floats, keep: Callable[[Floats], Truths]) -> Floats:
    """What is not kept is missing."""
    return np.where(keep(values), values, np.nan)


ROW_FUNCTIONS: Final[Mapping[str, RowFunction]] = {
    "abs": lambda values, _: np.abs(values),
    "round": lambda values, _: np.round(values),
    "log2": _logarithm(np.log2),
    "log10": _logarithm(np.log10),
    "cumsum": _cumulated,
    "integral": _by_row(_integrated),
    "per_second": _per(1),
    "per_minute": _per(60),
    "per_hour": _per(3600),
    "rate": _per(1),
    "derivative": _per(1),
    "diff": _by_row(_difference),
    "monotonic_diff": _by_row(_monotonic),
    "throughput": lambda values, interval_s: np.asarray(values / interval_s),
    "autosmooth": autosmoothed,
    **{f"ewma_{span}": _weighted_average(span) for span in (3, 5, 7, 10, 20)},
    **{f"median_{span}": _rolling(span, _median) for span in (3, 5, 7, 9)},
    **{f"rollingavg_{span}": _rolling(span, _mean) for span in (5, 13, 21, 29)},
}
"""Functions that take one query and look at each row alone."""


def ranked(values: Floats, ranking: str, interval_s: int) -> Floats:
    """One number a row, by which `top` orders; -inf for a row without values."""
    result = np.full(len(values), -np.inf)
    for row, one in enumerate(values):
        there = one[~np.isnan(one)]
        if len(there):
            result[row] = _RANKINGS[ranking](there) * (interval_s if ranking == "area" else 1)
    return result


_RANKINGS: Final[Mapping[str, Callable[[Floats], float]]] = {
    "mean": _mean,
    "avg": _mean,
    "min": lambda values: float(np.min(values)),
    "max": lambda values: float(np.max(values)),
    "sum": lambda values: float(np.sum(values)),
    "last": lambda values: float(values[-1]),
    "l2norm": lambda values: float(np.linalg.norm(values)),
    "area": lambda values: float(np.sum(values)),
}


def reduced(values: Floats, aggregator: str) -> float:
    """One number of all that is there, NaN of nothing. `p95` and the like interpolate."""
    there = values[~np.isnan(values)]
    if not len(there):
        return float(len(there)) if aggregator == "count" else np.nan
    if aggregator in _RANKINGS:
        return _RANKINGS[aggregator](there)
    match aggregator:
        case "count":
            return float(len(there))
        case "median":
            return _median(there)
        case "stddev":
            return float(np.std(there))
        case _:
            return float(np.quantile(there, float(aggregator.removeprefix("p")) / 100))
