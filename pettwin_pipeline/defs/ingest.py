"""From the topic to readings: the sensor that plans ranges, the asset that reads one exactly."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pettwin_pipeline.defs.ports import Materialized, Ports
from pettwin_pipeline.errors import NoBrokerError, PettwinError

if TYPE_CHECKING:
    from pettwin_pipeline.adapters.kafka_messages import Outgoing
    from pettwin_pipeline.adapters.ledger_records import RangeRecord
    from pettwin_pipeline.readings.schema import AgeLimits, Reject
    from pettwin_pipeline.settings import Settings

DEAD_LETTER_SHARE: Final = 0.05
STREAM_FRESHNESS: Final = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(minutes=15), warn_window=timedelta(minutes=5)
)
OWNERS: Final = ("team:pettwin",)

pet_health_stream = dg.AssetSpec(
    "pet_health_stream",
    description="Readings of the collars, keyed by pet. Filled from outside.",
    group_name="topics",
    kinds={"kafka"},
)
pet_health_dead_letters = dg.AssetSpec(
    "pet_health_dead_letters",
    deps=["telemetry_batch"],
    description="Messages that are not readings, with reason, place and the original bytes.",
    group_name="topics",
    kinds={"kafka"},
)


@dg.asset(
    group_name="ingest",
    kinds={"kafka", "polars", "parquet"},
    code_version="1",
    owners=OWNERS,
    deps=[pet_health_stream],
    freshness_policy=STREAM_FRESHNESS,
    check_specs=[
        dg.AssetCheckSpec(
            "every_message_became_a_reading_or_a_reject",
            asset="telemetry_batch",
            blocking=True,
            description="Nothing between the offsets was skipped or counted twice.",
        ),
        dg.AssetCheckSpec(
            "dead_letter_share_is_small",
            asset="telemetry_batch",
            description=f"At most {DEAD_LETTER_SHARE:.0%} of the messages are not readings.",
        ),
    ],
)
def telemetry_batch(context: dg.AssetExecutionContext, ports: Ports) -> Materialized:
    """Readings of one offset range, exactly; what is not a reading goes to the dead letters."""
    from pettwin_pipeline.defs.work import describe_range, take_range, working
    from pettwin_pipeline.metrics.points import WatchList
    from pettwin_pipeline.metrics.stages import record_readings, record_rejects, record_watched
    from pettwin_pipeline.readings.decode import decode_batch

    take_range(context, ports)
    with working(context, ports, "ingest") as work:
        settings = ports.settings
        topic, group = settings.kafka_topic, settings.kafka_consumer_group
        got = ports.kafka.read_range(topic, work.range.parts, keep_alive=work.renew)
        with work.timed_as("validate"):
            limits = _age_limits(settings)
            decoded = decode_batch(
                got.values, got.keys, got.partitions, got.offsets, got.kafka_ms, limits
            )
            work.renew()
            letters = (_dead_letter(one, topic) for one in decoded.rejects)
            ports.kafka.publish(settings.dead_letter_topic, letters)
        work.renew()
        path = ports.files.write_frame(work.range, "readings", decoded.readings)
        record_readings(work.recorder, decoded.readings, topic, group, ports.now_s)
        record_watched(work.recorder, decoded.readings, WatchList(settings.watch_pets))
        record_rejects(work.recorder, decoded.rejects, topic)
        checks = _checks(len(got.values), len(decoded.readings), len(decoded.rejects))
        for check in checks:
            work.note_check(check)
        if not checks[0].passed:  # Dagster stops here: the lane must not wait for the lease to end
            work.give_up("messages were skipped or counted twice: see the asset check")
        work.counts |= {
            "messages": len(got.values),
            "readings": len(decoded.readings),
            "rejects": len(decoded.rejects),
        }
        metadata = {
            "dagster/row_count": len(decoded.readings),
            "dagster/column_schema": _column_schema(),
            "messages": len(got.values),
            "rejects": _rejects_table(decoded.rejects),
            "pets": decoded.readings["pet_id"].n_unique(),
            "file": dg.MetadataValue.path(str(path)),
            **_services(ports),
            **describe_range(work.record),
        }
    return dg.MaterializeResult(metadata=metadata, check_results=checks)


def _age_limits(settings: "Settings") -> "AgeLimits":
    from pettwin_pipeline.readings.schema import AgeLimits

    return AgeLimits(
        max_age_ms=round(settings.pettwin_max_age_h * 3_600_000),
        max_ahead_ms=round(settings.pettwin_max_ahead_s * 1000),
    )


def _services(ports: Ports) -> dict[str, str]:
    """What is real and what is local, so that nobody takes the one for the other."""
    return {one.name: f"{one.state}: {one.detail}" for one in ports.settings.services()}


def _column_schema() -> dg.TableSchema:
    from pettwin_pipeline.readings.schema import READING_SCHEMA

    return dg.TableSchema(
        [dg.TableColumn(name, str(kind)) for name, kind in READING_SCHEMA.items()]
    )


def _dead_letter(reject: "Reject", topic: str) -> "Outgoing":
    from pettwin_pipeline.adapters.kafka_messages import Outgoing

    headers = (
        ("reason", reject.reason.value.encode()),
        ("detail", reject.detail.encode("utf-8", "replace")[:1000]),
        ("topic", topic.encode()),
        ("partition", str(reject.partition).encode()),
        ("offset", str(reject.offset).encode()),
    )
    return Outgoing(key=reject.key, value=reject.value, headers=headers)


def _checks(messages: int, readings: int, rejects: int) -> list[dg.AssetCheckResult]:
    share = rejects / messages if messages else 0.0
    return [
        dg.AssetCheckResult(
            passed=readings + rejects == messages,
            check_name="every_message_became_a_reading_or_a_reject",
            metadata={"messages": messages, "readings": readings, "rejects": rejects},
        ),
        dg.AssetCheckResult(
            passed=share <= DEAD_LETTER_SHARE,
            check_name="dead_letter_share_is_small",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"share": share},
        ),
    ]


def _rejects_table(rejects: "Sequence[Reject]") -> dg.TableMetadataValue:
    counts = Counter(reject.reason.value for reject in rejects)
    examples: dict[str, str] = {}
    for one in rejects:
        examples.setdefault(one.reason.value, f"{one.partition}/{one.offset}: {one.detail}")
    rows = [
        dg.TableRecord({"reason": reason, "count": number, "for example": examples[reason]})
        for reason, number in counts.most_common()
    ]
    names = (("reason", "string"), ("count", "int"), ("for example", "string"))
    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in names])
    return dg.MetadataValue.table(rows, schema=schema)


def make_new_readings_sensor(job: dg.JobDefinition | Any, interval_s: int) -> dg.SensorDefinition:
    """The sensor that requests a run for every lane that has something to read."""

    @dg.sensor(
        name="new_readings",
        job=job,
        minimum_interval_seconds=interval_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Readings that nobody has read yet: one run a free lane, for exact offsets.",
    )
    def new_readings(
        context: dg.SensorEvaluationContext, ports: Ports
    ) -> dg.SensorResult | dg.SkipReason:
        from pettwin_pipeline.defs.planning import request_ranges

        try:
            requests = request_ranges(ports)
        except NoBrokerError as error:
            return dg.SkipReason(str(error))
        except PettwinError as error:
            raise dg.DagsterError(str(error)) from None
        _report_gaps(context, ports, requests.gaps)
        if not requests.ranges:
            return dg.SkipReason("; ".join(requests.idle) or "nothing new")
        return dg.SensorResult(run_requests=[_run_request(one) for one in requests.ranges])

    return new_readings


def _report_gaps(context: dg.SensorEvaluationContext, ports: Ports, gaps: Sequence[Any]) -> None:
    from pettwin_pipeline.metrics.points import Recorder
    from pettwin_pipeline.metrics.stages import record_gaps

    for gap in gaps:
        context.log.error(
            "partition %d: offsets %d to %d were dropped by the broker before they were read",
            *(gap.partition, gap.start, gap.end),
        )
    if gaps:
        recorder = Recorder()
        record_gaps(recorder, gaps, ports.settings.kafka_topic)
        ports.send(recorder.drain(), host="sensor")


def _run_request(record: "RangeRecord") -> dg.RunRequest:
    from pettwin_pipeline.defs.work import ATTEMPT_TAG, LANE_TAG, RANGE_TAG

    return dg.RunRequest(
        run_key=record.range.run_key(record.attempt),
        tags={
            RANGE_TAG: str(record.id),
            ATTEMPT_TAG: str(record.attempt),
            LANE_TAG: str(record.range.lane),
        },
    )
