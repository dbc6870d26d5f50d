"""From the topic to readings: the sensor that plans ranges, the asset that reads one exactly."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pettwin_pipeline.defs.ports import Materialized, Ports
from pettwin_pipeline.defs.tables import show_table
from pettwin_pipeline.errors import NoBrokerError, PettwinError

if TYPE_CHECKING:
    import polars as pl

    from pettwin_pipeline.adapters.kafka_messages import Fetched, Outgoing
    from pettwin_pipeline.adapters.ledger_records import RangeRecord
    from pettwin_pipeline.batches import OffsetRange
    from pettwin_pipeline.readings.schema import AgeLimits, Reject
    from pettwin_pipeline.settings import Settings

EARLY_S: Final = 1
"""Dagster looks at its sensors every 5 s, and passes over one whose interval ends a moment later:
it would come 5 s late, every second time at an interval of 5 s."""
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
    output_required=False,
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
def telemetry_batch(
    context: dg.AssetExecutionContext, ports: Ports
) -> Iterator[Materialized | dg.AssetCheckResult]:
    """Readings of one offset range, exactly; what is not a reading goes to the dead letters.

    A run whose range is done is a replay: it compares, and nothing comes of it.
    """
    from pettwin_pipeline.defs.stored import remove_stored
    from pettwin_pipeline.defs.work import describe_range, done_before, take_range, working
    from pettwin_pipeline.metrics.points import WatchList
    from pettwin_pipeline.metrics.stages import record_readings, record_rejects, record_watched

    done = done_before(context, ports)
    if done is not None:
        yield from _replay(context, ports, done)
        return
    take_range(context, ports)
    with working(context, ports, "ingest") as work:
        settings = ports.settings
        topic, group = settings.kafka_topic, settings.kafka_consumer_group
        for whole in ports.ledger.setbacks.wholes(work.range):  # else its rows were there twice
            remove_stored(ports, whole)
        got = ports.kafka.read_range(topic, work.range.parts, keep_alive=work.renew)
        with work.timed_as("validate"):
            batch = _validated(ports, got)
            work.renew()
            publish_dead_letters(ports, (topic, work.range.epoch), batch.rejects)
        work.renew()
        readings, rejects = batch.readings, batch.rejects
        path = ports.files.write_frame(work.range, "readings", readings)
        record_readings(work.recorder, readings, topic, group, ports.now_s)
        record_watched(work.recorder, readings, WatchList(settings.watch_pets))
        record_rejects(work.recorder, rejects, topic)
        checks = _checks(batch)
        for check in checks:
            work.note_check(check)
        if not checks[0].passed:  # Dagster stops here: the lane must not wait for the lease to end
            work.give_up("messages were skipped or counted twice: see the asset check")
        work.counts |= {
            "messages": batch.messages,
            "readings": len(readings),
            "rejects": len(rejects),
            "erased": batch.erased,
        }
        metadata = {
            "dagster/row_count": len(readings),
            "dagster/column_schema": _column_schema(),
            "messages": batch.messages,
            "rejects": _rejects_table(rejects),
            "pets": readings["pet_id"].n_unique(),
            "file": dg.MetadataValue.path(str(path)),
            **_services(ports),
            **describe_range(work.record),
        }
    yield dg.MaterializeResult(metadata=metadata, check_results=checks)


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """What the messages of a range are."""

    messages: int
    readings: "pl.DataFrame"
    rejects: "Sequence[Reject]"
    erased: int
    """Readings of pets that were erased after they came: nothing is kept of them."""


def read_exactly(ports: Ports, one: "OffsetRange") -> ReadBatch:
    """The messages of a range, read and judged. Has no effect."""
    return _validated(ports, ports.kafka.read_range(one.topic, one.parts))


def _validated(ports: Ports, got: "Fetched") -> ReadBatch:
    from pettwin_pipeline.defs.stored import without_erased
    from pettwin_pipeline.readings.decode import decode_batch

    limits = _age_limits(ports.settings)
    decoded = decode_batch(got.values, got.keys, got.partitions, got.offsets, got.kafka_ms, limits)
    kept = without_erased(ports, decoded.readings)
    return ReadBatch(
        messages=len(got.values),
        readings=kept,
        rejects=decoded.rejects,
        erased=len(decoded.readings) - len(kept),
    )


def _replay(
    context: dg.AssetExecutionContext, ports: Ports, record: "RangeRecord"
) -> Iterator[dg.AssetCheckResult]:
    """A run that was executed again: its range is scored and compared; later assets are skipped."""
    from pettwin_pipeline.defs.replays import replay_range, replay_table
    from pettwin_pipeline.defs.work import told_plainly

    with told_plainly():
        done = replay_range(ports, record)
    context.log.info("a replay, because this range is done: %s", done.told)
    context.log_event(
        dg.AssetObservation(
            "telemetry_batch", metadata={"replay": replay_table([done]), "told": done.told}
        )
    )
    if not done.same and done.comparable:
        raise dg.Failure(done.told, allow_retries=False)
    yield from _checks(done.batch)


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


def publish_dead_letters(ports: Ports, place: tuple[str, str], rejects: "Sequence[Reject]") -> None:
    """Send what is no reading, or no label, where nothing is lost.

    Args:
        ports: the outside.
        place: the topic in which it lay, and its epoch.
        rejects: what it is.
    """
    from pettwin_pipeline.adapters.kafka_messages import Outgoing
    from pettwin_pipeline.readings.dead_letters import DeadLetter, encode_headers

    if not rejects:
        return
    partitions = len(ports.kafka.partitions(place[0]))
    letters = [
        Outgoing(one.key, one.value, headers=encode_headers(DeadLetter(one, *place, partitions)))
        for one in rejects
    ]
    ports.kafka.publish(ports.settings.dead_letter_topic, letters, _shorten)


def _shorten(letter: "Outgoing") -> "Outgoing":
    """What is sent of a letter that is too large for its topic: one message stops no batch."""
    from pettwin_pipeline.readings.dead_letters import LENGTH, LETTER_BYTES

    value = letter.value or b""
    told = (LENGTH, str(len(value)).encode())
    return replace(letter, value=value[:LETTER_BYTES], headers=(*letter.headers, told))


def _checks(batch: ReadBatch) -> list[dg.AssetCheckResult]:
    messages, readings, rejects = batch.messages, len(batch.readings), len(batch.rejects)
    share = rejects / messages if messages else 0.0
    return [
        dg.AssetCheckResult(
            passed=readings + rejects + batch.erased == messages,
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
        {"reason": reason, "count": number, "for example": examples[reason]}
        for reason, number in counts.most_common()
    ]
    return show_table(rows, {"reason": "string", "count": "int", "for example": "string"})


def due_after_s(interval_s: int) -> int:
    """What Dagster is told of a sensor that is to come at an interval."""
    return max(1, interval_s - EARLY_S)


def make_new_readings_sensor(job: dg.JobDefinition | Any, interval_s: int) -> dg.SensorDefinition:
    """The sensor that requests a run for every lane that has something to read."""

    @dg.sensor(
        name="new_readings",
        job=job,
        minimum_interval_seconds=due_after_s(interval_s),
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
