"""What the pipeline reports of itself: stream, stages, Dagster, Datadog as code, as data."""

from typing import Final

from pettwin_pipeline.metrics.catalogue import Metric, OneOf
from pettwin_pipeline.metrics.tag_sets import (
    ASSET,
    CHANNEL,
    CHECK,
    COMPONENT,
    DONE,
    GROUP,
    JOB,
    NUMBERED,
    PIPELINE_REASON,
    READ_TOPIC,
    RESOURCE,
    RUN_STATUS,
    STAGE,
    TOPIC,
)
from pettwin_pipeline.readings.schema import RejectReason

STREAM: Final = (
    Metric(
        "kafka.consumer.lag",
        "gauge",
        "message",
        {"topic": READ_TOPIC, "consumer_group": GROUP, "partition": NUMBERED},
        "high watermark minus committed offset",
        together="sum",
    ),
    Metric(
        "kafka.consumer.event_age",
        "distribution",
        "second",
        {"topic": READ_TOPIC, "consumer_group": GROUP},
        "now minus event time at processing",
        percentiles=True,
    ),
    Metric(
        "kafka.messages.produced",
        "count",
        "message",
        {"topic": TOPIC, "outcome": OneOf(("acked", "failed"))},
        "counted in the delivery callback",
    ),
    Metric(
        "kafka.produce.latency",
        "distribution",
        "millisecond",
        {"topic": TOPIC},
        "produce() to acknowledgement",
        percentiles=True,
    ),
    Metric(
        "kafka.messages.consumed",
        "count",
        "message",
        {"topic": READ_TOPIC, "consumer_group": GROUP},
        "readings accepted",
    ),
    Metric(
        "kafka.messages.dead_lettered",
        "count",
        "message",
        {"topic": READ_TOPIC, "reason": OneOf(tuple(reason.value for reason in RejectReason))},
        "messages sent to the dead-letter topic",
    ),
    Metric(
        "kafka.offsets.gap",
        "count",
        "message",
        {"topic": READ_TOPIC, "partition": NUMBERED},
        "offsets that retention removed before they were read",
    ),
)

PIPELINE: Final = (
    Metric(
        "pipeline.stage.latency",
        "distribution",
        "millisecond",
        {"stage": STAGE, "outcome": DONE},
        "time of a stage per batch",
        percentiles=True,
    ),
    Metric(
        "pipeline.errors",
        "count",
        "error",
        {"stage": STAGE, "reason": PIPELINE_REASON},
        "failures handled",
    ),
    Metric("pipeline.heartbeat", "gauge", "", {"component": COMPONENT}, "1 every minute"),
    Metric(
        "pipeline.process.cpu",
        "gauge",
        "percent",
        {"component": COMPONENT},
        "of the pipeline's own processes",
    ),
    Metric(
        "pipeline.process.memory",
        "gauge",
        "byte",
        {"component": COMPONENT},
        "resident memory of the pipeline's own processes",
    ),
    Metric(
        "pipeline.lane.lease_age",
        "gauge",
        "second",
        {"lane": NUMBERED},
        "how long a lane has been held",
    ),
    Metric(
        "pipeline.lane.parked",
        "gauge",
        "lane",
        {"lane": NUMBERED},
        "lanes given up on",
        together="sum",
    ),
    Metric(
        "pipeline.outbox.backlog",
        "gauge",
        "message",
        {"channel": CHANNEL},
        "notifications not yet delivered",
    ),
    Metric(
        "pipeline.http.latency",
        "distribution",
        "millisecond",
        {"peer": OneOf(("gemini", "datadog", "webhook")), "outcome": DONE},
        "response times of the APIs that are called",
        percentiles=True,
    ),
)

DAGSTER: Final = (
    Metric(
        "dagster.runs",
        "count",
        "run",
        {"job": JOB, "status": RUN_STATUS},
        "finished runs",
    ),
    Metric(
        "dagster.run.duration",
        "distribution",
        "second",
        {"job": JOB, "status": RUN_STATUS},
        "of finished runs",
    ),
    Metric(
        "dagster.asset.freshness",
        "gauge",
        "second",
        {"asset": ASSET},
        "since the last materialisation",
    ),
    Metric(
        "dagster.asset.freshness_ratio",
        "gauge",
        "",
        {"asset": ASSET},
        "the same, divided by the asset's own fail window",
    ),
    Metric(
        "dagster.asset.checks",
        "count",
        "check",
        {
            "check": CHECK,
            "outcome": OneOf(("passed", "failed")),
            "severity": OneOf(("warn", "error")),
        },
        "results of asset checks",
    ),
)

OBSERVABILITY: Final = (
    Metric(
        "observability.sync.resources",
        "gauge",
        "resource",
        {"kind": RESOURCE, "state": OneOf(("in_sync", "drifted", "missing", "unmanaged"))},
        "desired against actual",
    ),
    Metric(
        "observability.sync.applies",
        "count",
        "operation",
        {"kind": RESOURCE, "outcome": OneOf(("applied", "failed"))},
        "creations, changes and deletions",
    ),
    Metric(
        "telemetry.points",
        "count",
        "",
        {
            "transport": OneOf(("dogstatsd", "http", "none")),
            "outcome": OneOf(("accepted", "dropped")),
        },
        "the pipeline's own points, and what became of them",
    ),
    Metric(
        "telemetry.tags.limited",
        "count",
        "",
        {
            "family": OneOf(
                (
                    *("pet_id", "partition", "lane", "model_version", "gen_ai.request.model"),
                    *("topic", "consumer_group", "asset", "job", "check"),
                )
            )
        },
        "values recorded under `other` because a tag was full, by tag",
    ),
)
