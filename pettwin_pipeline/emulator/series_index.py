"""Which series there are: by metric, tags and whether they hold sketches. Bounded in number.

Selection keeps what it found for a scope until a series of that metric is added.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pettwin_pipeline.datadog_protocol.aggregation import StoredType
from pettwin_pipeline.datadog_protocol.matching import matcher
from pettwin_pipeline.datadog_protocol.rolling import StoredSeries
from pettwin_pipeline.datadog_protocol.syntax import Scope

Identity: TypeAlias = tuple[str, tuple[str, ...], bool]
"""Metric, tags, and whether it holds sketches."""

MOST_SERIES: Final = 100_000
MOST_OF_A_METRIC: Final = 20_000
_CROWDED, _SPARED = 0.9, 0.8
"""With that share of a limit it is crowded; so much of it is left then."""
_MOST_SELECTIONS: Final = 200
"""Scopes of one metric whose answers are kept."""


@dataclass(slots=True)
class Metric:
    """One metric and its series.

    Args:
        name: of it.
        type: of its latest points.
        seen_s: when points of it came last, unix time.
        series: in the order of their coming.
    """

    name: str
    type: StoredType
    seen_s: int = 0
    series: list[StoredSeries] = field(default_factory=list)
    selections: dict[Scope, list[StoredSeries]] = field(default_factory=dict)

    def saw(self, at_s: int) -> None:
        """Points came of that second."""
        self.seen_s = max(self.seen_s, at_s)

    @property
    def tags(self) -> list[str]:
        """Of all of its series, sorted, each once."""
        return sorted({tag for one in self.series for tag in one.tags})

    @property
    def hosts(self) -> list[str]:
        """The values of its tag host, sorted."""
        return [tag.removeprefix("host:") for tag in self.tags if tag.startswith("host:")]


class SeriesIndex:
    """Series by identity and by key. To be used under the lock of the store."""

    def __init__(self, most: int = MOST_SERIES, most_of_a_metric: int = MOST_OF_A_METRIC) -> None:
        """An empty one with its limits."""
        self._most = most
        self._most_of_a_metric = most_of_a_metric
        self._next = 1
        self.by_identity: dict[Identity, StoredSeries] = {}
        self.metrics: dict[str, Metric] = {}
        self.metric_of: dict[int, str] = {}

    def clear(self) -> None:
        """Forget all; keys are not used again."""
        self.by_identity.clear()
        self.metrics.clear()
        self.metric_of.clear()

    def __len__(self) -> int:
        return len(self.by_identity)

    def admit(
        self, name: str, tags: tuple[str, ...], kind: StoredType, interval_s: int
    ) -> tuple[Metric | None, StoredSeries | None, bool]:
        """Metric, series, and whether it is new or changed; None beyond a limit.

        Of one that changes its type or its interval the latest holds.
        """
        identity = (name, tags, kind == "distribution")
        found = self.by_identity.get(identity)
        metric = self.metrics.get(name)
        if found is not None:
            if found.type == kind and found.interval_s == interval_s:
                return metric, found, False
            changed = StoredSeries(found.key, tags, kind, interval_s)
            return metric, self._replace(identity, changed), True
        if len(self.by_identity) >= self._most or (
            metric is not None and len(metric.series) >= self._most_of_a_metric
        ):
            return None, None, False
        series = StoredSeries(self._next, tags, kind, interval_s)
        return self.add(name, series), series, True

    def add(self, name: str, series: StoredSeries) -> Metric:
        """A series that is known to be new; its metric."""
        metric = self.metrics.get(name)
        if metric is None:
            metric = self.metrics[name] = Metric(name, series.type)
        metric.type = series.type
        metric.series.append(series)
        metric.selections.clear()
        self.by_identity[name, series.tags, series.type == "distribution"] = series
        self.metric_of[series.key] = name
        self._next = max(self._next, series.key + 1)
        return metric

    def _replace(self, identity: Identity, series: StoredSeries) -> StoredSeries:
        metric = self.metrics[identity[0]]
        metric.series = [series if one.key == series.key else one for one in metric.series]
        metric.type = series.type
        metric.selections.clear()
        self.by_identity[identity] = series
        return series

    def find(self, metric: str, scope: Scope) -> Sequence[StoredSeries]:
        """The series of a metric that the scope takes, in the order of their coming."""
        known = self.metrics.get(metric)
        if known is None:
            return ()
        found = known.selections.get(scope)
        if found is None:
            takes = matcher(scope)
            found = [one for one in known.series if takes(one.tags)]
            if len(known.selections) >= _MOST_SELECTIONS:
                known.selections.clear()
            known.selections[scope] = found
        return found

    def crowded(self) -> list[tuple[str | None, int]]:
        """Metrics with nearly too many series, None for all together; and how many should go."""
        found: list[tuple[str | None, int]] = [
            (name, len(metric.series) - int(self._most_of_a_metric * _SPARED))
            for name, metric in self.metrics.items()
            if len(metric.series) >= self._most_of_a_metric * _CROWDED
        ]
        if len(self) >= self._most * _CROWDED:
            found.append((None, len(self) - int(self._most * _SPARED)))
        return found

    def forget(self, keys: set[int]) -> None:
        """Let go of series, and of metrics that have none left."""
        names = {self.metric_of.pop(key, None) for key in keys} - {None}
        for name in filter(None, names):
            metric = self.metrics[name]
            gone = [one for one in metric.series if one.key in keys]
            metric.series = [one for one in metric.series if one.key not in keys]
            metric.selections.clear()
            for one in gone:
                del self.by_identity[name, one.tags, one.type == "distribution"]
            if not metric.series:
                del self.metrics[name]
