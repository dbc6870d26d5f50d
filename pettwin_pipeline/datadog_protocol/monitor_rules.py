"""What each kind of monitor may say: windows, aggregators, steps and how often each, as tables.

From the descriptions of Datadog's monitor API. Each check raises `QuerySyntaxError`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pettwin_pipeline.datadog_protocol.functions import FUNCTIONS
from pettwin_pipeline.datadog_protocol.monitor_syntax import MetricAlert, Step, Window, span_s
from pettwin_pipeline.datadog_protocol.syntax import Argument, Call, MetricQuery, Number, Text, walk
from pettwin_pipeline.errors import QuerySyntaxError

TIME_AGGREGATORS: Final = frozenset({"avg", "sum", "min", "max", "percentile", "last"})
_MOST: Final = {"m": 43200, "h": 744, "d": 31, "w": 4, "mo": 1}
"""A metric monitor looks back at most a month."""
_MOST_AHEAD: Final = {"h": 2208, "d": 92, "w": 13, "mo": 3}
_CURRENT: Final = frozenset({"current_1h", "current_1d", "current_1w", "current_1mo"})
_LEAST_AHEAD_S: Final = 3600
_LONGEST_SHIFT_S: Final = 31 * 86400
_INTERVALS_IN_ALERT_WINDOW: Final = 5
_LONGEST_ROWS: Final = 100


def check_aggregator(name: str, at: int) -> None:
    """The time aggregation before the window."""
    if name not in TIME_AGGREGATORS:
        known = ", ".join(sorted(TIME_AGGREGATORS))
        raise QuerySyntaxError(at, f"there is no time aggregator {name}: {known}")


def check_window(text: str, at: int) -> None:
    """`last_5m`, `current_1d`, `next_1w`, none longer than a month (three ahead)."""
    try:
        window = Window(text)
    except ValueError:
        raise QuerySyntaxError(at, f"{text} is no window: last_5m, last_4h, last_1d") from None
    count = window.seconds // (span_s(f"1{window.unit}") or 1)
    match window.kind:
        case "current":
            right = text in _CURRENT
        case "next":
            right = window.seconds >= _LEAST_AHEAD_S and count <= _MOST_AHEAD.get(window.unit, 0)
        case _:
            right = 1 <= count <= _MOST[window.unit]
    if not right:
        raise QuerySyntaxError(at, f"{text} is not a window that monitors have")


def check_shift(text: str, at: int) -> None:
    """The time ago of a change: `last_30m` or `30m_ago`."""
    span = text.removesuffix("_ago") if text.endswith("_ago") else text.removeprefix("last_")
    seconds = span_s(span) if span != text else None
    if not seconds or seconds > _LONGEST_SHIFT_S or span.endswith("s"):
        raise QuerySyntaxError(at, f"{text} is no time ago: last_30m, 1h_ago")


def check_metric_alert(alert: MetricAlert, at: int, window_at: int) -> None:
    """What a metric monitor must not mix: windows ahead without a forecast, and the like."""
    calls = [one for one in walk(alert.expression) if isinstance(one, Call)]
    for call in calls:
        if not FUNCTIONS[call.function].in_monitors:
            raise QuerySyntaxError(call.at, f"{call.function} cannot be used in monitors")
    forecasts = [call for call in calls if call.function == "forecast"]
    if forecasts and alert.window.kind != "next":
        shown = alert.window.text
        raise QuerySyntaxError(window_at, f"a forecast looks ahead: next_1w, not {shown}")
    if alert.window.kind == "next":
        if not forecasts:
            raise QuerySyntaxError(window_at, f"{alert.window.text} is for forecasts alone")
        _check_forecast(alert, at)
    if alert.change is not None and alert.window.kind != "last":
        raise QuerySyntaxError(window_at, "a change looks back: last_5m")
    for call in calls:
        if call.function == "anomalies":
            _check_anomalies(call, alert.window.seconds)
    _check_percentile(alert, at)


def _check_forecast(alert: MetricAlert, at: int) -> None:
    rising = {"max": (">", ">="), "min": ("<", "<=")}
    if alert.aggregator not in rising:
        raise QuerySyntaxError(at, "a forecast is watched with min or max")
    if alert.comparison.comparator not in rising[alert.aggregator]:
        raise QuerySyntaxError(at, "a forecast is watched with max and >=, or min and <=")


def _check_anomalies(call: Call, evaluated_s: int) -> None:
    window = _seconds(call.keyword("alert_window"))
    if window is not None and window > evaluated_s:
        raise QuerySyntaxError(call.at, "alert_window is at most what is evaluated")
    interval = call.keyword("interval")
    if (
        window is not None
        and isinstance(interval, Number)
        and interval.value * _INTERVALS_IN_ALERT_WINDOW > window
    ):
        raise QuerySyntaxError(interval.at, "interval is at most a fifth of alert_window")


def _seconds(value: Argument | None) -> int | None:
    return span_s(value.value.removeprefix("last_")) if isinstance(value, Text) else None


def _check_percentile(alert: MetricAlert, at: int) -> None:
    if alert.aggregator != "percentile":
        return
    queries = [one for one in walk(alert.expression) if isinstance(one, MetricQuery)]
    if not any(query.aggregator and query.aggregator.startswith("p") for query in queries):
        raise QuerySyntaxError(at, "percentile goes with p95: and the like")


@dataclass(frozen=True, slots=True)
class Chain:
    """The steps that may follow, and those that must; each at most once."""

    allowed: frozenset[str]
    required: tuple[frozenset[str], ...]


_SEARCH: Final = frozenset({"rollup", "by", "last", "current", "index"})
_LAST: Final = (frozenset({"last", "current"}),)


def _search(*more: str) -> Chain:
    return Chain(_SEARCH | set(more), _LAST)


_COUNTED: Final = frozenset({"count_by_status", "pct_by_status"})
CHECK_STEPS: Final = Chain(
    frozenset({"over", "exclude", "exclude_over", "by", "last"}) | _COUNTED,
    (frozenset({"last"}), _COUNTED),
)
SLO_STEPS: Final[dict[str, Chain]] = {
    "error_budget": Chain(frozenset({"over"}), (frozenset({"over"}),)),
    "burn_rate": Chain(
        frozenset({"over", "long_window", "short_window"}),
        (frozenset({"over"}), frozenset({"long_window"}), frozenset({"short_window"})),
    ),
}
FORMULA_STEPS: Final = Chain(
    frozenset({"last", "current", "rollup", "change", "anomaly", "forecast", "by"}), _LAST
)
_ERROR_TRACKING: Final = _search("source", "new", "impact")

SEARCHES: Final[dict[str, dict[str, Chain]]] = {
    "metric alert": {"formula": FORMULA_STEPS},
    "query alert": {"formula": FORMULA_STEPS},
    "log alert": {"logs": _search(), "formula": FORMULA_STEPS},
    "event-v2 alert": {"events": _search(), "formula": FORMULA_STEPS},
    "event alert": {"events": _search()},
    "rum alert": {"rum": _search(), "formula": FORMULA_STEPS},
    "trace-analytics alert": {"trace-analytics": _search(), "formula": FORMULA_STEPS},
    "audit alert": {"audits": _search(), "formula": FORMULA_STEPS},
    "ci-pipelines alert": {"ci-pipelines": _search(), "formula": FORMULA_STEPS},
    "ci-tests alert": {"ci-tests": _search(), "formula": FORMULA_STEPS},
    "error-tracking alert": {
        "error-tracking": _ERROR_TRACKING,
        "error-tracking-rum": _ERROR_TRACKING,
        "error-tracking-logs": _ERROR_TRACKING,
        "error-tracking-traces": _ERROR_TRACKING,
        "formula": FORMULA_STEPS,
    },
    "database-monitoring alert": {"database-monitoring": _search(), "formula": FORMULA_STEPS},
    "network-performance alert": {"network-performance": _search(), "formula": FORMULA_STEPS},
    "network-path alert": {"network-path": _search(), "formula": FORMULA_STEPS},
    "llm-observability alert": {"llm-observability": _search(), "formula": FORMULA_STEPS},
    "data-quality alert": {"formula": FORMULA_STEPS},
    "data-jobs alert": {"data-jobs": _search(), "formula": FORMULA_STEPS},
    "cost alert": {"formula": FORMULA_STEPS},
    "process alert": {"processes": _search("over")},
}
"""By type of monitor, what may stand at the head of its query."""

ROLLUPS: Final = frozenset(
    {"count", "cardinality", "avg", "sum", "min", "max", "median", "percentile"}
)
_MEASURED: Final = ROLLUPS - {"count"}
SLO_WINDOWS: Final = ("7d", "30d", "90d")
_LONG_WINDOW_S: Final = (3600, 48 * 3600)
_LONGEST_SEARCH_S: Final = 31 * 86400

Placed = tuple[int, Step]
"""A step with its column."""


def check_steps(kind: str, steps: Sequence[Placed]) -> None:
    """The steps of a service check."""
    _check_chain(kind, CHECK_STEPS, steps)
    if steps[-1][1].name not in _COUNTED:
        raise QuerySyntaxError(steps[-1][0], "a service check ends with .count_by_status()")
    for at, step in steps:
        match step.name:
            case "over" | "exclude" | "exclude_over" | "by":
                if not step.arguments or not all(text.strip() for text in step.texts):
                    raise QuerySyntaxError(at, f'.{step.name}() takes quoted tags, or "*"')
                _texts_only(at, step)
            case "last":
                _check_rows(at, step)
            case _:
                _no_arguments(at, step)


def _check_rows(at: int, step: Step) -> None:
    match step.arguments:
        case (float() as count,) if count.is_integer() and 1 <= count <= _LONGEST_ROWS:
            return
        case _:
            raise QuerySyntaxError(at, f".last() takes a whole number from 1 to {_LONGEST_ROWS}")


def _check_chain(kind: str, chain: Chain, steps: Sequence[Placed]) -> None:
    seen: set[str] = set()
    for at, step in steps:
        if step.name not in chain.allowed:
            raise QuerySyntaxError(at, f"a {kind} has no .{step.name}()")
        if step.name in seen:
            raise QuerySyntaxError(at, f".{step.name}() is given twice")
        seen.add(step.name)
    for needed in chain.required:
        if not needed & seen:
            words = " or ".join(f".{name}()" for name in sorted(needed))
            raise QuerySyntaxError(steps[-1][0], f"a {kind} needs {words}")


def check_search(kind: str, chain: Chain, steps: Sequence[Placed]) -> None:
    """The steps behind `logs("...")`, `events("...")`, `formula("...")` and their like."""
    _check_chain(kind, chain, steps)
    last_at, last_step = steps[-1]
    if chain is not FORMULA_STEPS and last_step.name not in {"last", "current"}:
        raise QuerySyntaxError(last_at, f".last() comes last in a {kind}")
    for at, step in steps:
        if chain is not FORMULA_STEPS:
            _quoted_only(at, step)
        match step.name:
            case "last" | "current":
                _check_span(at, step)
            case "rollup":
                _check_rollup(at, step, measured=chain is not FORMULA_STEPS)
            case "by" | "index" | "over" | "source":
                parts = [part for text in step.texts for part in text.split(",")]
                if not parts or not all(part.strip() for part in parts):
                    raise QuerySyntaxError(at, f".{step.name}() takes a quoted text")
                _texts_only(at, step)
            case "new" | "impact":
                _no_arguments(at, step)
            case _:
                pass


def _quoted_only(at: int, step: Step) -> None:
    if not all(one.quoted for one in step.arguments if isinstance(one, Text)):
        raise QuerySyntaxError(at, f"what .{step.name}() takes stands in quotes")


def _check_span(at: int, step: Step) -> None:
    seconds = span_s(step.texts[0]) if len(step.texts) == 1 == len(step.arguments) else None
    if not seconds or seconds > _LONGEST_SEARCH_S:
        raise QuerySyntaxError(at, f'.{step.name}() takes a span such as "5m"')


def _check_rollup(at: int, step: Step, *, measured: bool) -> None:
    _texts_only(at, step)
    if not step.texts:
        raise QuerySyntaxError(at, '.rollup() takes a method such as "count"')
    method, *measure = step.texts
    if method not in ROLLUPS and not _is_percentile(method):
        raise QuerySyntaxError(at, f".rollup() knows no method {method}")
    if measured and method in _MEASURED and not measure:
        raise QuerySyntaxError(at, f'.rollup("{method}") needs a measure')
    if len(measure) > 1:
        raise QuerySyntaxError(at, ".rollup() takes a method and a measure")


def _is_percentile(method: str) -> bool:
    digits = method.removeprefix("pc").removeprefix("p")
    return digits != method and digits.replace(".", "", 1).isdecimal()


def _texts_only(at: int, step: Step) -> None:
    if step.keywords or len(step.texts) != len(step.arguments):
        raise QuerySyntaxError(at, f".{step.name}() takes quoted texts alone")


def _no_arguments(at: int, step: Step) -> None:
    if step.arguments or step.keywords:
        raise QuerySyntaxError(at, f".{step.name}() takes no arguments")


def check_slo(kind: str, steps: Sequence[Placed]) -> None:
    """Windows of an error budget or a burn rate."""
    _check_chain("slo alert", SLO_STEPS[kind], steps)
    spans: dict[str, int] = {}
    for at, step in steps:
        if len(step.texts) != 1 or len(step.arguments) != 1 or step.keywords:
            raise QuerySyntaxError(at, f".{step.name}() takes one quoted span")
        _quoted_only(at, step)
        (text,) = step.texts
        if step.name == "over":
            if text not in SLO_WINDOWS:
                raise QuerySyntaxError(at, f".over() is one of {', '.join(SLO_WINDOWS)}")
        elif (seconds := span_s(text)) is None:
            raise QuerySyntaxError(at, f"{text} is no span: 1h, 5m")
        else:
            spans[step.name] = seconds
            _check_burn_window(at, step.name, spans)


def _check_burn_window(at: int, name: str, spans: dict[str, int]) -> None:
    shortest, longest = _LONG_WINDOW_S
    if name == "long_window" and not shortest <= spans[name] <= longest:
        raise QuerySyntaxError(at, "the long window is 1h to 48h")
    both = {"long_window", "short_window"} <= spans.keys()
    if spans[name] < 1 or (both and spans["short_window"] >= spans["long_window"]):
        raise QuerySyntaxError(at, "the short window is shorter than the long one")
