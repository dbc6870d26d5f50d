"""What is asked of each metric: which tag keys, which aggregations. Bounded, and in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pettwin_pipeline.datadog_protocol.syntax import (
    Both,
    Either,
    In,
    Listed,
    MetricQuery,
    Not,
    Scope,
    Tag,
)

MOST_METRICS: Final = 10_000
_MOST_EACH: Final = 200
_SPACE: Final = frozenset({"avg", "max", "min", "sum"})
_TIME: Final = frozenset({"avg", "count", "max", "min", "sum"})


@dataclass(slots=True)
class Asked:
    """Of one metric."""

    keys: set[str] = field(default_factory=set)
    aggregations: set[tuple[str, str]] = field(default_factory=set)
    """Over space and over time."""


class Queried:
    """By metric."""

    def __init__(self) -> None:
        """Nothing was asked."""
        self._asked: dict[str, Asked] = {}

    def note(self, query: MetricQuery) -> None:
        """Somebody asked this."""
        found = self._asked.get(query.metric)
        if found is None:
            if len(self._asked) >= MOST_METRICS:
                return
            found = self._asked[query.metric] = Asked()
        if len(found.keys) < _MOST_EACH:
            found.keys.update(key for key in query.by if key != "*")
            found.keys.update(_keys(query.scope))
        found.aggregations.update(_aggregation(query))

    def of(self, metric: str) -> Asked:
        """What was asked of a metric."""
        return self._asked.get(metric, Asked())

    def clear(self) -> None:
        """Forget everything."""
        self._asked.clear()


def _keys(scope: Scope) -> Iterator[str]:
    match scope:
        case Tag():
            if scope.key is not None:
                yield scope.key
        case In(key=key):
            yield key
        case Not(part=part):
            yield from _keys(part)
        case Listed(parts=parts) | Both(parts=parts) | Either(parts=parts):
            for part in parts:
                yield from _keys(part)


def _aggregation(query: MetricQuery) -> Iterator[tuple[str, str]]:
    space = query.aggregator or "avg"
    rollup = query.modifier("rollup")
    words = [one for one in rollup.arguments if isinstance(one, str)] if rollup else []
    counting = query.modifier("as_count") or query.modifier("as_rate")
    over_time = words[0] if words else ("sum" if counting else "avg")
    if space in _SPACE and over_time in _TIME:
        yield space, over_time
