"""A metric query over a store: roll up each series over time, then put series together over space.

Counts and rates with `.as_count()` are summed, with `.as_rate()` divided by the bucket besides;
gauges stay as they are under both. Several gauges are interpolated before they are put together.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from pettwin_pipeline.datadog_protocol.frames import MISSING, Frame, Group, interpolated
from pettwin_pipeline.datadog_protocol.rolling import (
    Floats,
    Grid,
    PointStore,
    Rolled,
    StoredSeries,
)
from pettwin_pipeline.datadog_protocol.sketches import Sketch, merged
from pettwin_pipeline.datadog_protocol.syntax import PERCENTILE, MetricQuery, Modifier

INTERPOLATION_S: Final = 300
CALENDAR_S: Final = {"daily": 86400, "weekly": 604800, "monthly": 2592000}
_PERCENT: Final = 100.0


def rollup_interval_s(query: MetricQuery) -> int | None:
    """The length of a bucket that the query asks for, None where it leaves it open."""
    rollup = query.modifier("rollup")
    for argument in rollup.arguments if rollup else ():
        if not isinstance(argument, str):
            return int(argument)
        if argument in CALENDAR_S:
            return CALENDAR_S[argument]
    return None


def select(query: MetricQuery, store: PointStore, over: Grid) -> Frame:
    """Evaluate a metric query: a row for each group, ordered by its tags."""
    series = store.find(query.metric, query.scope)
    sketched = [one for one in series if one.type == "distribution"]
    plain = [one for one in series if one.type != "distribution"]
    if sketched:
        return _sketched(query, store, sketched, over)
    groups = _groups(query.by, plain)
    counting = _counts(query) and any(one.type in {"rate", "count"} for one in plain)
    method, limit_s = _filling(query)
    # a gap at an edge lies between a value inside the window and one outside
    before = -(-limit_s // over.interval_s) if method != "null" else 0
    wide = over.widened(before, before)
    over_time = _over_time(query, plain, store.roll(plain, wide), wide)
    over_time, before = _without_empty_edges(over_time, before)
    inside = slice(before, before + over.buckets)
    values = np.empty((len(groups), over.buckets))
    for row, places in enumerate(groups.values()):
        inner = over_time[places]
        if len(places) > 1 or query.modifier("fill"):
            inner = interpolated(inner, over.interval_s, limit_s, method)
        values[row] = _over_space(query.aggregator or "avg", inner)[inside]
    return Frame(over, tuple(groups), values, counting)


def _without_empty_edges(values: Floats, before: int) -> tuple[Floats, int]:
    """Less what lies outside the window where nothing is: then often no gap is left to be filled.

    Returns:
        the rest, and how many buckets of it lie before the window.
    """
    if not before or not values.size:
        return values, before
    if np.isnan(values[:, -before:]).all():
        values = values[:, :-before]
    if np.isnan(values[:, :before]).all():
        return values[:, before:], 0
    return values, before


def _sketched(
    query: MetricQuery, store: PointStore, series: Sequence[StoredSeries], over: Grid
) -> Frame:
    groups = _groups(query.by, series)
    sketches = store.sketches(series, over)
    values = np.empty((len(groups), over.buckets))
    for row, places in enumerate(groups.values()):
        values[row] = _distribution(query, [sketches[place] for place in places], over)
    return Frame(over, tuple(groups), values, _counts(query))


def _counts(query: MetricQuery) -> bool:
    return bool(query.modifier("as_count") or query.modifier("as_rate"))


def _groups(by: tuple[str, ...], series: Sequence[StoredSeries]) -> dict[Group, list[int]]:
    found: dict[Group, list[int]] = {}
    for place, one in enumerate(series):
        for group in groups_of(by, one.tags):
            found.setdefault(group, []).append(place)
    return dict(sorted(found.items()))


def groups_of(by: tuple[str, ...], tags: Sequence[str]) -> list[Group]:
    """The groups that a series belongs to: one for each combination of values of the keys.

    `*` among the keys makes every series its own group; a key that it lacks is `N/A`.
    """
    if "*" in by:
        return [tuple(tags)]
    groups: list[Group] = [()]
    for key in by:
        begins = f"{key}:"
        values = [tag for tag in tags if tag.startswith(begins)] or [f"{key}:{MISSING}"]
        groups = [(*group, value) for group in groups for value in values]
    return groups


def _filling(query: MetricQuery) -> tuple[str, int]:
    """How gaps are filled before series are put together, and how long after the last value."""
    fill = query.modifier("fill")
    if fill is not None:
        return _asked_filling(fill)
    return ("null", 0) if _counts(query) else ("linear", INTERPOLATION_S)


def _asked_filling(fill: Modifier) -> tuple[str, int]:
    method, *limit = fill.arguments
    if not isinstance(method, str):
        return "linear", int(method)
    return method, int(limit[0]) if limit and not isinstance(limit[0], str) else INTERPOLATION_S


def _over_time(
    query: MetricQuery, members: Sequence[StoredSeries], rolled: Rolled, over: Grid
) -> Floats:
    """[series, bucket]; series of one type and interval in one go."""
    kinds: dict[tuple[str, int], list[int]] = {}
    for row, one in enumerate(members):
        kinds.setdefault((one.type, one.interval_s), []).append(row)
    values = np.empty((len(members), over.buckets))
    for rows in kinds.values():
        some = rolled if len(kinds) == 1 else _picked(rolled, rows)
        values[rows] = _time_aggregated(query, members[rows[0]], some, over)
    return values


def _picked(rolled: Rolled, rows: list[int]) -> Rolled:
    return Rolled(
        rolled.count[rows],
        rolled.total[rows],
        rolled.low[rows],
        rolled.high[rows],
        rolled.last[rows],
    )


def _time_aggregated(
    query: MetricQuery, series: StoredSeries, rolled: Rolled, over: Grid
) -> Floats:
    rollup = query.modifier("rollup")
    asked = rollup.arguments[0] if rollup and isinstance(rollup.arguments[0], str) else None
    if series.type in {"rate", "count"} and _counts(query):
        # the value of a rate is per second: times its interval it is what was counted
        factor = series.interval_s if series.type == "rate" else 1
        if asked in {None, "sum"}:
            amount = rolled.total * factor
            return amount if query.modifier("as_count") else amount / over.interval_s
        scale = factor if query.modifier("as_count") else factor / series.interval_s
        return _aggregates(rolled)[str(asked)]() * scale
    return _aggregates(rolled)[str(asked or "avg")]()


def _aggregates(rolled: Rolled) -> Mapping[str, Callable[[], Floats]]:
    seen = rolled.count > 0
    return {
        "avg": lambda: rolled.total / np.where(seen, rolled.count, np.nan),
        "sum": lambda: rolled.total,
        "min": lambda: rolled.low,
        "max": lambda: rolled.high,
        "last": lambda: rolled.last,
        "count": lambda: np.where(seen, rolled.count, np.nan),
    }


def _over_space(aggregator: str, values: Floats) -> Floats:
    """One row of many; a bucket without any value stays without."""
    if len(values) == 1 and aggregator in {"avg", "sum", "min", "max"}:
        return np.asarray(values[0])
    some = ~np.isnan(values).all(axis=0)
    result = np.full(values.shape[1], np.nan)
    inner = values[:, some]
    if inner.shape[1]:
        result[some] = (
            _SPACE[aggregator](inner) if aggregator in _SPACE else _quantile(aggregator, inner)
        )
    return result


_SPACE: Final[Mapping[str, Callable[[Floats], Floats]]] = {
    "avg": lambda values: np.asarray(np.nanmean(values, axis=0)),
    "sum": lambda values: np.asarray(np.nansum(values, axis=0)),
    "min": lambda values: np.asarray(np.nanmin(values, axis=0)),
    "max": lambda values: np.asarray(np.nanmax(values, axis=0)),
    "stddev": lambda values: np.asarray(np.nanstd(values, axis=0)),
    "count": lambda values: np.asarray((~np.isnan(values)).sum(axis=0), dtype=np.float64),
}


def _quantile(aggregator: str, values: Floats) -> Floats:
    match = PERCENTILE.fullmatch(aggregator)
    share = float(match[1]) / _PERCENT if match else 0.5
    return np.asarray(np.nanquantile(values, share, axis=0))


def _distribution(
    query: MetricQuery, sketches: Sequence[Sequence[Sketch | None]], over: Grid
) -> Floats:
    """Sketches of all members merged bucket by bucket, then asked."""
    values = np.full(over.buckets, np.nan)
    for bucket in range(over.buckets):
        found = [one for row in sketches if (one := row[bucket]) is not None]
        if found:
            values[bucket] = _asked(query, merged(found))
    if query.modifier("as_rate") and query.aggregator in {"count", "sum"}:
        values /= over.interval_s
    fill = query.modifier("fill")
    if fill is not None:
        method, limit_s = _asked_filling(fill)
        values = interpolated(values[np.newaxis], over.interval_s, limit_s, method)[0]
    return values


def _asked(  # noqa: PLR0911 - one an aggregator
    query: MetricQuery, sketch: Sketch
) -> float:
    if query.counted is not None:
        return sketch.count_where(query.counted.comparator, query.counted.value)
    match query.aggregator or "avg":
        case "avg":
            return sketch.average
        case "sum":
            return sketch.total
        case "min":
            return sketch.low
        case "max":
            return sketch.high
        case "count":
            return sketch.count
        case other:
            match = PERCENTILE.fullmatch(other)
            return sketch.quantile(float(match[1]) / _PERCENT) if match else np.nan
