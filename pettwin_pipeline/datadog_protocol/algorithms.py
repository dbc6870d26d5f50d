"""Anomalies, outliers, forecasts and trends: Datadog's interface, algorithms of our own.

Datadog's are proprietary: the words, the parameters and the documented behaviour are the same, the
numbers are not. Rows are [bucket]; NaN is missing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from pettwin_pipeline.datadog_protocol.rolling import Floats

SEASONS_S: Final = {"hourly": 3600, "daily": 86400, "weekly": 604800}
_MAD_TO_SIGMA: Final = 1.4826
_LEAST_POINTS: Final = 3
_HUBER: Final = 1.345
_ROUNDS: Final = 20
_LEAST_GROUPS: Final = 3
_RECENT: Final = 60
_RESIDUALS: Final = 240
"""So many differences from the season tell how wide a band is."""
_FOLLOWED: Final = 5
_SEGMENT_PENALTY: Final = 3.0


@dataclass(frozen=True, slots=True)
class Band:
    """What was expected of a row, and where it was left."""

    lower: Floats
    upper: Floats

    def outside(self, row: Floats, direction: str) -> Floats:
        """1 where the row is outside the band on that side (above, below, both), else 0."""
        with np.errstate(invalid="ignore"):
            above, below = row > self.upper, row < self.lower
        sides = {"above": above, "below": below}
        wrong = sides.get(direction, above | below)
        return np.where(np.isnan(row) | np.isnan(self.upper), np.nan, wrong.astype(np.float64))


def expected_band(  # noqa: PLR0917 - those of the call, then the grid
    row: Floats,
    algorithm: str,
    bounds: float,
    interval_s: int,
    seasonality: str | None,
    first: int = 0,
) -> Band:
    """A band of `bounds` deviations around what was to be expected at each point from `first` on.

    basic: a rolling median and its deviation, of the 60 points before. agile and robust: the same
    time of the seasons before; robust takes their median, agile follows their level.
    """
    season = SEASONS_S.get(seasonality or "weekly", 0) // interval_s
    if algorithm == "basic" or season < 1 or season >= len(row):
        centre, width = _recent(row, first)
    else:
        centre, width = _seasonal(row, season, first, follows=algorithm != "robust")
    return Band(centre - bounds * width, centre + bounds * width)


def _recent(row: Floats, first: int) -> tuple[Floats, Floats]:
    centre, width = np.full((2, len(row)), np.nan)
    for place in range(first, len(row)):
        past = row[max(place - _RECENT, 0) : place]
        past = past[~np.isnan(past)]
        if len(past) >= _LEAST_POINTS:
            centre[place] = np.median(past)
            width[place] = _deviation(past, centre[place])
    return centre, width


def _seasonal(row: Floats, season: int, first: int, *, follows: bool) -> tuple[Floats, Floats]:
    centre, width = np.full((2, len(row)), np.nan)
    residuals = np.full(len(row), np.nan)
    for place in range(max(season, first - _RESIDUALS), len(row)):
        same = row[place % season : place : season]
        same = same[~np.isnan(same)]
        if not len(same):
            continue
        usual = float(np.median(same))
        past = residuals[max(place - _RESIDUALS, 0) : place]
        past = past[~np.isnan(past)]
        drift = float(np.median(past[-_FOLLOWED:])) if follows and len(past) else 0.0
        centre[place] = usual + drift
        residuals[place] = row[place] - usual
        if len(past) >= _LEAST_POINTS:
            width[place] = _deviation(past, float(np.median(past)))
    return centre, width


def _deviation(values: Floats, centre: float) -> float:
    """Robust, and never 0 where the values differ at all."""
    spread = float(np.median(np.abs(values - centre))) * _MAD_TO_SIGMA
    return spread or float(np.std(values))


def outlying(values: Floats, algorithm: str, tolerance: float, percent: float) -> list[bool]:
    """Which rows of [group, bucket] are unlike the others; none of fewer than three.

    dbscan: a row whose distance to the median row is more than `tolerance` times the median of
    those distances. mad: a row of whose points more than `percent` are further from the median of
    their bucket than `tolerance` deviations. The scaled ones divide out the size of the values.
    """
    if len(values) < _LEAST_GROUPS:
        return [False] * len(values)
    values = values[:, ~np.isnan(values).all(axis=0)]
    if not values.size:
        return [False] * len(values)
    kind = algorithm.lower()
    level = np.nanmedian(values, axis=0)
    if kind.startswith("scaled"):
        scale = np.nanmedian(np.abs(level)) or 1.0
        values, level = values / scale, level / scale
    apart = np.abs(values - level)
    if kind.endswith("mad"):
        deviation = np.nanmedian(apart, axis=0) * _MAD_TO_SIGMA
        with np.errstate(invalid="ignore"):
            beyond = apart > tolerance * np.maximum(deviation, 1e-12)
        return [bool(share * 100 > percent) for share in beyond.mean(axis=1)]
    distance = np.sqrt(np.nansum(apart**2, axis=1))
    usual = float(np.median(distance))
    return [bool(one > tolerance * max(usual, 1e-12)) for one in distance]


def line(row: Floats) -> tuple[float, float]:
    """Slope a bucket and value at the first, by ordinary least squares; NaN of nothing."""
    there = np.flatnonzero(~np.isnan(row))
    if len(there) < 2:  # noqa: PLR2004 - two points make a line
        return 0.0, float(row[there[0]]) if len(there) else np.nan
    slope, start = np.polyfit(there, row[there], 1)
    return float(slope), float(start)


def robust_line(row: Floats) -> tuple[float, float]:
    """The same with Huber's loss: a few wild points do not bend it."""
    there = np.flatnonzero(~np.isnan(row)).astype(np.float64)
    slope, start = line(row)
    if len(there) < _LEAST_POINTS:
        return slope, start
    values = row[there.astype(np.int64)]
    for _ in range(_ROUNDS):
        apart = np.abs(values - (start + slope * there))
        scale = float(np.median(apart)) * _MAD_TO_SIGMA
        if scale == 0:
            break
        weights = np.minimum(1.0, _HUBER / np.maximum(apart / scale, 1e-12))
        slope, start = (float(one) for one in np.polyfit(there, values, 1, w=np.sqrt(weights)))
    return slope, start


