"""Which functions there are and what arguments each takes: a table, and the check of a call.

From Datadog's documentation of functions; `default`, `rate`, `round`, `reduce` and `rollup` are met
in the dashboards and monitors that it publishes. What a function computes is not here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pettwin_pipeline.datadog_protocol import monitor_syntax
from pettwin_pipeline.datadog_protocol.syntax import (
    PERCENTILE,
    Argument,
    Call,
    Keys,
    Number,
    Text,
)

AGGREGATORS: Final = frozenset(
    {"avg", "sum", "min", "max", "count", "last", "mean", "median", "stddev", "area", "l2norm"}
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What may stand for an argument: its description for people, and whether a value is one."""

    description: str
    accepts: Callable[[Argument], bool]


@dataclass(frozen=True, slots=True)
class Signature:
    """The arguments of a function, in order; those from `required` on may be left out."""

    parameters: tuple[Kind, ...]
    required: int
    keywords: tuple[tuple[str, Kind], ...] = ()
    in_monitors: bool = True


def _words(*words: str) -> Kind:
    shown = ", ".join(repr(word) for word in words)
    return Kind(
        f"one of {shown}",
        lambda value: isinstance(value, Text) and value.value.lower() in words,
    )


def _number(value: Argument) -> bool:
    return isinstance(value, Number)


def _whole(value: Argument) -> bool:
    return isinstance(value, Number) and value.value.is_integer()


def _span(value: Argument) -> bool:
    return isinstance(value, Text) and bool(monitor_syntax.span_s(value.value))


def _window(value: Argument) -> bool:
    if not isinstance(value, Text):
        return False
    head, _, span = value.value.partition("_")
    return head == "last" and bool(monitor_syntax.span_s(span))


def _calendar_shift(value: Argument) -> bool:
    if not isinstance(value, Text) or not value.value.startswith("-"):
        return False
    return bool(monitor_syntax.span_s(value.value[1:]))


def _aggregator(value: Argument) -> bool:
    return isinstance(value, Text) and (
        value.value in AGGREGATORS or PERCENTILE.fullmatch(value.value) is not None
    )


SERIES: Final = Kind("a query", lambda value: not isinstance(value, Text | Keys))
KEYS: Final = Kind("tag keys such as {host}", lambda value: isinstance(value, Keys))
SERIES_OR_KEYS: Final = Kind("a query, or tag keys", lambda value: not isinstance(value, Text))
QUANTILE: Final = Kind(
    "a percentile such as 'p90'",
    lambda value: isinstance(value, Text) and PERCENTILE.fullmatch(value.value) is not None,
)
NUMBER: Final = Kind("a number", _number)
WHOLE: Final = Kind("a whole number", _whole)
POSITIVE: Final = Kind(
    "a whole number above 0",
    lambda value: isinstance(value, Number) and value.value.is_integer() and value.value > 0,
)
NOT_NEGATIVE: Final = Kind(
    "a number of at least 0", lambda value: isinstance(value, Number) and value.value >= 0
)
TEXT: Final = Kind("a quoted text", lambda value: isinstance(value, Text))
SPAN: Final = Kind("a span such as '60m'", _span)
WINDOW: Final = Kind("a window such as 'last_15m'", _window)
SHIFT: Final = Kind("a shift such as '-1d', '-1w' or '-1mo'", _calendar_shift)
AGGREGATOR: Final = Kind("an aggregator such as 'avg', 'max' or 'p95'", _aggregator)
BOOLEAN: Final = _words("true", "false")
RANKING: Final = _words("mean", "avg", "min", "max", "sum", "last", "l2norm", "area")
SEASONALITY: Final = _words("hourly", "daily", "weekly")


def _plain(*parameters: Kind, required: int | None = None, in_monitors: bool = True) -> Signature:
    return Signature(
        parameters, len(parameters) if required is None else required, in_monitors=in_monitors
    )


def _ranked() -> Iterator[tuple[str, Signature]]:
    """top5, bottom10_max and the like."""
    for side in ("top", "bottom"):
        for count in (5, 10, 15, 20):
            yield f"{side}{count}", _plain(SERIES)
            for ranking in ("mean", "min", "max", "sum", "last", "area", "l2norm"):
                yield f"{side}{count}_{ranking}", _plain(SERIES)


