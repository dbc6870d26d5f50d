"""Every metric that the pipeline sends: what is not here cannot be sent.

A change of a name or a type is a change for everyone who queries it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pettwin_pipeline.metrics.catalogue import Metric
from pettwin_pipeline.metrics.health_metrics import HEALTH, MODEL_CALLS
from pettwin_pipeline.metrics.pipeline_metrics import DAGSTER, OBSERVABILITY, PIPELINE, STREAM

METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        metric.name: metric
        for family in (MODEL_CALLS, HEALTH, STREAM, PIPELINE, DAGSTER, OBSERVABILITY)
        for metric in family
    }
)
"""Every metric by name, in the order of the flow."""
