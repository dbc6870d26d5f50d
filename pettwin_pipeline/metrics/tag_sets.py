"""The sets of tag values that several metrics share, all bounded.

A set belongs to a metric and a tag: the same tag may have another set elsewhere, declared there.
"""

from typing import Final

from pettwin_pipeline.metrics.catalogue import AtMost, OneOf
from pettwin_pipeline.readings import schema

TAGGED_PARTITIONS: Final = 12
"""Partitions and lanes 0 to 11 have series of their own, the others are `other`."""
WATCHED_PETS: Final = 50
"""Pets with gauges of their own: the first of the watch list by id."""

NUMBERED: Final = OneOf(tuple(str(number) for number in range(TAGGED_PARTITIONS)), folds=True)

# Values that are named elsewhere: the limit is what settings and definitions hold, with some room.
MODEL: Final = AtMost(3, "settings")
TOPIC: Final = AtMost(4, "settings")  # readings, alerts, labels, dead letters
READ_TOPIC: Final = AtMost(2, "settings")  # readings, labels
GROUP: Final = AtMost(1, "settings")
PET: Final = AtMost(WATCHED_PETS, "data")
ASSET: Final = AtMost(16, "definitions")
JOB: Final = AtMost(8, "definitions")
CHECK: Final = AtMost(16, "definitions")

SPECIES: Final = OneOf(schema.SPECIES)
SPECIES_OR_ALL: Final = OneOf((*schema.SPECIES, "all"))
SPECIES_OF_PET: Final = OneOf(schema.SPECIES, follows="pet_id")
SIZE: Final = OneOf(schema.SIZES)
DETECTOR: Final = OneOf(("statistical", "gemini", "ensemble"))
SEVERITY: Final = OneOf(("low", "medium", "high", "critical"))
CHANNEL: Final = OneOf(("topic", "webhook", "file", "email"))
STAGE: Final = OneOf(("ingest", "validate", "score", "explain", "publish"))
COMPONENT: Final = OneOf(("sensor", "worker", "daemon", "producer", "local_datadog"))
RESOURCE: Final = OneOf(("dashboard", "monitor", "slo", "metric"))
RUN_STATUS: Final = OneOf(("success", "failure", "canceled"))
DONE: Final = OneOf(("success", "failed"))

CALL_OUTCOME: Final = OneOf(("success", "fallback", "error"))
CALL_REASONS: Final = (
    *("timeout", "rate_limited", "server_error", "invalid_response", "auth", "blocked"),
    *("circuit_open", "budget", "other"),
)
CALL_REASON: Final = OneOf(CALL_REASONS, optional=True)  # a success has none

PIPELINE_REASON: Final = OneOf(
    (
        *("broker", "timeout", "decode", "storage", "ledger", "lease_lost", "model", "transport"),
        "other",
    )
)
