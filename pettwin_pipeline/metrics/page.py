"""docs/metrics.md, rendered from the catalogue: `python -m pettwin_pipeline.metrics.page`."""

import sys
from collections.abc import Iterator
from typing import Final

from pettwin_pipeline.metrics.catalogue import Metric, estimate_series, series_of
from pettwin_pipeline.metrics.definitions import METRICS

_HEAD: Final = """\
# Metrics

<!-- Generated from the catalogue; do not edit. To write it again:
.venv/bin/python -m pettwin_pipeline.metrics.page > docs/metrics.md -->

Every metric that the pipeline sends, {metrics} in all. What is not here cannot be sent: a point
with another name, tag or value is refused where it is recorded.

* Every point carries `env`, `service` and `version` too. A namespace, `PETTWIN_METRIC_NAMESPACE`,
  is put before every name.
* Over HTTP a point also carries `host`: `sensor`, or `lane-0` and so on: it keeps processes apart.
* A value beyond a tag's set becomes `other`, and is counted in `telemetry.tags.limited`.
* `pet_id` is for the pets of `PETTWIN_WATCH_PETS` alone: the first 50 by id have their own series,
  the others on the list are `other`.
* At most {series} series for one env, version and host, whatever the number of pets.
"""

_COLUMNS: Final = ("name", "type", "unit", "tags", "meaning", "series at most")


def render_page() -> str:
    """The page as Markdown, with a newline at its end."""
    metrics = METRICS.values()
    head = _HEAD.format(metrics=len(metrics), series=f"{estimate_series(metrics):,}")
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *(_row(metric) for metric in metrics)]
    return "\n".join([head, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def _row(metric: Metric) -> tuple[str, ...]:
    kind = f"{metric.kind}, percentiles" if metric.percentiles else metric.kind
    tags = "<br>".join(_tags(metric))
    series = f"{series_of(metric):,}"
    return f"`{metric.name}`", kind, metric.unit, tags, metric.meaning, series


def _tags(metric: Metric) -> Iterator[str]:
    for key, values in metric.tags.items():
        absent = "; may be absent" if values.optional else ""
        yield f"`{key}`: {values.describe()}{absent}"


if __name__ == "__main__":
    sys.stdout.write(render_page())
