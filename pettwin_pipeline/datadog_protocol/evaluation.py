"""An expression over a store and a window: selection, arithmetic, functions. A frame comes out.

One expression has one grid: the longest roll-up that it asks for, else the default of the window.
`anomalies` and `outliers` give the series themselves, `forecast` too: what they found is asked with
`anomaly_bands`, `outlying_groups` and `forecasts`.
"""

import calendar
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Final, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from pettwin_pipeline.datadog_protocol import algorithms
from pettwin_pipeline.datadog_protocol.frames import (
    MISSING,
    Frame,
    combined,
    constant,
    interpolated,
    paired,
)
from pettwin_pipeline.datadog_protocol.monitor_syntax import span_s
from pettwin_pipeline.datadog_protocol.rolling import Floats, Grid, PointStore, grid
from pettwin_pipeline.datadog_protocol.selection import INTERPOLATION_S, rollup_interval_s, select
from pettwin_pipeline.datadog_protocol.series_functions import (
    ROW_FUNCTIONS,
    Truths,
    cut,
    defaulted,
    ranked,
    reduced,
)
from pettwin_pipeline.datadog_protocol.syntax import (
    Argument,
    Binary,
    Call,
    Expression,
    Keys,
    MetricQuery,
    Named,
    Negated,
    Number,
    Text,
    metric_queries,
    walk,
)
from pettwin_pipeline.errors import QuerySyntaxError

_SHIFTS_S: Final = {
    "hour_before": 3600,
    "day_before": 86400,
    "week_before": 604800,
    "month_before": 28 * 86400,
}
_SEASONS_BACK: Final = 3
_BASIC_BACK: Final = 60


@dataclass(frozen=True, slots=True)
class Asked:
    """Where points come from, for which buckets, and what names of a formula stand for."""

    store: PointStore
    over: Grid
    names: Mapping[str, Expression | Frame] = field(default_factory=dict)

    def at(self, over: Grid) -> "Asked":
        """The same for other buckets."""
        return replace(self, over=over)


def grid_of(
    expressions: Iterable[Expression],
    from_s: float,
    to_s: float,
    interval_s: int | None = None,
) -> Grid:
    """The buckets of a window: the longest roll-up asked for, `interval_s`, or the default."""
    asked = [
        found
        for expression in expressions
        for query in metric_queries(expression)
        if (found := rollup_interval_s(query)) is not None
    ]
    return grid(from_s, to_s, max(asked) if asked else interval_s)


def evaluate(expression: Expression, asked: Asked) -> Frame:
    """The value of an expression.

    Raises:
        QuerySyntaxError: a name of a formula stands for nothing.
    """
    match expression:
        case MetricQuery():
            return select(expression, asked.store, asked.over)
        case Number(value=value):
            return constant(value, asked.over)
        case Named(name=name, at=at):
            if name not in asked.names:
                raise QuerySyntaxError(at, f"there is no query {name}")
            meant = asked.names[name]
            return meant if isinstance(meant, Frame) else evaluate(meant, replace(asked, names={}))
        case Binary(operator=operator, left=left, right=right):
            return combined(operator, evaluate(left, asked), evaluate(right, asked))
        case Negated(operand=operand):
            frame = evaluate(operand, asked)
            return frame.mapped(-frame.values)
        case Call():
            return _call(expression, asked)


def _call(call: Call, asked: Asked) -> Frame:
    name = call.function
    inner = cast("Expression", call.arguments[0])
    if name in _SHIFTS_S:
        return _shifted(inner, asked, -_SHIFTS_S[name])
    if name in _WINDOWED:
        return _WINDOWED[name](call, asked)
    frame = evaluate(inner, asked)
    if name in ROW_FUNCTIONS:
        return frame.mapped(ROW_FUNCTIONS[name](frame.values, asked.over.interval_s))
    if name.startswith(("top", "bottom")):
        return _top(call, frame)
    if name in _FRAME_FUNCTIONS:
        return _FRAME_FUNCTIONS[name](call, frame)
    return _paired(call, frame, asked)


