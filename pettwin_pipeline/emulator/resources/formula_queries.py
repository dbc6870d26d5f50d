"""Queries with formulas (v2): timeseries and scalar."""

from typing import Any, Final

import numpy as np

from pettwin_pipeline.datadog_protocol.evaluation import grid_of
from pettwin_pipeline.datadog_protocol.frames import Frame, Group
from pettwin_pipeline.datadog_protocol.rolling import Grid
from pettwin_pipeline.datadog_protocol.syntax import Expression, Named, walk
from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.querying import (
    Formula,
    at_once,
    check_window,
    evaluated,
    limited,
    percentiles_told,
    read_formula,
    read_query,
    without_percentiles,
)
from pettwin_pipeline.emulator.refusals import refuse
from pettwin_pipeline.emulator.resources.document_queries import SOURCES, document_frame
from pettwin_pipeline.emulator.resources.query_units import units_of
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

RETENTION_S: Final = 5 * 365 * 86_400
"""Datadog keeps points for 15 months; here the store decides, and this only bounds the question."""
_AGGREGATORS: Final = {"mean": "avg", "percentile": "p95"}


def _checked(state: State, call: Call) -> Document:
    attributes = call.checked_attributes()
    begins, ends = attributes["from"], attributes["to"]
    check_window(begins / 1000, ends / 1000)
    if ends / 1000 < state.clock.now_s() - RETENTION_S:
        refuse("Queries ending outside the retention date are invalid")
    return attributes


def _queries(attributes: Document) -> list[tuple[str, Document]]:
    """What is asked, with names; what has none is called by its place."""
    return [
        (told.get("name") or f"query{place}", told)
        for place, told in enumerate(attributes["queries"], 1)
    ]


def _named(attributes: Document) -> dict[str, Expression]:
    """The queries by name; those of data sources that are not kept here are left out."""
    found: dict[str, Expression] = {}
    for name, told in _queries(attributes):
        if told.get("data_source") != "metrics":
            continue
        expressions = read_query(told["query"])
        if len(expressions) != 1:
            refuse("A query of a formula is one query, not several")
        found[name] = expressions[0]
    return found


def _documents(attributes: Document) -> dict[str, Document]:
    """The queries over logs and events by name."""
    every = _queries(attributes)
    return {name: told for name, told in every if told.get("data_source") in SOURCES}


def _formulas(attributes: Document, names: dict[str, Expression]) -> list[Formula]:
    """Those that are asked, or each query by itself."""
    kept = {*names, *_documents(attributes)}
    told = attributes.get("formulas") or [{"formula": name} for name in sorted(kept)]
    known = {name for name, _ in _queries(attributes)}
    formulas = []
    for one in told:
        expression = read_formula(one["formula"])
        used = {part.name for part in walk(expression) if isinstance(part, Named)}
        if unknown := used - known:
            refuse(f"Invalid formula: there is no query {min(unknown)}")
        limit = one.get("limit") or {}
        formulas.append(
            Formula(
                one["formula"], expression, limit.get("count"), limit.get("order", "desc") == "desc"
            )
        )
    return formulas


def _is_answered(formula: Formula, names: dict[str, Any]) -> bool:
    """Whether all of its queries are of a data source that is kept here."""
    return all(one.name in names for one in walk(formula.expression) if isinstance(one, Named))


def _unit(state: State, formula: Formula, names: dict[str, Expression]) -> Any:
    """Of a formula that is one query alone."""
    alone = formula.expression
    query = names.get(alone.name) if isinstance(alone, Named) else None
    return None if query is None else units_of(state, query)


