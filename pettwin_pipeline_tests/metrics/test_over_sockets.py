"""A batch through real sockets: what all stages record arrives as the catalogue declares it."""

from dataclasses import dataclass

import pytest

from pettwin_pipeline.adapters.telemetry import make_transport
from pettwin_pipeline.batches import Gap
from pettwin_pipeline.metrics.points import Recorder, WatchList
from pettwin_pipeline.metrics.stages import (
    record_alerts,
    record_episodes,
    record_gaps,
    record_readings,
    record_rejects,
    record_watched,
)
from pettwin_pipeline.metrics.upkeep import (
    record_active_pets,
    record_backlog,
    record_deliveries,
    record_freshness,
    record_heartbeat,
    record_lag,
    record_lanes,
    record_process,
    record_run,
)
from pettwin_pipeline.readings.schema import Reject, RejectReason
from pettwin_pipeline.settings import Settings
from pettwin_pipeline_tests.metrics.batch import NOW_S, alert, episode, frame
from pettwin_pipeline_tests.metrics.datagrams import Line, Listener, check_line

CONSTANT = ("env:test", "service:pettwin-pipeline", "version:1.2.3")
OF_A_BATCH = {
    "kafka.messages.consumed",
    "kafka.consumer.event_age",
    "kafka.messages.dead_lettered",
    "kafka.offsets.gap",
    "pet.health.heart_rate",
    "pet.health.activity_score",
    "pet.health.gait_symmetry",
    "pet.health.sleep_quality",
    "pet.health.watch.heart_rate",
    "pet.health.watch.activity_score",
    "pet.health.watch.gait_symmetry",
    "pet.health.anomaly.detected",
    "pet.health.alerts.sent",
}
OF_SENSORS_AND_PRODUCER = {
    "kafka.consumer.lag",
    "kafka.messages.produced",
    "kafka.produce.latency",
    "pipeline.heartbeat",
    "pipeline.process.cpu",
    "pipeline.process.memory",
    "pipeline.lane.lease_age",
    "pipeline.lane.parked",
    "pipeline.outbox.backlog",
    "dagster.asset.freshness",
    "dagster.asset.freshness_ratio",
    "dagster.runs",
    "dagster.run.duration",
    "pet.health.active_pets",
}
OF_TELEMETRY = {"telemetry.points", "telemetry.tags.limited"}


def record_a_batch(recorder: Recorder) -> None:
    """60 watched pets of five cohorts, each a full reading every two seconds for a minute."""
    cohorts = [("dog", "small"), ("dog", "giant"), ("cat", "na"), ("horse", "huge"), (None, None)]
    vitals = {"activity_score": 30.0, "gait_symmetry": 0.9, "sleep_quality": 0.1}
    readings = frame(
        *(
            {
                "pet_id": f"Pet {pet:02d}",
                "species": cohorts[pet % 5][0],
                "size": cohorts[pet % 5][1],
                "time_ms": int(NOW_S * 1000) - 2_000 * tick,
                "heart_rate": 60.0 + pet + tick / 8,
                **vitals,
            }
            for pet in range(60)
            for tick in range(30)
        )
    )
    record_readings(recorder, readings, "pet-health-stream", "pettwin-pipeline", NOW_S)
    record_watched(recorder, readings, WatchList(readings["pet_id"]))
    rejects = [Reject(0, 1, None, None, reason, "") for reason in RejectReason]
    record_rejects(recorder, rejects, "pet-health-stream")
    record_gaps(recorder, [Gap(partition, 5, 9) for partition in range(20)], "pet-health-stream")
    record_episodes(recorder, [episode(severity="medium"), episode(species="cat")])
    record_alerts(recorder, [alert("medium"), alert("critical")], "delivered")


