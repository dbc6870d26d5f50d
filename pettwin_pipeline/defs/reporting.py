"""What the pipeline says of itself: the points of a batch after it, and its state on a clock.

Never in the way of the stream: what cannot be sent is counted as dropped and nothing fails for it.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pettwin_pipeline.defs.ingest import OWNERS, STREAM_FRESHNESS, due_after_s
from pettwin_pipeline.defs.ports import Materialized, Ports
from pettwin_pipeline.defs.tables import show_table
from pettwin_pipeline.errors import NoBrokerError, PettwinError

if TYPE_CHECKING:
    from pettwin_pipeline.adapters.ledger_records import RangeRecord
    from pettwin_pipeline.metrics.points import Point, Recorder

STREAM_ASSETS: Final = (
    "telemetry_batch",
    "anomaly_scores",
    "verdicts",
    "health_alerts",
    "notifications",
    "pipeline_metrics",
)
FAIL_WINDOW_S: Final = 15 * 60.0
ACTIVE_S: Final = 15 * 60.0
UNSENT_AFTER_S: Final = 5 * 60.0
"""A range that was done so long ago and not reported will not be."""
MOST_RUNS: Final = 500
ENDED: Final = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)


@dg.asset(
    group_name="reporting",
    kinds={"datadog"},
    code_version="1",
    owners=OWNERS,
    deps=["health_alerts"],
    freshness_policy=STREAM_FRESHNESS,
    check_specs=[
        dg.AssetCheckSpec(
            "points_were_accepted",
            asset="pipeline_metrics",
            description="No point of this batch was dropped.",
        )
    ],
)
def pipeline_metrics(context: dg.AssetExecutionContext, ports: Ports) -> Materialized:
    """What the batch counted, sent once: to an Agent, to Datadog's API, or only counted."""
    from pettwin_pipeline.defs.work import describe_range, range_of_run

    record = range_of_run(context, ports)
    if record.status != "done" or not ports.ledger.claim_report(record, ports.now_s):
        raise dg.Failure("the points of this range were sent before", allow_retries=False)
    points = [*_points_of(ports, record), *_points_of_worker()]
    report = ports.send(points, host=f"lane-{record.range.lane}")
    check = dg.AssetCheckResult(
        passed=report.dropped == 0,
        check_name="points_were_accepted",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"dropped": report.dropped, "reason": report.reason or "none"},
    )
    metadata = {
        "points": len(points),
        "transport": report.transport,
        "accepted": report.accepted,
        "dropped": report.dropped,
        **_stage_times(points),
        **describe_range(record),
    }
    return dg.MaterializeResult(metadata=metadata, check_results=[check])


def _points_of(ports: Ports, record: "RangeRecord") -> "list[Point]":
    """The points that the stages left, as far as they came."""
    from pettwin_pipeline.defs.work import STAGES
    from pettwin_pipeline.metrics.points import parse_points

    paths = (ports.files.path(record.range, f"points_{stage}", "json") for stage in STAGES)
    kept = (ports.files.read_bytes(path) for path in paths)
    return [point for content in kept if content is not None for point in parse_points(content)]


def _points_of_worker() -> "list[Point]":
    """That this process lives, and what it takes."""
    from pettwin_pipeline.metrics.points import Recorder
    from pettwin_pipeline.metrics.upkeep import record_heartbeat

    recorder = Recorder()
    record_heartbeat(recorder, "worker")
    _record_use(recorder, "worker")
    return recorder.drain()


def _record_use(recorder: "Recorder", component: str) -> None:
    from pettwin_pipeline.adapters.processes import use_of
    from pettwin_pipeline.metrics.upkeep import record_process

    use = use_of()
    if use is not None:
        record_process(recorder, component, use.cpu_percent, use.memory_bytes)


def _stage_times(points: "Sequence[Point]") -> dict[str, Any]:
    """Milliseconds of each stage, and which was the slowest."""
    times = {
        dict(point.tags)["stage"]: round(sum(point.values), 1)
        for point in points
        if point.name == "pipeline.stage.latency"
    }
    rows = [{"stage": stage, "ms": took} for stage, took in times.items()]
    return {
        "stage_times": show_table(rows, {"stage": "string", "ms": "float"}),
        "slowest_stage": max(times, key=lambda stage: times[stage]),
    }


def make_pipeline_state_sensor(interval_s: int) -> dg.SensorDefinition:
    """The sensor that reports lag, freshness, lanes, backlog, runs, life signs; starts no run."""

    @dg.sensor(
        name="pipeline_state",
        minimum_interval_seconds=due_after_s(interval_s),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Lag, freshness, lanes, backlog, finished runs and life signs, as metrics.",
    )
    def pipeline_state(context: dg.SensorEvaluationContext, ports: Ports) -> dg.SkipReason:
        from pettwin_pipeline.metrics.points import Recorder

        recorder = Recorder()
        failure = None
        try:
            told = _record_stream(recorder, ports)
        except NoBrokerError as error:
            told = str(error)
        except PettwinError as error:  # what does not need the broker is told all the same
            told = failure = str(error)
        _record_life(recorder, context.instance)
        _record_freshness(recorder, context.instance, ports.now_s)
        _record_unsent(recorder, ports)
        _record_backlog(recorder, ports)
        if failure is not None:  # a tick that fails keeps its cursor: runs are counted by the next
            ports.send(recorder.drain(), host="sensor")
            raise dg.DagsterError(failure)
        context.update_cursor(_record_runs(recorder, context))
        report = ports.send(recorder.drain(), host="sensor")
        lost = f", {report.dropped} dropped: {report.reason}" if report.dropped else ""
        return dg.SkipReason(f"{told}; {report.accepted} points by {report.transport}{lost}")

    return pipeline_state