def _timeseries(state: State, call: Call) -> Answer:
    attributes = _checked(state, call)
    names = _named(attributes)
    formulas = _formulas(attributes, names)
    interval_ms = attributes.get("interval")
    interval_s = max(int(interval_ms) // 1000, 1) if interval_ms else None
    begins_s, ends_s = attributes["from"] / 1000, attributes["to"] / 1000
    over = grid_of(list(names.values()), begins_s, ends_s, interval_s)
    known: dict[str, Expression | Frame] = dict(names)
    for name, told in _documents(attributes).items():
        known[name] = document_frame(state, told, over)
    series: list[Document] = []
    values: list[list[float]] = []
    for index, formula in enumerate(formulas):
        if not _is_answered(formula, known):
            continue
        (frame,) = evaluated(state, [formula.expression], over, known)
        frame = _with_values(limited(frame, formula))
        unit = _unit(state, formula, names)
        for group, row in zip(frame.groups, frame.values, strict=True):
            series.append({"group_tags": list(group), "query_index": index, "unit": unit})
            values.append(row.tolist())  # what is missing is NaN, which JSON has as null
    times = (over.times_s * 1000).tolist() if series else []
    found = {"series": series, "times": times, "values": values}
    data = {"id": "0", "type": "timeseries_response", "attributes": found}
    return Answer({"data": data, **_errors(state, names)})


def _with_values(frame: Frame) -> Frame:
    """Without the groups that have none."""
    there = np.flatnonzero(~np.isnan(frame.values).all(axis=1))
    return frame if len(there) == len(frame.groups) else frame.picked([int(row) for row in there])


def _scalar(state: State, call: Call) -> Answer:
    attributes = _checked(state, call)
    names = _named(attributes)
    formulas = _formulas(attributes, names)
    begins_s, ends_s = attributes["from"] / 1000, attributes["to"] / 1000
    over = grid_of(list(names.values()), begins_s, ends_s)
    frames = dict(zip(names, evaluated(state, list(names.values()), over), strict=True))
    aggregators = _asked_aggregators(attributes)
    at = Grid(int(begins_s), max(int(ends_s) - int(begins_s), 1), 1)
    scalars = {name: at_once(frame, aggregators[name], at) for name, frame in frames.items()}
    for name, told in _documents(attributes).items():
        scalars[name] = document_frame(state, told, at)
    found = []
    for formula in formulas:
        if _is_answered(formula, scalars):
            (frame,) = evaluated(state, [formula.expression], at, dict(scalars))
            found.append((formula, _with_values(limited(frame, formula))))
        else:
            found.append((formula, Frame(over, (), np.empty((0, 1)))))
    columns = _columns(state, found, names)
    data = {"id": "0", "type": "scalar_response", "attributes": {"columns": columns}}
    return Answer({"data": data, **_errors(state, names)})


def _errors(state: State, names: dict[str, Expression]) -> dict[str, str]:
    told = percentiles_told(without_percentiles(state, names.values()))
    return {"errors": told} if told else {}


def _asked_aggregators(attributes: Document) -> dict[str, str]:
    asked = {name: told.get("aggregator") or "avg" for name, told in _queries(attributes)}
    return {name: _AGGREGATORS.get(one, one) for name, one in asked.items()}


def _columns(
    state: State, found: list[tuple[Formula, Frame]], names: dict[str, Expression]
) -> list[Document]:
    """A column for each key of the groups, then one for each formula; a row for each group."""
    groups: dict[Group, None] = {}
    for _, frame in found:
        groups.update(dict.fromkeys(frame.groups))
    keys = list(dict.fromkeys(tag.partition(":")[0] for group in groups for tag in group))
    columns: list[Document] = [
        {"name": key, "type": "group", "values": [_values_of(key, group) for group in groups]}
        for key in keys
    ]
    for formula, frame in found:
        by_group = dict(zip(frame.groups, frame.values[:, :1].tolist(), strict=True))
        column = [by_group.get(group, [float("nan")])[0] for group in groups]
        columns.append(
            {
                "name": formula.text,
                "type": "number",
                "values": column,
                "meta": {"unit": _unit(state, formula, names)},
            }
        )
    return columns


def _values_of(key: str, group: Group) -> list[str]:
    return [tag[len(key) + 1 :] for tag in group if tag.startswith(f"{key}:")]


ROUTES: Final = (
    Route("POST", "/api/v2/query/timeseries", _timeseries, apart=True),
    Route("POST", "/api/v2/query/scalar", _scalar, apart=True),
)
