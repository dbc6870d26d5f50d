import math
from typing import Any

import pytest

from pettwin_pipeline.detection.quality import Estimate, Quality
from pettwin_pipeline.metrics.points import Recorder
from pettwin_pipeline.metrics.quality_points import record_quality
from pettwin_pipeline_tests.metrics.batch import drained

NOTHING = Estimate(math.nan, math.nan, math.nan)


def _quality(species: str, **given: Any) -> Quality:
    shares = {"accuracy": 0.9, "precision": 0.75, "recall": 0.6, "f1": 2 / 3}
    fields: dict[str, Any] = {name: Estimate(value, 0.0, 1.0) for name, value in shares.items()}
    fields |= {"tp": 6, "fp": 2, "fn": 4, "tn": 48, "labels": 20, "prevalence": 1 / 6}
    fields |= {"false_a_day": NOTHING, "lead_h": Estimate(5.0, 1.0, 9.0), "coverage": NOTHING}
    fields |= {"detector": "statistical", "species": species, "is_enough": True}
    return Quality(**fields | given)


def test_shares_are_percent_and_windows_are_counted_by_species() -> None:
    recorder = Recorder()
    record_quality(recorder, [_quality("dog"), _quality("all")])
    found = drained(recorder)
    for species in ("dog", "all"):
        assert found["pet.health.anomaly.recall", "statistical", species] == (60.0,)
        assert found["pet.health.anomaly.precision", "statistical", species] == (75.0,)
    verdicts = {key[3]: value for key, value in found.items() if key[0].endswith("verdicts")}
    assert verdicts == {"tp": (6.0,), "fp": (2.0,), "fn": (4.0,), "tn": (48.0,)}
    assert found["pet.health.anomaly.lead_time", "statistical", "dog"] == (18_000.0,)
    assert len(found) == 4 + 4 + 4 + 1


@pytest.mark.parametrize("few", [{"is_enough": False}])
def test_nothing_is_said_under_the_least_of_labels(few: dict[str, Any]) -> None:
    recorder = Recorder()
    record_quality(recorder, [_quality("dog", **few)])
    assert recorder.drain() == []


def test_what_has_no_value_is_not_sent() -> None:
    recorder = Recorder()
    record_quality(recorder, [_quality("cat", precision=NOTHING, lead_h=NOTHING, tp=0, fp=0)])
    names = {key[0].rpartition(".")[2] for key in drained(recorder)}
    assert names == {"accuracy", "recall", "f1", "verdicts"}
