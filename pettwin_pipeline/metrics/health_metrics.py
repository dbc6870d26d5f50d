"""What is reported of the pets and of the model that judges them, as data.

Names are those that the people who asked for this system fixed; gen_ai.* follows the OpenTelemetry
GenAI conventions, https://opentelemetry.io/docs/specs/semconv/gen-ai/.
"""

from typing import Final

from pettwin_pipeline.metrics.catalogue import Metric, OneOf, TagValues
from pettwin_pipeline.metrics.tag_sets import (
    CALL_OUTCOME,
    CALL_REASON,
    CHANNEL,
    DETECTOR,
    MODEL,
    PET,
    SEVERITY,
    SIZE,
    SPECIES,
    SPECIES_OF_PET,
    SPECIES_OR_ALL,
)

_GEN_AI: Final[dict[str, TagValues]] = {
    "gen_ai.operation.name": OneOf(("generate_content",)),
    # One deployment reaches a model by one provider. The local stand-in has its own name here too.
    "gen_ai.provider.name": OneOf(
        ("gcp.vertex_ai", "gcp.gemini", "local-stand-in"), follows="gen_ai.request.model"
    ),
    "gen_ai.request.model": MODEL,
    "error.type": CALL_REASON,
}

_COHORT: Final[dict[str, TagValues]] = {"species": SPECIES, "size": SIZE}
_QUALITY: Final[dict[str, TagValues]] = {"detector": DETECTOR, "species": SPECIES_OR_ALL}
_WATCHED: Final[dict[str, TagValues]] = {"pet_id": PET, "species": SPECIES_OF_PET}

MODEL_CALLS: Final = (
    Metric(
        "vertex.ai.inference.latency",
        "distribution",
        "millisecond",
        {"model_version": MODEL, "outcome": CALL_OUTCOME},
        "wall time of one Gemini call, retries included",
        percentiles=True,
    ),
    Metric(
        "vertex.ai.inference.requests",
        "count",
        "request",
        {"model_version": MODEL, "outcome": CALL_OUTCOME, "reason": CALL_REASON},
        "finished calls",
    ),
    Metric(
        "vertex.ai.inference.tokens",
        "count",
        "",
        {"model_version": MODEL, "direction": OneOf(("input", "output", "cached"))},
        "from usage metadata; thoughts count as output",
    ),
    Metric(
        "vertex.ai.inference.cost",
        "count",
        "dollar",
        {"model_version": MODEL},
        "tokens times a dated price table",
    ),
    Metric(
        "gen_ai.client.operation.duration",
        "distribution",
        "second",
        _GEN_AI,
        "one call, as the OpenTelemetry GenAI conventions have it",
    ),
    Metric(
        "gen_ai.client.token.usage",
        "distribution",
        "",
        {**_GEN_AI, "gen_ai.token.type": OneOf(("input", "output"))},
        "tokens of one call; never sent by the statistical scorer",
    ),
)

HEALTH: Final = (
    *(
        Metric(f"pet.health.anomaly.{name}", "gauge", "percent", _QUALITY, meaning)
        for name, meaning in (
            ("accuracy", "(TP+TN)/labelled in the last window; silent under the least of labels"),
            ("precision", "TP/(TP+FP), the same window"),
            ("recall", "TP/(TP+FN), the same window"),
            ("f1", "harmonic mean of precision and recall, the same window"),
        )
    ),
    Metric(
        "pet.health.anomaly.lead_time",
        "distribution",
        "second",
        {"detector": DETECTOR, "species": SPECIES},
        "first alert before the labelled onset of visible symptoms",
    ),
    Metric(
        "pet.health.anomaly.verdicts",
        "count",
        "event",
        {
            "detector": DETECTOR,
            "species": SPECIES,
            "verdict": OneOf(("tp", "fp", "fn", "tn")),
        },
        "labelled decisions: accuracy can be recomputed over any window",
    ),
    Metric(
        "pet.health.anomaly.detected",
        "count",
        "event",
        {
            "severity": SEVERITY,
            "signal": OneOf(("heart_rate", "activity", "gait", "sleep", "multi", "sensor")),
            "species": SPECIES,
        },
        "anomalies raised after de-duplication",
    ),
    Metric(
        "pet.health.alerts.sent",
        "count",
        "event",
        {
            "severity": SEVERITY,
            "channel": CHANNEL,
            "outcome": OneOf(("delivered", "failed")),
        },
        "notifications attempted",
    ),
    Metric(
        "pet.health.active_pets",
        "gauge",
        "",
        {"species": SPECIES},
        "distinct pets in 15 minutes",
    ),
    Metric(
        "pet.health.heart_rate",
        "distribution",
        "",
        _COHORT,
        "valid readings of the cohort, beats per minute",
        percentiles=True,
    ),
    *(
        Metric(f"pet.health.{name}", "distribution", "", _COHORT, f"valid readings, {scale}")
        for name, scale in (
            ("activity_score", "0 to 100"),
            ("gait_symmetry", "0 to 1"),
            ("sleep_quality", "0 to 1"),
        )
    ),
    *(
        Metric(
            f"pet.health.watch.{name}",
            "gauge",
            "",
            _WATCHED,
            "last value of a pet on the watch list, the mean of those beyond its limit",
            together="mean",
        )
        for name in ("heart_rate", "activity_score", "gait_symmetry")
    ),
)
