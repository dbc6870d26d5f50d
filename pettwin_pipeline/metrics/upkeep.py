"""The points of the sensors and the producer: lag, life signs, freshness, runs, lanes. Pure.

States are recorded as they are, zero too where zero is a state that a monitor has to see again.
Events are recorded where there were any: no zero is sent to make a metric exist.
"""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from pettwin_pipeline.metrics.points import Recorder
from pettwin_pipeline.readings.schema import tag_species


def record_lag(
    recorder: Recorder, lag_by_partition: Mapping[int, int], topic: str, group: str
) -> None:
    """Messages that wait, by partition; those of the partitions beyond the tagged add up."""
    for partition, lag in lag_by_partition.items():
        recorder.gauge(
            "kafka.consumer.lag",
            max(lag, 0),
            topic=topic,
            consumer_group=group,
            partition=partition,
        )


def record_heartbeat(recorder: Recorder, component: str) -> None:
    """This component lives."""
    recorder.gauge("pipeline.heartbeat", 1, component=component)


def record_process(
    recorder: Recorder, component: str, cpu_percent: float, memory_bytes: int
) -> None:
    """What a process of the pipeline takes: percent of one core, resident bytes."""
    recorder.gauge("pipeline.process.cpu", cpu_percent, component=component)
    recorder.gauge("pipeline.process.memory", memory_bytes, component=component)


def record_freshness(
    recorder: Recorder,
    age_s_by_asset: Mapping[str, float],
    fail_window_s_by_asset: Mapping[str, float],
) -> None:
    """How long ago each asset was materialised, and against its fail window where it has one."""
    for asset, age_s in age_s_by_asset.items():
        recorder.gauge("dagster.asset.freshness", age_s, asset=asset)
        if window_s := fail_window_s_by_asset.get(asset):
            recorder.gauge("dagster.asset.freshness_ratio", age_s / window_s, asset=asset)


def record_run(recorder: Recorder, job: str, status: str, duration_s: float | None) -> None:
    """A run that ended.

    Args:
        recorder: of the points.
        job: its name.
        status: success, failure or canceled, in any case: Dagster's own words do.
        duration_s: None for a run that ended before it began.
    """
    tags = {"job": job, "status": status.lower()}
    recorder.count("dagster.runs", tags=tags)
    if duration_s is not None:
        recorder.distribution("dagster.run.duration", [duration_s], tags=tags)


def record_active_pets(recorder: Recorder, pets_by_species: Mapping[str | None, int]) -> None:
    """Distinct pets of the last minutes; species as sent, what is not dog or cat adds up."""
    totals: dict[str, int] = {}
    for species, pets in pets_by_species.items():
        tag = tag_species(species)
        totals[tag] = totals.get(tag, 0) + pets
    for tag, pets in totals.items():
        recorder.gauge("pet.health.active_pets", pets, species=tag)


def record_lanes(
    recorder: Recorder,
    lease_age_s_by_lane: Mapping[int, float],
    parked_lanes: Collection[int],
    lanes: Iterable[int] = (),
) -> None:
    """How long lanes have been held, and which were given up on.

    Args:
        recorder: of the points.
        lease_age_s_by_lane: seconds since the lease was taken, of the lanes that are held.
        parked_lanes: the lanes given up on: each says 1.
        lanes: all lanes. Those that are not parked say 0, so that the alert on one that was parked
            ends; the held ones do so in any case.
    """
    for lane, age_s in lease_age_s_by_lane.items():
        recorder.gauge("pipeline.lane.lease_age", age_s, lane=lane)
    for lane in sorted({*lanes, *lease_age_s_by_lane, *parked_lanes}):
        recorder.gauge("pipeline.lane.parked", int(lane in parked_lanes), lane=lane)


def record_backlog(recorder: Recorder, waiting_by_channel: Mapping[str, int]) -> None:
    """Notifications in the outbox; zero too, or the alert on a backlog would not end."""
    for channel, waiting in waiting_by_channel.items():
        recorder.gauge("pipeline.outbox.backlog", waiting, channel=channel)


def record_notification(recorder: Recorder, severity: str, channel: str, outcome: str) -> None:
    """An attempt to tell an owner of an alert: delivered or failed."""
    recorder.count("pet.health.alerts.sent", severity=severity, channel=channel, outcome=outcome)


def record_request(recorder: Recorder, peer: str, outcome: str, elapsed_ms: float) -> None:
    """A request to somebody else's API: success or failed, and how long it took."""
    recorder.distribution("pipeline.http.latency", [elapsed_ms], peer=peer, outcome=outcome)


def record_deliveries(
    recorder: Recorder,
    topic: str,
    acked: int,
    failed: int,
    latencies_ms: Iterable[float] | npt.NDArray[np.float64],
) -> None:
    """What the delivery callbacks said of the messages produced to a topic."""
    recorder.count("kafka.messages.produced", acked, topic=topic, outcome="acked")
    recorder.count("kafka.messages.produced", failed, topic=topic, outcome="failed")
    recorder.distribution("kafka.produce.latency", latencies_ms, topic=topic)