def _paired(call: Call, frame: Frame, asked: Asked) -> Frame:
    """max, min and pow of two queries; avg, sum, max, min, stddev and percentile over groups."""
    other = call.arguments[-1]
    if isinstance(other, Keys):
        quantile = _text(call, 1) if call.function == "percentile" else call.function
        return _regrouped(frame, other.keys, quantile)
    functions: dict[str, Callable[[Floats, Floats], Floats]] = {
        "max": np.fmax,
        "min": np.fmin,
        "pow": np.power,
    }
    return paired(functions[call.function], frame, evaluate(cast("Expression", other), asked))


def _number(call: Call, place: int) -> float:
    value = call.arguments[place]
    return value.value if isinstance(value, Number) else 0.0


def _text(call: Call, place: int, default: str = "") -> str:
    value = call.arguments[place] if place < len(call.arguments) else None
    return value.value if isinstance(value, Text) else default


def _shifted(inner: Expression, asked: Asked, by_s: int) -> Frame:
    """What was so many seconds before, at the times of now."""
    return replace(evaluate(inner, asked.at(asked.over.shifted(by_s))), grid=asked.over)


def _timeshift(call: Call, asked: Asked) -> Frame:
    return _shifted(cast("Expression", call.arguments[0]), asked, int(_number(call, 1)))


def _calendar_shift(call: Call, asked: Asked) -> Frame:
    span = _text(call, 1).removeprefix("-")
    by_s = span_s(span) or 0
    if span.endswith("mo"):
        by_s = _months_s(asked.over.end_s, int(span.removesuffix("mo")), _text(call, 2, "UTC"))
    return _shifted(cast("Expression", call.arguments[0]), asked, -by_s)


def _months_s(until_s: int, months: int, zone: str) -> int:
    """How long so many months were, back from a time: by the calendar of the zone."""
    try:
        place: tzinfo = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        place = UTC
    now = datetime.fromtimestamp(until_s, place)
    index = now.year * 12 + now.month - 1 - months
    year, month = index // 12, index % 12 + 1
    day = min(now.day, calendar.monthrange(year, month)[1])
    return until_s - int(now.replace(year=year, month=month, day=day).timestamp())