ONE_QUERY: Final = (
    *("abs", "log2", "log10", "cumsum", "integral", "round"),
    *("per_second", "per_minute", "per_hour", "rate", "dt", "diff", "monotonic_diff"),
    *("derivative", "throughput"),
    *("count_nonzero", "count_not_null", "count_nonzero_finite", "exclude_null", "default_zero"),
    *("ewma_3", "ewma_5", "ewma_7", "ewma_10", "ewma_20"),
    *("median_3", "median_5", "median_7", "median_9"),
    *("rollingavg_5", "rollingavg_13", "rollingavg_21", "rollingavg_29"),
    *("hour_before", "day_before", "week_before", "month_before"),
    *("robust_trend", "trend_line", "piecewise_constant"),
)

FUNCTIONS: Final[dict[str, Signature]] = {
    **{name: _plain(SERIES) for name in ONE_QUERY},
    **dict(_ranked()),
    "autosmooth": _plain(SERIES, in_monitors=False),
    "max": _plain(SERIES, SERIES_OR_KEYS),
    "min": _plain(SERIES, SERIES_OR_KEYS),
    **{name: _plain(SERIES, KEYS) for name in ("avg", "sum", "stddev")},
    "percentile": _plain(SERIES, QUANTILE, KEYS),
    "pow": _plain(SERIES, SERIES),
    "default": _plain(SERIES, NUMBER),
    "clamp_min": _plain(SERIES, NUMBER),
    "clamp_max": _plain(SERIES, NUMBER),
    "cutoff_min": _plain(SERIES, NUMBER),
    "cutoff_max": _plain(SERIES, NUMBER),
    "timeshift": _plain(SERIES, WHOLE),
    "calendar_shift": _plain(SERIES, SHIFT, TEXT, TEXT, required=2),
    "moving_rollup": _plain(SERIES, POSITIVE, AGGREGATOR, required=2),
    "rollup": _plain(SERIES, AGGREGATOR, POSITIVE, required=2),
    "reduce": _plain(SERIES, AGGREGATOR),
    "failed_runs": _plain(SERIES),  # of monitors of data jobs
    "top": _plain(SERIES, POSITIVE, RANKING, _words("asc", "desc")),
    "bottom": _plain(SERIES, POSITIVE, RANKING, _words("asc", "desc")),
    "anomalies": Signature(
        (SERIES, _words("basic", "agile", "robust", "adaptive"), NOT_NEGATIVE),
        3,
        (
            ("direction", _words("above", "below", "both")),
            ("alert_window", WINDOW),
            ("interval", POSITIVE),
            ("count_default_zero", BOOLEAN),
            ("seasonality", SEASONALITY),
            ("timezone", TEXT),
        ),
    ),
    "outliers": _plain(
        SERIES,
        _words("dbscan", "mad", "scaleddbscan", "scaledmad"),
        NOT_NEGATIVE,
        NOT_NEGATIVE,
        required=3,
    ),
    "forecast": Signature(
        (SERIES, _words("linear", "seasonal"), NOT_NEGATIVE),
        3,
        (
            ("interval", SPAN),
            ("history", SPAN),
            ("model", _words("default", "simple", "reactive")),
            ("seasonality", SEASONALITY),
            ("timezone", TEXT),
        ),
    ),
}
"""Every function by its name, in lower case as it has to be written."""


def call_problem(call: Call) -> tuple[int, str] | None:
    """The first thing that is wrong with a call: its column and what it is."""
    signature = FUNCTIONS.get(call.function)
    if signature is None:
        return call.at, f"there is no function {call.function}"
    given, most = len(call.arguments), len(signature.parameters)
    if not signature.required <= given <= most:
        many = f"{most}" if signature.required == most else f"{signature.required} to {most}"
        plural = "argument" if most == 1 else "arguments"
        return call.at, f"{call.function} takes {many} {plural}, not {given}"
    for value, kind in zip(call.arguments, signature.parameters, strict=False):
        if not kind.accepts(value):
            return value.at or call.at, f"{call.function} takes {kind.description} here"
    return _keyword_problem(call, dict(signature.keywords))


def _keyword_problem(call: Call, known: dict[str, Kind]) -> tuple[int, str] | None:
    seen: set[str] = set()
    for name, value in call.keywords:
        if name not in known:
            return value.at or call.at, f"{call.function} takes no {name}"
        if name in seen:
            return value.at or call.at, f"{call.function}: {name} is given twice"
        if not known[name].accepts(value):
            return value.at or call.at, f"{call.function}: {name} is {known[name].description}"
        seen.add(name)
    return None
