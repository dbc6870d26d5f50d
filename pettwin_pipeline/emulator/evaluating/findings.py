"""What an evaluation of a monitor finds at a time, by the kind of its query.

Asks the stores and `datadog_protocol`; states are the business of `stepping`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pettwin_pipeline.datadog_protocol import searching
from pettwin_pipeline.datadog_protocol.check_alerts import evaluate_check
from pettwin_pipeline.datadog_protocol.composites import GroupStatuses, combined_groups
from pettwin_pipeline.datadog_protocol.datagram import ServiceCheck
from pettwin_pipeline.datadog_protocol.evaluation import Asked, evaluate, grid_of
from pettwin_pipeline.datadog_protocol.frames import MISSING, Frame, Group
from pettwin_pipeline.datadog_protocol.monitor_evaluation import evaluate_metric
from pettwin_pipeline.datadog_protocol.monitor_options import Status
from pettwin_pipeline.datadog_protocol.monitor_states import Finding
from pettwin_pipeline.datadog_protocol.monitor_syntax import (
    CheckAlert,
    Composite,
    FormulaAlert,
    MetricAlert,
    SearchAlert,
    SloAlert,
)
from pettwin_pipeline.datadog_protocol.rolling import Grid, PointStore
from pettwin_pipeline.datadog_protocol.search_alerts import evaluate_search
from pettwin_pipeline.datadog_protocol.selection import groups_of
from pettwin_pipeline.datadog_protocol.syntax import Expression
from pettwin_pipeline.emulator.evaluating.latest_runs import LatestRuns
from pettwin_pipeline.emulator.evaluating.records import MonitorRecord
from pettwin_pipeline.emulator.evaluating.slo_measures import alert_value
from pettwin_pipeline.emulator.evaluating.watched import Watched, formula_window_s
from pettwin_pipeline.emulator.querying import at_once
from pettwin_pipeline.emulator.resources.document_queries import SOURCES, document_frame
from pettwin_pipeline.emulator.resources.event_store import record_of
from pettwin_pipeline.emulator.resources.log_store import log_record_of
from pettwin_pipeline.emulator.state import State

_SLO: Final = "slo"
_LETTERS: Final = "abcdefghij"


@dataclass(frozen=True, slots=True)
class Moment:
    """A round: when it is, and where everything is asked.

    Args:
        state: of the local Datadog.
        at_s: a full minute, unix time.
        store: of points.
        runs: of service checks.
        record_of: what is known of a monitor, of this round or an earlier one.
        keys_of: the group-by of a monitor.
    """

    state: State
    at_s: int
    store: PointStore
    runs: LatestRuns
    record_of: Callable[[int], MonitorRecord | None]
    keys_of: Callable[[int], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found, by group.

    Args:
        groups: a group that is not among them has no data.
        data_s: when a group had data last, where that is told apart from now.
        messages: what the latest run of a check said.
        parts: of a composite, the values of its monitors by their letters.
    """

    groups: Mapping[Group, Finding]
    data_s: Mapping[Group, float] = field(default_factory=dict)
    messages: Mapping[Group, str] = field(default_factory=dict)
    parts: Mapping[Group, Mapping[str, float]] = field(default_factory=dict)


def find(  # noqa: PLR0911 - one a kind
    watched: Watched, moment: Moment
) -> Findings:
    """Evaluate a monitor's query.

    Raises:
        QuerySyntaxError: a formula names a query that there is not.
    """
    query = watched.query
    match query:
        case MetricAlert():
            with np.errstate(all="ignore"):
                found = evaluate_metric(query, moment.store, moment.at_s, watched.options)
            return Findings(found)
        case CheckAlert():
            return _of_check(watched, query, moment)
        case SearchAlert():
            return Findings(evaluate_search(query, _documents(watched, query, moment)))
        case FormulaAlert():
            return Findings(_of_formula(watched, query, moment))
        case Composite():
            return _of_composite(query, moment)
        case SloAlert():
            slo = moment.state.storage.get(_SLO, query.slo_id)
            value = None if slo is None else alert_value(moment.state, query, slo, moment.at_s)
            return Findings({(): Finding(value)})
        case _:
            return Findings({})