def record_sensors_and_producer(recorder: Recorder) -> None:
    """What goes on beside a batch."""
    record_lag(recorder, dict.fromkeys(range(20), 7), "pet-health-stream", "pettwin-pipeline")
    record_deliveries(recorder, "pet-health-alerts", 2, 1, [3.5, 4.5])
    for component in ("sensor", "worker", "daemon", "producer", "local_datadog"):
        record_heartbeat(recorder, component)
        record_process(recorder, component, 3.5, 200_000_000)
    record_lanes(recorder, {0: 4.0}, [2], lanes=range(20))
    record_backlog(recorder, {"topic": 0, "webhook": 1, "email": 0})
    record_freshness(recorder, {"telemetry_batch": 12.0}, {"telemetry_batch": 120.0})
    record_run(recorder, "stream_job", "SUCCESS", 3.25)
    record_active_pets(recorder, {"dog": 24, "cat": 12, "horse": 12, None: 12})


@dataclass(frozen=True)
class Arrived:
    """The lines that arrived, and how many points were sent."""

    lines: list[Line]
    points: int

    def of(self, name: str) -> list[Line]:
        """The lines of a metric."""
        return [line for line in self.lines if line.name == name]

    def total(self, name: str) -> float:
        """The sum over the series of a count or gauge."""
        return sum(line.values[0] for line in self.of(name))

    def measured(self, name: str) -> float:
        """How many values of a distribution there were."""
        return sum(line.weighted_values for line in self.of(name))


@pytest.fixture(scope="module")
def arrived() -> Arrived:
    """What came of a batch, over UDP."""
    recorder = Recorder()
    record_a_batch(recorder)
    record_sensors_and_producer(recorder)
    points = recorder.drain()
    with Listener.udp() as listener:
        settings = Settings.load(
            {
                "DD_DOGSTATSD_URL": f"udp://127.0.0.1:{listener.port}",
                "DD_ENV": "test",
                "DD_VERSION": "1.2.3",
            }
        )
        report = make_transport(settings).send(points, NOW_S)
        assert (report.accepted, report.dropped) == (len(points), 0)
        return Arrived(listener.lines(), len(points))


def test_every_line_is_what_the_catalogue_declares(arrived: Arrived) -> None:
    for line in arrived.lines:
        check_line(line, CONSTANT)


def test_every_metric_that_the_stages_record_arrives(arrived: Arrived) -> None:
    names = {line.name for line in arrived.lines}
    assert names == OF_A_BATCH | OF_SENSORS_AND_PRODUCER | OF_TELEMETRY


def test_the_numbers_of_a_batch_arrive(arrived: Arrived) -> None:
    assert arrived.total("kafka.messages.consumed") == 60 * 30
    assert arrived.measured("kafka.consumer.event_age") == 60 * 30
    assert arrived.measured("pet.health.heart_rate") == 60 * 30
    assert arrived.total("kafka.messages.dead_lettered") == len(RejectReason)
    assert arrived.total("kafka.offsets.gap") == 20 * 4
    assert arrived.total("kafka.consumer.lag") == 20 * 7
    assert arrived.total("pipeline.lane.parked") == 1
    assert arrived.total("pet.health.active_pets") == 60
    assert arrived.total("pipeline.heartbeat") == 5


def test_the_watched_pets_arrive_as_fifty_and_the_others(arrived: Arrived) -> None:
    lines = arrived.of("pet.health.watch.heart_rate")
    pets = {line.tag_values["pet_id"] for line in lines}
    assert pets == {f"pet_{pet:02d}" for pet in range(50)} | {"other"}
    (seventh,) = (line for line in lines if line.tag_values["pet_id"] == "pet_07")
    assert seventh.values == (67.0,)  # the newest of its readings


def test_what_is_folded_is_counted_beside_it(arrived: Arrived) -> None:
    limited = {
        line.tag_values["family"]: line.values[0] for line in arrived.of("telemetry.tags.limited")
    }
    # ten pets by three signals; partitions 12 to 19 of lag and gaps; lanes 12 to 19
    assert limited == {"pet_id": 30.0, "partition": 16.0, "lane": 8.0}


def test_what_was_sent_is_counted_beside_it(arrived: Arrived) -> None:
    (line,) = arrived.of("telemetry.points")
    assert line.tags == ("outcome:accepted", "transport:dogstatsd", *CONSTANT)
    assert line.values == (arrived.points,)
