import math
from typing import Any

from pettwin_pipeline.detection.quality import Estimate, Quality, figures
from pettwin_pipeline.metrics.points import Recorder
from pettwin_pipeline.metrics.quality_points import record_decisions, record_leads, record_quality
from pettwin_pipeline_tests.metrics.batch import drained

NOTHING = Estimate(math.nan, math.nan, math.nan)


def _quality(species: str, **given: Any) -> dict[str, Any]:
    shares = {"accuracy": 0.9, "precision": 0.75, "recall": 0.6, "f1": 2 / 3}
    fields: dict[str, Any] = {name: Estimate(value, 0.0, 1.0) for name, value in shares.items()}
    fields |= {"tp": 6, "fp": 2, "fn": 4, "tn": 48, "labels": 20, "prevalence": 1 / 6}
    fields |= {"false_a_day": NOTHING, "lead_h": Estimate(5.0, 1.0, 9.0), "coverage": NOTHING}
    fields |= {"detector": "statistical", "species": species, "is_enough": True}
    return figures(Quality(**fields | given))


def test_shares_are_percent_of_each_species_and_of_all() -> None:
    recorder = Recorder()
    record_quality(recorder, [_quality("dog"), _quality("all")])
    found = drained(recorder)
    for species in ("dog", "all"):
        assert found["pet.health.anomaly.recall", "statistical", species] == (60.0,)
        assert found["pet.health.anomaly.precision", "statistical", species] == (75.0,)
    assert len(found) == 4 + 4


def test_windows_are_counted_by_species_and_not_once_more_for_all() -> None:
    recorder = Recorder()
    record_decisions(recorder, [_quality("dog"), _quality("all")])
    found = {key[3]: value for key, value in drained(recorder).items()}
    assert found == {"tp": (6.0,), "fp": (2.0,), "fn": (4.0,), "tn": (48.0,)}


def test_lead_times_are_seconds_and_negative_where_the_owner_was_first() -> None:
    recorder = Recorder()
    record_leads(recorder, "ensemble", [("dog", 5.0), ("cat", -0.5)])
    found = drained(recorder)
    assert found["pet.health.anomaly.lead_time", "ensemble", "dog"] == (18_000.0,)
    assert found["pet.health.anomaly.lead_time", "ensemble", "cat"] == (-1800.0,)


def test_nothing_is_said_under_the_least_of_labels() -> None:
    recorder = Recorder()
    record_quality(recorder, [_quality("dog", is_enough=False)])
    assert recorder.drain() == []


def test_what_has_no_value_is_not_sent() -> None:
    recorder = Recorder()
    record_quality(recorder, [_quality("cat", precision=NOTHING)])
    record_decisions(recorder, [_quality("cat", tp=0, fp=0, fn=0)])
    names = {key[0].rpartition(".")[2] for key in drained(recorder)}
    assert names == {"accuracy", "recall", "f1", "verdicts"}
