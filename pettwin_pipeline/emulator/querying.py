"""Queries of text to frames: read, put together with formulas, evaluated over the store.

Knows no HTTP; what is wrong with a query is a `Refusal` in Datadog's words.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from pettwin_pipeline.datadog_protocol import parsing
from pettwin_pipeline.datadog_protocol.evaluation import Asked, evaluate
from pettwin_pipeline.datadog_protocol.frames import Frame
from pettwin_pipeline.datadog_protocol.rolling import Grid
from pettwin_pipeline.datadog_protocol.series_functions import ranked, reduced
from pettwin_pipeline.datadog_protocol.syntax import (
    PERCENTILE,
    Expression,
    MetricQuery,
    metric_queries,
)
from pettwin_pipeline.emulator.buckets import settle
from pettwin_pipeline.emulator.refusals import bad_request, refuse
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.errors import QuerySyntaxError

MOST_SPAN_S: Final = 5 * 365 * 86_400
MOST_VALUES: Final = 8_000_000
"""Series times buckets of one metric query: what may be in memory at a time."""
TAG_CONFIGURATION: Final = "tag_configuration"
"""The kind under which `resources.metric_tags` keeps them."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula over named queries.

    Args:
        text: as it was asked.
        expression: of names.
        count: so many groups at most; None: all.
        descending: which of them: those with the highest mean, or the lowest.
    """

    text: str
    expression: Expression
    count: int | None = None
    descending: bool = True


def read_query(query: str) -> tuple[Expression, ...]:
    """The expressions of a metric query.

    Raises:
        Refusal: 400, with the place of what is wrong.
    """
    with _refusing(query):
        return parsing.parse_metric(query)


def read_formula(text: str) -> Expression:
    """A formula.

    Raises:
        Refusal: 400, with the place of what is wrong.
    """
    with _refusing(text):
        return parsing.parse_formula(text)


@contextmanager
def _refusing(query: str) -> Iterator[None]:
    """What cannot be read is refused, in Datadog's words."""
    try:
        yield
    except QuerySyntaxError as error:
        rest = query[error.column - 1 :]
        raise bad_request(
            f"Error parsing query: \n unable to parse {query}: {error.problem} at {rest!r} "
            f"(line 1, column {error.column})."
        ) from None


def check_window(from_s: float, to_s: float) -> None:
    """Refuse windows that are none, or longer than anything is kept.

    Raises:
        Refusal: 400.
    """
    if from_s >= to_s:
        refuse("Invalid time range: from must be before to")
    if to_s - from_s > MOST_SPAN_S:
        refuse("Invalid time range: it is longer than points are kept")


def evaluated(
    state: State,
    expressions: Sequence[Expression],
    over: Grid,
    names: Mapping[str, Expression | Frame] | None = None,
) -> list[Frame]:
    """The frames of expressions.

    Raises:
        Refusal: 400, a formula names a query that there is not, or it is too much.
    """
    settle(state)
    nothing = Frame(over, (), np.empty((0, over.buckets)))

    def answerable(meant: Expression | Frame) -> Expression | Frame:
        locked = not isinstance(meant, Frame) and without_percentiles(state, [meant])
        return nothing if locked else meant

    for meant in (*expressions, *(names or {}).values()):
        for query in () if isinstance(meant, Frame) else metric_queries(meant):
            state.queried.note(query)
            _check_size(state, query, over)
    known = {name: answerable(meant) for name, meant in (names or {}).items()}
    asked = Asked(state.points, over, known)
    try:
        with np.errstate(all="ignore"):
            return [
                one if isinstance(one, Frame) else evaluate(one, asked)
                for one in map(answerable, expressions)
            ]
    except QuerySyntaxError as error:
        raise bad_request(f"Invalid formula: {error.problem}") from None


def _check_size(state: State, query: MetricQuery, over: Grid) -> None:
    series = len(state.points.find(query.metric, query.scope))
    if series * over.buckets > MOST_VALUES:
        refuse(
            f"Query is too large: {series} series of {query.metric} over {over.buckets} buckets; "
            "ask for longer buckets (.rollup), a shorter time or a narrower scope"
        )


def without_percentiles(state: State, expressions: Iterable[Expression]) -> list[str]:
    """Distributions of which a percentile is asked that nobody has enabled: there is none.

    It is enabled by a tag configuration of the metric with `include_percentiles`.
    """
    found = set()
    for expression in expressions:
        for query in metric_queries(expression):
            metric = state.points.metric(query.metric)
            if metric and metric.type == "distribution" and _is_percentile(query):
                configured = state.storage.get(TAG_CONFIGURATION, query.metric) or {}
                if not configured.get("attributes", {}).get("include_percentiles"):
                    found.add(query.metric)
    return sorted(found)


def percentiles_told(metrics: Sequence[str]) -> str:
    """What is said of them; empty where there are none."""
    if not metrics:
        return ""
    return (
        f"Percentile aggregations are not enabled for {', '.join(metrics)}: "
        "set include_percentiles in the tag configuration of the metric"
    )


def _is_percentile(query: MetricQuery) -> bool:
    return PERCENTILE.fullmatch(query.aggregator or "") is not None or query.counted is not None


def at_once(frame: Frame, aggregator: str, over: Grid) -> Frame:
    """The frame as one number a group, in the one bucket of `over`."""
    values = [[reduced(row, aggregator)] for row in frame.values]
    shaped = np.array(values, dtype=np.float64).reshape(len(values), 1)
    return Frame(over, frame.groups, shaped, frame.counting, frame.fixed)


def limited(frame: Frame, formula: Formula) -> Frame:
    """As many groups as the formula asks for, best first."""
    if formula.count is None or formula.count >= len(frame.groups):
        return frame
    ranks = ranked(frame.values, "mean", frame.grid.interval_s)
    order = np.argsort(-ranks if formula.descending else ranks, kind="stable")
    return frame.picked([int(row) for row in order[: formula.count]])
