"""What the labels said of the detector, as points. Nothing under the least of labels."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pettwin_pipeline.detection.quality import OUTCOMES, SHARES
from pettwin_pipeline.metrics.points import Recorder

_SECONDS_AN_HOUR: Final = 3600.0


def record_quality(recorder: Recorder, rows: Iterable[Mapping[str, Any]]) -> None:
    """Shares in percent of each detector and species: how it stands, sent again and again.

    Args:
        recorder: of the points.
        rows: as `detection.quality.figures` writes them.
    """
    for one in rows:
        if not one["is_enough"]:
            continue
        tags: dict[str, str | int] = {"detector": one["detector"], "species": one["species"]}
        for name in SHARES:
            if one[name] is not None:
                recorder.gauge(f"pet.health.anomaly.{name}", 100 * one[name][0], tags=tags)


def record_decisions(recorder: Recorder, news: Iterable[Mapping[str, Any]]) -> None:
    """Pet-windows that were not counted before, by species: sent once.

    Those of all species together are left out: they would be counted twice.
    """
    for one in news:
        if one["species"] == "all":
            continue
        tags: dict[str, str | int] = {"detector": one["detector"], "species": one["species"]}
        for name in OUTCOMES:
            if one[name]:
                recorder.count("pet.health.anomaly.verdicts", one[name], tags=tags, verdict=name)


def record_leads(
    recorder: Recorder, detector: str, hours_by_species: Iterable[tuple[str, float]]
) -> None:
    """How long before the visible symptoms of an illness the first alert came: sent once."""
    for species, hours in hours_by_species:
        recorder.distribution(
            "pet.health.anomaly.lead_time",
            [hours * _SECONDS_AN_HOUR],
            tags={"detector": detector, "species": species},
        )
