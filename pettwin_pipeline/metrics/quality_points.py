"""What the labels said of the detector, as points. Nothing under the least of labels."""

import math
from collections.abc import Iterable
from typing import Final

from pettwin_pipeline.detection.quality import Quality
from pettwin_pipeline.metrics.points import Recorder

_SHARES: Final = ("accuracy", "precision", "recall", "f1")
_VERDICTS: Final = ("tp", "fp", "fn", "tn")
_SECONDS_AN_HOUR: Final = 3600.0


def record_quality(recorder: Recorder, qualities: Iterable[Quality]) -> None:
    """Shares in percent, and of each species the pet-windows and the median lead time.

    What the detector was worth for all species has no lead time and no windows of its own: they
    would be counted twice.
    """
    for one in qualities:
        if not one.is_enough:
            continue
        tags: dict[str, str | int] = {"detector": one.detector, "species": one.species}
        for name in _SHARES:
            value = getattr(one, name).value
            if not math.isnan(value):
                recorder.gauge(f"pet.health.anomaly.{name}", 100 * value, tags=tags)
        if one.species == "all":
            continue
        for name in _VERDICTS:
            if number := getattr(one, name):
                recorder.count("pet.health.anomaly.verdicts", number, tags=tags, verdict=name)
        if not math.isnan(one.lead_h.value):
            lead_s = one.lead_h.value * _SECONDS_AN_HOUR
            recorder.distribution("pet.health.anomaly.lead_time", [lead_s], tags=tags)
