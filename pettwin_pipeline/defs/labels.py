"""From the topic of labels to the ledger: what vets and the simulator say of the pets.

A tick of the sensor reads what is new, in order, and keeps it with how far it came. What is no
label goes to the dead letters. Days whose labels have settled are asked for again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pettwin_pipeline.defs.ingest import due_after_s, publish_dead_letters
from pettwin_pipeline.defs.ports import Ports
from pettwin_pipeline.errors import NoBrokerError, PettwinError

if TYPE_CHECKING:
    from pettwin_pipeline.adapters.kafka_messages import Fetched
    from pettwin_pipeline.batches import PartitionRange
    from pettwin_pipeline.readings.schema import Reject
    from pettwin_pipeline.readings.simulator.labels import Label

INTERVAL_S: Final = 60
MOST_LABELS: Final = 20_000
"""Of a partition, that one tick reads."""
SETTLE_S: Final = 120.0
"""Labels of a day that came so lately may be followed by others: it is not computed yet."""
AGAIN_S: Final = 600.0
"""A day that was asked for is asked for again after so long, if its run came to nothing."""
MOST_DAYS: Final = 10
"""Days that a tick asks for, the newest first."""
CURRENT_DAYS: Final = 2
"""Qualities of so many days are reported as how the detector stands."""

pet_health_labels = dg.AssetSpec(
    "pet_health_labels",
    description="What was true of the pets, from vets or the simulator, keyed by pet.",
    group_name="topics",
    kinds={"kafka"},
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a look at the topic of labels brought."""

    labels: int
    refused: "Sequence[Reject]"


def take_labels(ports: Ports) -> Taken:
    """Read new labels into the ledger; killed in between, they are read again."""
    from pettwin_pipeline.batches import PartitionRange

    topic = ports.settings.kafka_labels_topic
    place = topic, ports.kafka.topic_epoch(topic)
    marks, positions = ports.kafka.watermarks(topic), ports.ledger.positions(*place)
    parts = []
    for partition, mark in sorted(marks.items()):
        start = max(positions.get(partition, mark.low), mark.low)
        if start < mark.stable:
            parts.append(PartitionRange(partition, start, min(mark.stable, start + MOST_LABELS)))
    return _take(ports, place, parts) if parts else Taken(0, ())


def _take(ports: Ports, place: tuple[str, str], parts: "Sequence[PartitionRange]") -> Taken:
    got = ports.kafka.read_range(place[0], parts)
    labels, refused = _parsed(ports, got)
    publish_dead_letters(ports, place, refused)
    ends = {part.partition: part.end for part in parts}
    ports.ledger.labels.keep(labels, place, ends, ports.now_s)
    return Taken(len(labels), refused)


def _parsed(ports: Ports, got: "Fetched") -> "tuple[list[Label], list[Reject]]":
    """Labels of pets that were not erased since, and what is no label."""
    from pettwin_pipeline.adapters.ledger_upkeep import erased_pets
    from pettwin_pipeline.readings.schema import Reject, RejectReason
    from pettwin_pipeline.readings.simulator.labels import parse_label

    erasures = ports.ledger.upkeep.erasures()
    labels, refused = [], []
    for row, value in enumerate(got.values):
        place = int(got.partitions[row]), int(got.offsets[row])
        label, stamp = parse_label(value), int(got.kafka_ms[row])
        if isinstance(label, str):
            reason = RejectReason.TOMBSTONE if value is None else RejectReason.WRONG_TYPE
            refused.append(Reject(*place, got.keys[row], value, reason, label, stamp))
        elif stamp > 1000 * erased_pets(erasures, [label.pet_id]).get(label.pet_id, -1.0):
            labels.append(label)
    return labels, refused


def make_new_labels_sensor(job: Any) -> dg.SensorDefinition:
    """The sensor that takes labels in, and asks for the days that they change."""

    @dg.sensor(
        name="new_labels",
        job=job,
        minimum_interval_seconds=due_after_s(INTERVAL_S),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Labels that came, late ones too: the days that they change are measured anew.",
    )
    def new_labels(
        context: dg.SensorEvaluationContext, ports: Ports
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            taken = take_labels(ports)
        except NoBrokerError as error:
            return dg.SkipReason(str(error))
        except PettwinError as error:
            raise dg.DagsterError(str(error)) from None
        for one in taken.refused:
            place = one.partition, one.offset
            context.log.warning("partition %d, offset %d is no label: %s", *place, one.detail)
        _report(ports, taken)
        days = due_days(ports)
        if not days:
            return dg.SkipReason(f"{taken.labels} new labels; no day is due")
        requests = [
            dg.RunRequest(run_key=f"{day}/{round(ports.now_s)}", partition_key=day) for day in days
        ]
        return dg.SensorResult(run_requests=requests)

    return new_labels


def due_days(ports: Ports) -> list[str]:
    """Days whose labels have settled, noted as asked for."""
    now_s, labels = ports.now_s, ports.ledger.labels
    days = labels.due_days(now_s - SETTLE_S, now_s - AGAIN_S)[:MOST_DAYS]
    labels.note_asked(days, now_s)
    return days


def _report(ports: Ports, taken: Taken) -> None:
    """How the detector stands by the newest day that was measured, and what is no label."""
    from pettwin_pipeline.adapters.ledger_labels import day_of
    from pettwin_pipeline.metrics.points import Recorder
    from pettwin_pipeline.metrics.quality_points import record_quality
    from pettwin_pipeline.metrics.stages import record_rejects

    recorder = Recorder()
    record_rejects(recorder, taken.refused, ports.settings.kafka_labels_topic)
    since = day_of(round(ports.now_s * 1000)) - timedelta(days=CURRENT_DAYS - 1)
    rows = [one for one in ports.ledger.labels.qualities(since.isoformat()) if one["is_enough"]]
    newest = max((one["day"] for one in rows), default=None)
    record_quality(recorder, (one for one in rows if one["day"] == newest))
    ports.send(recorder.drain(), host="sensor")
