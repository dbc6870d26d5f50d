"""What a monitor over logs, events and their like finds: documents counted or measured by group."""

import itertools
from collections.abc import Iterable
from typing import Final

import numpy as np

from pettwin_pipeline.datadog_protocol.frames import Group
from pettwin_pipeline.datadog_protocol.monitor_states import Finding
from pettwin_pipeline.datadog_protocol.monitor_syntax import SearchAlert
from pettwin_pipeline.datadog_protocol.searching import Document, first_value, parse_search
from pettwin_pipeline.datadog_protocol.series_functions import reduced

_PLAIN: Final = frozenset({"avg", "sum", "min", "max", "median"})


def evaluate_search(alert: SearchAlert, documents: Iterable[Document]) -> dict[Group, Finding]:
    """By group, what the documents of the window come to; they are those of the window alone.

    Without a group-by there is always one group, and a count of nothing is 0.
    """
    finds = parse_search(alert.query)
    by = tuple(key for key in alert.by if key != "*")
    groups: dict[Group, list[Document]] = {} if by else {(): []}
    for document in documents:
        if finds(document):
            for group in _groups(document, by):
                groups.setdefault(group, []).append(document)
    return {group: Finding(_rolled_up(alert, inside)) for group, inside in groups.items()}


def _groups(document: Document, by: tuple[str, ...]) -> list[Group]:
    """One; none where the document lacks a facet."""
    values = [(key, first_value(document, key)) for key in by]
    if any(value is None for _, value in values):
        return []
    return [tuple(f"{key.removeprefix('@')}:{value}" for key, value in values)]


def _rolled_up(alert: SearchAlert, inside: list[Document]) -> float | None:
    rollup = alert.step("rollup")
    method, *measure = rollup.texts if rollup else ("count",)
    if method == "count":
        return float(len(inside))
    values = itertools.chain.from_iterable(one.values(measure[0]) for one in inside)
    if method == "cardinality":
        return float(len({str(value) for value in values}))
    numbers = np.array([value for value in values if _is_number(value)], dtype=np.float64)
    if not len(numbers):
        return None
    aggregator = method if method in _PLAIN else f"p{method.removeprefix('pc').removeprefix('p')}"
    return reduced(numbers, aggregator)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
