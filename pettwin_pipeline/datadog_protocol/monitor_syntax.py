"""The query of a monitor as values, one class a kind.

`Watch` is what is compared with the threshold. Knows no options, no states: those are in
`monitor_states`.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pettwin_pipeline.datadog_protocol.syntax import Comparator, Expression, Text

UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "mo": 2592000}
_WINDOW: Final = re.compile(r"(last|current|next)_(\d{1,6})(m|h|d|w|mo)")
_SPAN: Final = re.compile(r"(\d{1,6})(s|m|h|d|w|mo)")


def span_s(text: str) -> int | None:
    """Seconds of `5m`, `4h`, `1d`; None where it is no span. A month has 30 days."""
    match = _SPAN.fullmatch(text)
    return int(match[1]) * UNIT_S[match[2]] if match else None


@dataclass(frozen=True, slots=True)
class Window:
    """`last_5m`, `current_1d`, `next_1w`."""

    text: str

    def __post_init__(self) -> None:
        if _WINDOW.fullmatch(self.text) is None:
            raise ValueError(f"not a window: {self.text}")

    @property
    def kind(self) -> Literal["last", "current", "next"]:
        """Whether it ends now, began with the hour, day or month, or begins now."""
        kind, _, _ = self.text.partition("_")
        return "last" if kind == "last" else "current" if kind == "current" else "next"

    @property
    def unit(self) -> str:
        """m, h, d, w or mo."""
        return self.text.partition("_")[2].lstrip("0123456789")

    @property
    def seconds(self) -> int:
        """Its length; a month has 30 days."""
        return span_s(self.text.partition("_")[2]) or 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """`> 120`; value None is the word `threshold`, a dynamic one that the options hold."""

    comparator: Comparator
    value: float | None

    def holds(  # noqa: PLR0911 - one a comparator
        self, value: float, threshold: float | None = None
    ) -> bool:
        """Whether `value` is on the side of alarm; of `threshold` where one is given."""
        limit = self.value if threshold is None else threshold
        if limit is None:
            return False
        match self.comparator:
            case "<":
                return value < limit
            case "<=":
                return value <= limit
            case ">":
                return value > limit
            case ">=":
                return value >= limit
            case "==":
                return value == limit
            case "!=":
                return value != limit


@dataclass(frozen=True, slots=True)
class Change:
    """`change` or `pct_change` against a time ago: `last_1h` or `1h_ago`."""

    kind: Literal["change", "pct_change"]
    shift: str

    @property
    def shift_s(self) -> int:
        """How long ago."""
        return span_s(self.shift.removeprefix("last_").removesuffix("_ago")) or 0


@dataclass(frozen=True, slots=True)
class MetricAlert:
    """`avg(last_5m):expression > 1`; anomalies and forecasts are calls in the expression."""

    aggregator: str
    window: Window
    expression: Expression
    comparison: Comparison
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """`.rollup("count")`: a word and its arguments, keywords behind them."""

    name: str
    arguments: tuple[Text | float, ...] = ()
    keywords: tuple[tuple[str, str | float], ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """Its quoted arguments."""
        return tuple(one.value for one in self.arguments if isinstance(one, Text))


@dataclass(frozen=True, slots=True)
class CheckAlert:
    """`"check".over("tag").by("host").last(2).count_by_status()`."""

    check: str
    steps: tuple[Step, ...]

    def texts(self, name: str) -> tuple[str, ...]:
        """The arguments of over, exclude or by; nothing where it is left out."""
        return next((step.texts for step in self.steps if step.name == name), ())

    @property
    def last(self) -> int:
        """How many of the latest runs are looked at."""
        return next(
            int(step.arguments[0])
            for step in self.steps
            if step.name == "last" and isinstance(step.arguments[0], float)
        )


@dataclass(frozen=True, slots=True)
class SearchAlert:
    """`logs("query").index("*").rollup("count").by("host").last("5m") > 2`, events and others."""

    source: str
    query: str
    steps: tuple[Step, ...]
    comparison: Comparison

    def step(self, name: str) -> Step | None:
        """The step of this name."""
        return next((step for step in self.steps if step.name == name), None)

    @property
    def window_s(self) -> int:
        """Length of `last` or `current`."""
        step = self.step("last") or self.step("current")
        return (span_s(step.texts[0]) or 0) if step else 0

    @property
    def by(self) -> tuple[str, ...]:
        """The facets of the group-by."""
        step = self.step("by")
        return tuple(key.strip() for text in step.texts for key in text.split(",")) if step else ()


@dataclass(frozen=True, slots=True)
class FormulaAlert:
    """`formula("query1 / query2 * 100").last("15m") > 10`: the queries are in options.variables."""

    formula: Expression
    steps: tuple[Step, ...]
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class SloAlert:
    """`error_budget("id").over("30d") > 75`; burn_rate has `long_window` and `short_window` too."""

    kind: Literal["error_budget", "burn_rate"]
    slo_id: str
    over: str
    comparison: Comparison
    long_window: str | None = None
    short_window: str | None = None


@dataclass(frozen=True, slots=True)
class Monitor:
    """Another monitor by its id."""

    monitor_id: int


@dataclass(frozen=True, slots=True)
class Unless:
    """`!a`."""

    part: "Combination"


@dataclass(frozen=True, slots=True)
class AllOf:
    """`a && b`."""

    parts: "tuple[Combination, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """`a || b`."""

    parts: "tuple[Combination, ...]"


Combination: TypeAlias = Monitor | Unless | AllOf | AnyOf


@dataclass(frozen=True, slots=True)
class Composite:
    """`123 && !456`."""

    combination: Combination

    @property
    def monitor_ids(self) -> tuple[int, ...]:
        """The monitors that it names, in order, each once."""
        return tuple(dict.fromkeys(_monitors(self.combination)))


def _monitors(part: Combination) -> list[int]:
    match part:
        case Monitor(monitor_id=monitor_id):
            return [monitor_id]
        case Unless(part=below):
            return _monitors(below)
        case AllOf(parts=parts) | AnyOf(parts=parts):
            return [found for one in parts for found in _monitors(one)]


@dataclass(frozen=True, slots=True)
class NoQuery:
    """A monitor whose query is only a mark, as those of synthetic tests are."""

    text: str


MonitorQuery: TypeAlias = (
    MetricAlert | CheckAlert | SearchAlert | FormulaAlert | SloAlert | Composite | NoQuery
)
