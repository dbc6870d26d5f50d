"""A monitor read for evaluation: its query and options as values, its clock, what it groups by.

Pure. What cannot be evaluated here is a `NotWatched` that says why.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pettwin_pipeline.datadog_protocol.monitor_options import (
    GROUP_FORGOTTEN_S,
    MonitorOptions,
    evaluated_every_s,
    options_of,
)
from pettwin_pipeline.datadog_protocol.monitor_syntax import (
    CheckAlert,
    Comparison,
    Composite,
    FormulaAlert,
    MetricAlert,
    MonitorQuery,
    NoQuery,
    SearchAlert,
    SloAlert,
    span_s,
)
from pettwin_pipeline.datadog_protocol.syntax import Both, Listed, Scope, Tag, metric_queries
from pettwin_pipeline.errors import QuerySyntaxError

Document: TypeAlias = dict[str, Any]
_CHECK_WINDOW_S: Final = 60
"""A check that is silent for twice as long has no data, where nobody said."""
_SEARCHED: Final = frozenset({"logs", "events"})
"""What of searches is kept here; spans, sessions and their like are not."""
_MEASURES_OF_COUNTS: Final = frozenset({"count", "cardinality"})


class NotWatched(Exception):  # noqa: N818 - an answer, not a failure
    """A monitor that is kept and shown and never evaluated; says why."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A monitor as an evaluation needs it.

    Args:
        document: as it is kept.
        query: read.
        options: read.
        every_s: how often it is evaluated.
        keys: of the group-by; empty: it has one state.
        comparison: of the query; None where findings carry their states.
        counts: whether nothing is zero by default.
        forgotten_s: how long after its last data a group is dropped; None: as is usual.
        scope_tags: that all of what it looks at has; downtimes for them are for it too.
    """

    document: Document
    query: MonitorQuery
    options: MonitorOptions
    every_s: int
    keys: tuple[str, ...]
    comparison: Comparison | None
    counts: bool
    forgotten_s: int | None
    scope_tags: frozenset[str]

    @property
    def monitor_id(self) -> int:
        """Its id."""
        return int(self.document["id"])


def watched_of(document: Document) -> Watched:
    """Read a monitor.

    Raises:
        NotWatched: its kind is not evaluated here.
    """
    query = _query_of(document)
    window_s = _window_s(query)
    keys = _formula_keys(document) if isinstance(query, FormulaAlert) else keys_of(query)
    # what a composite names has waited for its new groups already
    waits = bool(keys) and not isinstance(query, Composite)
    return Watched(
        document=document,
        query=query,
        options=options_of(document["options"], grouped=waits, window_s=window_s),
        every_s=evaluated_every_s(window_s),
        keys=keys,
        comparison=_comparison_of(query),
        counts=_counts(query),
        forgotten_s=_forgotten_s(document, query),
        scope_tags=_scope_tags(query),
    )


def _query_of(document: Document) -> MonitorQuery:
    from pettwin_pipeline.datadog_protocol.parsing import METRIC_TYPES, MONITOR_TYPES, parse_monitor

    kind = document["type"]
    if kind not in {*METRIC_TYPES, *MONITOR_TYPES}:
        raise NotWatched(f"monitors of type {kind} are not evaluated here")
    try:
        query = parse_monitor(kind, document["query"])
    except QuerySyntaxError as error:
        raise NotWatched(str(error)) from None
    if isinstance(query, NoQuery):
        raise NotWatched(f"monitors of type {kind} are not evaluated here")
    if isinstance(query, SearchAlert) and query.source not in _SEARCHED:
        raise NotWatched(f"{query.source} are not kept here")
    return query


def _window_s(query: MonitorQuery) -> int:
    match query:
        case MetricAlert(window=window):
            return window.seconds
        case SearchAlert():
            return query.window_s
        case FormulaAlert():
            return formula_window_s(query)
        case SloAlert(kind="burn_rate", long_window=long):
            return span_s(long or "1h") or 0
        case SloAlert(over=over):
            return span_s(over) or 0
        case _:
            return _CHECK_WINDOW_S


def formula_window_s(query: FormulaAlert) -> int:
    """Length of `last` of a formula; five minutes without one."""
    last = next((one for one in query.steps if one.name in {"last", "current"}), None)
    return (span_s(last.texts[0]) or 0) if last and last.texts else 300


def keys_of(query: MonitorQuery) -> tuple[str, ...]:
    """What a query groups by: each combination of values has a state of its own.

    Of a composite `*`: the groups are those that its monitors have in common.
    """
    match query:
        case MetricAlert(expression=expression):
            found = [key for one in metric_queries(expression) for key in one.by]
            return tuple(dict.fromkeys(found))
        case CheckAlert():
            if any(step.name == "pct_by_status" for step in query.steps):
                return ()
            return query.texts("by")
        case SearchAlert():
            return tuple(key for key in query.by if key != "*")
        case Composite():
            return ("*",)
        case _:
            return ()


def _formula_keys(document: Document) -> tuple[str, ...]:
    """Of the queries that the options hold."""
    from pettwin_pipeline.datadog_protocol.parsing import parse_metric

    found: list[str] = []
    for told in document["options"].get("variables") or ():
        if told.get("data_source") == "metrics":
            for expression in parse_metric(told["query"]):
                found += [key for one in metric_queries(expression) for key in one.by]
        else:
            found += [one["facet"].removeprefix("@") for one in told.get("group_by") or ()]
    return tuple(dict.fromkeys(found))


def _comparison_of(query: MonitorQuery) -> Comparison | None:
    match query:
        case CheckAlert() if any(step.name == "pct_by_status" for step in query.steps):
            return Comparison(">=", None)
        case MetricAlert() | SearchAlert() | FormulaAlert() | SloAlert():
            return query.comparison
        case _:
            return None


def _counts(query: MonitorQuery) -> bool:
    # numpy comes with it: not at the start of a server
    from pettwin_pipeline.datadog_protocol.monitor_evaluation import counts

    match query:
        case MetricAlert(expression=expression):
            return counts(expression)
        case SearchAlert():
            rollup = query.step("rollup")
            return rollup is None or rollup.texts[0] in _MEASURES_OF_COUNTS
        case FormulaAlert():
            return True
        case _:
            return False


def _forgotten_s(document: Document, query: MonitorQuery) -> int | None:
    told = document["options"].get("group_retention_duration")
    if isinstance(told, str) and (asked := span_s(told)):
        return asked
    return None if isinstance(query, CheckAlert) else GROUP_FORGOTTEN_S


def _scope_tags(query: MonitorQuery) -> frozenset[str]:
    if not isinstance(query, MetricAlert):
        return frozenset(query.texts("over")) if isinstance(query, CheckAlert) else frozenset()
    each = [_wanted(one.scope) for one in metric_queries(query.expression)]
    return frozenset.intersection(*each) if each else frozenset()


def _wanted(scope: Scope) -> frozenset[str]:
    """The plain tags that everything in a scope has."""
    match scope:
        case Tag(text=text):
            return frozenset([text] if ":" in text and "*" not in text and "$" not in text else ())
        case Listed(parts=parts) | Both(parts=parts):
            return frozenset().union(*(_wanted(one) for one in parts))
        case _:
            return frozenset()
