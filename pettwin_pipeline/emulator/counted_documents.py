"""Logs and events counted or measured, in groups, over the buckets of a grid: a frame.

Knows documents and their times; neither HTTP nor where they are kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from pettwin_pipeline.datadog_protocol.frames import Frame, Group
from pettwin_pipeline.datadog_protocol.rolling import Grid
from pettwin_pipeline.datadog_protocol.searching import Document, Search, first_value
from pettwin_pipeline.datadog_protocol.series_functions import reduced

Timed: TypeAlias = tuple[float, Document]
"""When it happened (unix time), and what a search sees."""
_AS_P: Final = "pc"


@dataclass(frozen=True, slots=True)
class Measure:
    """What is computed of the documents of a group.

    Args:
        aggregation: count, cardinality, sum, avg, min, max, median, pc75 and the like.
        metric: whose values, `@duration`; None for a count.
    """

    aggregation: str
    metric: str | None = None


@dataclass(frozen=True, slots=True)
class Facet:
    """A key of the group-by.

    Args:
        key: `@path`, a field or the key of a tag.
        limit: so many of its values at most, the most frequent.
        missing: stands for documents that lack it; None: they are left out.
    """

    key: str
    limit: int = 10
    missing: str | None = None

    @property
    def name(self) -> str:
        """As groups carry it."""
        return self.key.removeprefix("@")


def counted(
    documents: Iterable[Timed],
    finds: Search,
    measures: Sequence[Measure],
    facets: Sequence[Facet],
    over: Grid,
) -> list[Frame]:
    """A frame for each measure; groups of all are the same, the most frequent first."""
    groups: dict[Group, dict[int, list[Document]]] = {} if facets else {(): {}}
    for at_s, document in documents:
        place = int((at_s - over.start_s) // over.interval_s)
        if not 0 <= place < over.buckets or not finds(document):
            continue
        group = _group(document, facets)
        if group is not None:
            groups.setdefault(group, {}).setdefault(place, []).append(document)
    kept = _most_frequent(groups, facets)
    return [
        Frame(over, tuple(kept), _values(list(kept.values()), one, over), counting=True)
        for one in measures
    ]


def _group(document: Document, facets: Sequence[Facet]) -> Group | None:
    found = []
    for facet in facets:
        value = first_value(document, facet.key)
        if value is None:
            value = facet.missing
        if value is None:
            return None
        found.append(f"{facet.name}:{value}")
    return tuple(found)


def _most_frequent(
    groups: dict[Group, dict[int, list[Document]]], facets: Sequence[Facet]
) -> dict[Group, dict[int, list[Document]]]:
    def size(group: Group) -> int:
        return sum(map(len, groups[group].values()))

    ordered = sorted(groups, key=lambda group: (-size(group), group))
    kept = ordered
    for place, facet in enumerate(facets):
        values = list(dict.fromkeys(group[place] for group in kept))[: facet.limit]
        kept = [group for group in kept if group[place] in values]
    return {group: groups[group] for group in kept}


def _values(rows: Sequence[dict[int, list[Document]]], measure: Measure, over: Grid) -> Any:
    values = np.full((len(rows), over.buckets), np.nan)
    for row, buckets in enumerate(rows):
        for place, inside in buckets.items():
            values[row, place] = measured(inside, measure)
    return values


def measured(documents: Sequence[Document], measure: Measure) -> float:
    """One number of several documents; NaN where none has a value."""
    if measure.aggregation == "count":
        return float(len(documents))
    found = [value for one in documents for value in one.values(measure.metric or "")]
    if measure.aggregation == "cardinality":
        return float(len({str(value) for value in found}))
    numbers = np.array([number for one in found if (number := _number(one)) is not None])
    if not len(numbers):
        return float("nan")
    name = measure.aggregation
    return reduced(numbers, f"p{name.removeprefix(_AS_P)}" if name.startswith(_AS_P) else name)


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