def _record_stream(recorder: "Recorder", ports: Ports) -> str:
    """Lag, active pets and lanes."""
    from pettwin_pipeline.metrics.upkeep import record_active_pets, record_lag, record_lanes

    settings, ledger, now_s = ports.settings, ports.ledger, ports.now_s
    topic = settings.kafka_topic
    lag = ports.kafka.lag(topic)
    record_lag(recorder, lag, topic, settings.kafka_consumer_group)
    record_active_pets(recorder, _active_pets(ledger.done_since(topic, now_s - ACTIVE_S)))
    epoch = ports.kafka.topic_epoch(topic)
    leases = ledger.leases(topic, epoch)
    ages = {one.lane: now_s - one.taken_s for one in leases if one.expires_s > now_s}
    unfinished = ledger.unfinished(topic, epoch)
    parked = {one.range.lane for one in unfinished if one.status == "parked"}
    record_lanes(recorder, ages, parked, lanes=range(settings.pettwin_lanes))
    return f"lag {sum(lag.values())}"


def _active_pets(done: "Sequence[RangeRecord]") -> dict[str | None, int]:
    """Pets by species: of each partition what its latest batch says."""
    by_partition: dict[str, Mapping[str, int]] = {}
    for record in done:
        by_partition |= record.counts.get("active", {})
    totals: dict[str | None, int] = {}
    for species in by_partition.values():
        for name, pets in species.items():
            totals[name] = totals.get(name, 0) + pets
    return totals


def _record_unsent(recorder: "Recorder", ports: Ports) -> None:
    """Points of ranges whose run ended before they were sent: too late now, but counted."""
    topic, transport = ports.settings.kafka_topic, ports.settings.metrics_transport
    for record in ports.ledger.unreported(topic, ports.now_s - UNSENT_AFTER_S):
        if ports.ledger.claim_report(record, ports.now_s):
            lost = len(_points_of(ports, record))
            recorder.count("telemetry.points", lost, transport=transport, outcome="dropped")


def _record_backlog(recorder: "Recorder", ports: Ports) -> None:
    """What waits in the outbox, by channel: those that there are, and those that there were."""
    from pettwin_pipeline.metrics.upkeep import record_backlog

    found = {channel: one.waiting for channel, one in ports.ledger.outbox.backlog().items()}
    record_backlog(recorder, dict.fromkeys(ports.settings.notify_channels, 0) | found)


def _record_life(recorder: "Recorder", instance: dg.DagsterInstance) -> None:
    """This code runs, so the sensor lives; the daemon says so of itself."""
    from pettwin_pipeline.metrics.upkeep import record_heartbeat

    record_heartbeat(recorder, "sensor")
    _record_use(recorder, "sensor")
    statuses = instance.get_daemon_statuses(daemon_types=["SENSOR"])
    if any(status.healthy for status in statuses.values()):
        record_heartbeat(recorder, "daemon")


def _record_freshness(recorder: "Recorder", instance: dg.DagsterInstance, now_s: float) -> None:
    from pettwin_pipeline.metrics.upkeep import record_freshness

    ages = {}
    for name in STREAM_ASSETS:
        event = instance.get_latest_materialization_event(dg.AssetKey(name))
        if event is not None:
            ages[name] = now_s - event.timestamp
    record_freshness(recorder, ages, dict.fromkeys(ages, FAIL_WINDOW_S))


def _record_runs(recorder: "Recorder", context: dg.SensorEvaluationContext) -> str:
    """Runs that ended since the last look; returns the new cursor. The first look counts none."""
    from pettwin_pipeline.metrics.upkeep import record_run

    if context.cursor is None:
        return _cursor(datetime.now(tz=UTC), [])
    seen = json.loads(context.cursor)
    since = datetime.fromtimestamp(seen["since_s"], tz=UTC)
    found = context.instance.get_run_records(
        filters=dg.RunsFilter(statuses=list(ENDED), updated_after=since),
        order_by="update_timestamp",
        ascending=True,
        limit=MOST_RUNS,
    )
    fresh = [one for one in found if one.dagster_run.run_id not in seen["runs"]]
    for one in fresh:
        run = one.dagster_run
        lasted = one.end_time - one.start_time if one.start_time and one.end_time else None
        record_run(recorder, run.job_name, run.status.value, lasted)
    if not fresh:
        return str(context.cursor)
    return _cursor(fresh[-1].update_timestamp, [one.dagster_run.run_id for one in fresh])


def _cursor(since: datetime, runs: Sequence[str]) -> str:
    return json.dumps({"since_s": since.timestamp(), "runs": list(runs)})