def drawn(fit: Callable[[Floats], tuple[float, float]], values: Floats) -> Floats:
    """The line of each row over all its buckets."""
    places = np.arange(values.shape[1])
    lines = [start + slope * places for slope, start in map(fit, values)]
    return np.vstack(lines) if lines else values


def stepped(row: Floats) -> Floats:
    """The row as segments that are constant, cut where it pays more than it costs."""
    result = row.copy()
    there = np.flatnonzero(~np.isnan(row))
    todo = [there] if len(there) else []
    noise = float(np.median(np.abs(np.diff(row[there])))) if len(there) > 1 else 0.0
    penalty = _SEGMENT_PENALTY * max(noise, 1e-12) ** 2 * max(np.log(max(len(there), 2)), 1.0)
    while todo:
        places = todo.pop()
        cut = _best_cut(row[places], penalty)
        if cut is None:
            result[places] = np.mean(row[places])
        else:
            todo += [places[:cut], places[cut:]]
    return result


def _best_cut(values: Floats, penalty: float) -> int | None:
    """Where to cut so that both sides are nearest to their means; None where it does not pay."""
    count = len(values)
    if count < 2:  # noqa: PLR2004 - one value cannot be cut
        return None
    sums, squares = np.cumsum(values), np.cumsum(values**2)
    left = np.arange(1, count)
    errors_left = squares[:-1] - sums[:-1] ** 2 / left
    rest = sums[-1] - sums[:-1]
    errors_right = squares[-1] - squares[:-1] - rest**2 / (count - left)
    gain = squares[-1] - sums[-1] ** 2 / count - (errors_left + errors_right)
    best = int(np.argmax(gain))
    return best + 1 if gain[best] > penalty else None


def forecast(  # noqa: PLR0917 - those of the call, then the grid
    row: Floats,
    algorithm: str,
    deviations: float,
    ahead: int,
    interval_s: int,
    seasonality: str | None = None,
) -> tuple[Floats, Floats, Floats]:
    """So many buckets behind the row: middle, lower, upper.

    linear: the robust line goes on. seasonal: the line goes on and the mean of what the seasons
    were above it is added.
    """
    slope, start = robust_line(row)
    places = np.arange(len(row) + ahead, dtype=np.float64)
    trend: Floats = start + slope * places
    residual = row - trend[: len(row)]
    middle = trend[len(row) :].copy()
    season = SEASONS_S.get(seasonality or "weekly", 0) // interval_s
    if algorithm == "seasonal" and 1 <= season < len(row):
        for place in range(ahead):
            same = residual[(len(row) + place) % season :: season]
            same = same[~np.isnan(same)]
            middle[place] += float(np.mean(same)) if len(same) else 0.0
    there = residual[~np.isnan(residual)]
    width = deviations * (_deviation(there, float(np.median(there))) if len(there) else np.nan)
    lower, upper = np.asarray(middle - width), np.asarray(middle + width)
    return middle, lower, upper