def _moving_rollup(call: Call, asked: Asked) -> Frame:
    """Each bucket with those of so many seconds before it."""
    span = max(int(_number(call, 1)) // asked.over.interval_s, 1)
    wide = evaluate(cast("Expression", call.arguments[0]), asked.at(asked.over.widened(span - 1)))
    aggregator = _text(call, 2, "avg")
    values = np.full((len(wide.groups), asked.over.buckets), np.nan)
    for row, bucket in np.ndindex(*values.shape):
        values[row, bucket] = reduced(wide.values[row, bucket : bucket + span], aggregator)
    return replace(wide, grid=asked.over, values=values)


def _default_zero(call: Call, asked: Asked) -> Frame:
    """A gap of a gauge is first held for five minutes, then zero; counts are zero at once."""
    before = -(-INTERPOLATION_S // asked.over.interval_s)
    wide = evaluate(cast("Expression", call.arguments[0]), asked.at(asked.over.widened(before)))
    values = wide.values
    if not wide.counting:
        values = interpolated(values, asked.over.interval_s, INTERPOLATION_S, "linear")
    kept = defaulted(values[:, before:], 0.0)
    groups = wide.groups
    if not groups:
        groups, kept = ((),), np.zeros((1, asked.over.buckets))
    return Frame(asked.over, groups, kept, wide.counting)


_WINDOWED: Final[Mapping[str, Callable[[Call, Asked], Frame]]] = {
    "timeshift": _timeshift,
    "calendar_shift": _calendar_shift,
    "moving_rollup": _moving_rollup,
    "default_zero": _default_zero,
}


def _counted(keep: Callable[[Floats], Truths]) -> Callable[[Call, Frame], Frame]:
    """How many groups have such a value at each time, as one series."""

    def count(_: Call, frame: Frame) -> Frame:
        return Frame(frame.grid, ((),), keep(frame.values).sum(axis=0, dtype=float)[np.newaxis])

    return count


def _exclude_null(_: Call, frame: Frame) -> Frame:
    kept = [
        row
        for row, group in enumerate(frame.groups)
        if not any(tag.endswith(f":{MISSING}") for tag in group)
    ]
    return frame.picked(kept)


def _dt(_: Call, frame: Frame) -> Frame:
    """Seconds since the time before that had a value in any group."""
    seconds = np.full(frame.grid.buckets, np.nan)
    there = (
        np.flatnonzero(~np.isnan(frame.values).all(axis=0)) if frame.groups else np.empty(0, int)
    )
    seconds[there[1:]] = np.diff(there) * frame.grid.interval_s
    return Frame(frame.grid, ((),), seconds[np.newaxis])


def _rollup(call: Call, frame: Frame) -> Frame:
    """Coarser buckets, each at the time where it begins."""
    aggregator = _text(call, 1)
    length = int(_number(call, 2)) if len(call.arguments) > 2 else frame.grid.interval_s  # noqa: PLR2004
    places = frame.grid.times_s // max(length, frame.grid.interval_s)
    values = np.full_like(frame.values, np.nan)
    starts = np.flatnonzero(np.diff(places, prepend=places[:1] - 1))
    for row, one in enumerate(frame.values):
        for start, part in zip(starts, np.split(one, starts[1:]), strict=True):
            values[row, start] = reduced(part, aggregator)
    return frame.mapped(values)


def _reduce(call: Call, frame: Frame) -> Frame:
    """One number a group, at every time."""
    aggregator = _text(call, 1)
    values = np.array([reduced(row, aggregator) for row in frame.values])
    return frame.mapped(np.repeat(values[:, np.newaxis], frame.grid.buckets, axis=1))


def _regrouped(frame: Frame, keys: tuple[str, ...], aggregator: str) -> Frame:
    """Groups put together that have the same values of `keys`; `*` keeps none of them apart."""
    kept = () if "*" in keys else keys
    places: dict[tuple[str, ...], list[int]] = {}
    for row, group in enumerate(frame.groups):
        left = tuple(tag for key in kept for tag in group if tag.startswith(f"{key}:"))
        places.setdefault(left, []).append(row)
    values = np.full((len(places), frame.grid.buckets), np.nan)
    for row, rows in enumerate(places.values()):
        for bucket in range(frame.grid.buckets):
            values[row, bucket] = reduced(frame.values[rows, bucket], aggregator)
    return replace(frame, groups=tuple(places), values=values)


def _top(call: Call, frame: Frame) -> Frame:
    """The groups that rank first, best first. `asc` of top is the lowest first."""
    name, _, ranking = call.function.partition("_")
    if len(call.arguments) > 1:
        count, ranking = int(_number(call, 1)), _text(call, 2)
        lowest = (_text(call, 3) == "asc") != (name == "bottom")
    else:
        count, lowest = int(name.lstrip("topbm")), name.startswith("bottom")
    ranks = ranked(frame.values, (ranking or "mean").lower(), frame.grid.interval_s)
    there = np.flatnonzero(np.isfinite(ranks))
    order = there[np.argsort(ranks[there] if lowest else -ranks[there], kind="stable")]
    return frame.picked([int(row) for row in order[:count]])


_FRAME_FUNCTIONS: Final[Mapping[str, Callable[[Call, Frame], Frame]]] = {
    "exclude_null": _exclude_null,
    "count_nonzero": _counted(lambda values: ~np.isnan(values) & (values != 0)),
    "count_nonzero_finite": _counted(lambda values: np.isfinite(values) & (values != 0)),
    "count_not_null": _counted(lambda values: ~np.isnan(values)),
    "dt": _dt,
    "rollup": _rollup,
    "reduce": _reduce,
    "default": lambda call, frame: frame.mapped(defaulted(frame.values, _number(call, 1))),
    "clamp_min": lambda call, frame: frame.mapped(np.maximum(frame.values, _number(call, 1))),
    "clamp_max": lambda call, frame: frame.mapped(np.minimum(frame.values, _number(call, 1))),
    "cutoff_min": lambda call, frame: frame.mapped(
        cut(frame.values, lambda values: values >= _number(call, 1))
    ),
    "cutoff_max": lambda call, frame: frame.mapped(
        cut(frame.values, lambda values: values <= _number(call, 1))
    ),
    "trend_line": lambda _, frame: frame.mapped(algorithms.drawn(algorithms.line, frame.values)),
    "robust_trend": lambda _, frame: frame.mapped(
        algorithms.drawn(algorithms.robust_line, frame.values)
    ),
    "piecewise_constant": lambda _, frame: frame.mapped(
        np.array([algorithms.stepped(row) for row in frame.values]).reshape(frame.values.shape)
    ),
    "failed_runs": lambda _, frame: frame,
    "anomalies": lambda _, frame: frame,
    "outliers": lambda _, frame: frame,
    "forecast": lambda _, frame: frame,
}


def found_call(expression: Expression, function: str) -> Call | None:
    """The outermost call of this function in an expression."""
    return next(
        (one for one in walk(expression) if isinstance(one, Call) and one.function == function),
        None,
    )


def _keyword(call: Call, name: str, default: str) -> str:
    value: Argument | None = call.keyword(name)
    return value.value if isinstance(value, Text) else default


def anomaly_bands(call: Call, asked: Asked) -> tuple[Frame, list[algorithms.Band]]:
    """The series of `anomalies(...)` and what was expected of each, learnt from before."""
    algorithm, bounds = _text(call, 1).lower(), _number(call, 2)
    season = _keyword(call, "seasonality", "weekly")
    before = _BASIC_BACK
    if algorithm != "basic":
        before = _SEASONS_BACK * algorithms.SEASONS_S[season] // asked.over.interval_s
    wide = evaluate(cast("Expression", call.arguments[0]), asked.at(asked.over.widened(before)))
    values = wide.values
    if wide.counting and _keyword(call, "count_default_zero", "true") == "true":
        values = defaulted(values, 0.0)
    bands = [
        algorithms.expected_band(row, algorithm, bounds, asked.over.interval_s, season, before)
        for row in values
    ]
    cropped = [algorithms.Band(one.lower[before:], one.upper[before:]) for one in bands]
    return replace(wide, grid=asked.over, values=values[:, before:]), cropped


def outlying_groups(call: Call, asked: Asked) -> tuple[Frame, list[bool]]:
    """The series of `outliers(...)` and which of them are unlike the others."""
    frame = evaluate(cast("Expression", call.arguments[0]), asked)
    percent = _number(call, 3) if len(call.arguments) > 3 else 20.0  # noqa: PLR2004
    return frame, algorithms.outlying(frame.values, _text(call, 1), _number(call, 2), percent)


def forecasts(
    call: Call, asked: Asked, ahead: int
) -> tuple[Frame, list[tuple[Floats, Floats, Floats]]]:
    """The series of `forecast(...)` and, for each, middle, lower and upper of what follows."""
    frame = evaluate(cast("Expression", call.arguments[0]), asked)
    season = _keyword(call, "seasonality", "weekly")
    found = [
        algorithms.forecast(
            row, _text(call, 1).lower(), _number(call, 2), ahead, asked.over.interval_s, season
        )
        for row in frame.values
    ]
    return frame, found