def _of_check(watched: Watched, query: CheckAlert, moment: Moment) -> Findings:
    """A group without a run since its last one has no data: its state is not found anew."""
    runs = moment.runs.of(query.check, moment.at_s, query.last)
    record = moment.record_of(watched.monitor_id)
    kept = record.groups if record else {}
    before = {group: one.state.status for group, one in kept.items()}
    found = evaluate_check(query, runs, watched.options.thresholds, before)
    newest = _newest(watched, runs, found)
    data_s = {group: float(run.timestamp_s or 0) for group, run in newest.items()}
    fresh = {
        group: one
        for group, one in found.items()
        if group not in kept or data_s.get(group, 0.0) > (kept[group].state.data_s or 0.0)
    }
    return Findings(fresh, data_s, {group: run.message for group, run in newest.items()})


def _newest(
    watched: Watched, newest_first: list[ServiceCheck], groups: Mapping[Group, Finding]
) -> dict[Group, ServiceCheck]:
    found: dict[Group, ServiceCheck] = {}
    for run in newest_first:
        for group in groups_of(watched.keys, run.tags):
            if group in groups:
                found.setdefault(group, run)
    return found


def _documents(
    watched: Watched, query: SearchAlert, moment: Moment
) -> Iterator[searching.Document]:
    """Those of the window, its beginning left out; a monitor does not see its own events."""
    end_ms = (moment.at_s - watched.options.evaluation_delay_s) * 1000
    begin_ms = end_ms - query.window_s * 1000 + 1
    timeline = moment.state.timeline
    if query.source == "logs":
        yield from map(log_record_of, timeline.between("log", begin_ms, end_ms))
        return
    for event in timeline.between("event", begin_ms, end_ms):
        if event.get("monitor_id") != watched.monitor_id:
            yield record_of(event)


def _of_formula(watched: Watched, query: FormulaAlert, moment: Moment) -> dict[Group, Finding]:
    """Queries of the options, each put together over the whole window, then the formula."""
    from pettwin_pipeline.datadog_protocol.parsing import parse_metric

    end_s = moment.at_s - watched.options.evaluation_delay_s
    start_s = end_s - formula_window_s(query)
    whole = Grid(start_s, max(end_s - start_s, 1), 1)
    names: dict[str, Expression | Frame] = {}
    for told in watched.document["options"].get("variables") or ():
        if told.get("data_source") in SOURCES:
            names[told["name"]] = document_frame(moment.state, told, whole)
        elif told.get("data_source") == "metrics":
            (expression,) = parse_metric(told["query"])[:1]
            over = grid_of([expression], start_s, end_s)
            frame = evaluate(expression, Asked(moment.store, over))
            names[told["name"]] = at_once(frame, told.get("aggregator") or "avg", whole)
    frame = evaluate(query.formula, Asked(moment.store, whole, names))
    return {
        group: Finding(None if value != value else value)  # noqa: PLR0124 - NaN
        for group, (value, *_) in zip(frame.groups, frame.values.tolist(), strict=True)
        if not any(tag.endswith(f":{MISSING}") for tag in group)
    }


def _of_composite(query: Composite, moment: Moment) -> Findings:
    statuses = {one: _statuses(one, moment) for one in query.monitor_ids}
    groups = combined_groups(query, statuses)
    parts = {group: _parts(query, group, moment) for group in groups}
    return Findings(
        {group: Finding(None, status=status) for group, status in groups.items()}, parts=parts
    )


def _statuses(monitor_id: int, moment: Moment) -> GroupStatuses:
    record = moment.record_of(monitor_id)
    found = {group: one.state.status for group, one in record.groups.items()} if record else {}
    return found or ({} if moment.keys_of(monitor_id) else {(): Status.NO_DATA})


def _parts(query: Composite, group: Group, moment: Moment) -> dict[str, float]:
    found: dict[str, float] = {}
    for letter, monitor_id in zip(_LETTERS, query.monitor_ids, strict=False):
        record = moment.record_of(monitor_id)
        for mine, one in record.groups.items() if record else ():
            if set(mine) <= set(group) and one.state.value is not None:
                found[letter] = one.state.value
                break
    return found
