"""Whether the catalogue declares a series: the one place that says no."""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from pettwin_pipeline.errors import UndeclaredPointError
from pettwin_pipeline.metrics.catalogue import Kind, Metric
from pettwin_pipeline.metrics.definitions import METRICS

Tags = tuple[tuple[str, str], ...]
"""(key, value) of each tag, sorted by key."""


def check_series(name: str, kind: Kind, tags: Tags) -> None:
    """Raise UndeclaredPointError unless the catalogue declares this name, kind and tags."""
    problem = _series_problem(name, kind, tags)
    if problem is not None:
        raise UndeclaredPointError(problem)


@lru_cache(maxsize=4096)
def _series_problem(name: str, kind: Kind, tags: Tags) -> str | None:
    metric = METRICS.get(name)
    if metric is None:
        return f"{name}: not a metric of the catalogue; declare it there first"
    if kind != metric.kind:
        return f"{name}: a {metric.kind}, not a {kind}"
    if list(tags) != sorted(dict(tags).items()):
        return f"{name}: tags are sorted by key, each key once: {tags}"
    return next(_tag_problems(metric, dict(tags)), None)


def _tag_problems(metric: Metric, tags: Mapping[str, str]) -> Iterator[str]:
    for key in tags.keys() - metric.tags.keys():
        yield f"{metric.name}: no tag {key}; declared: {', '.join(metric.tags)}"
    for key, allowed in metric.tags.items():
        if key not in tags:
            if not allowed.optional:
                yield f"{metric.name}: tag {key} is missing; allowed: {allowed.describe()}"
        elif not allowed.holds(tags[key]):
            yield f"{metric.name}: {key}:{tags[key]} is not declared; allowed: {allowed.describe()}"
