"""From the outbox to the owners: right after a batch, and on a clock for what was not taken then.

Never in the way of the stream: what a channel does not take waits in the outbox, and nothing fails
for it. Both forms may work at the same time: each notification is claimed by one of them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from pettwin_pipeline.defs.ingest import OWNERS, STREAM_FRESHNESS, due_after_s
from pettwin_pipeline.defs.ports import Materialized, Ports
from pettwin_pipeline.defs.tables import show_table

if TYPE_CHECKING:
    from pettwin_pipeline.adapters.ledger_outbox import Backlog
    from pettwin_pipeline.adapters.notifications import Round
    from pettwin_pipeline.metrics.points import Recorder


@dg.asset(
    group_name="reporting",
    kinds={"python"},
    code_version="1",
    owners=OWNERS,
    deps=["health_alerts"],
    freshness_policy=STREAM_FRESHNESS,
    check_specs=[
        dg.AssetCheckSpec(
            "notifications_were_delivered",
            asset="notifications",
            description="No owner still waits for an alert that a channel did not take.",
        )
    ],
)
def notifications(context: dg.AssetExecutionContext, ports: Ports) -> Materialized:
    """Owners are told: what is due in the outbox goes to its channels, at least once."""
    from pettwin_pipeline.defs.work import describe_range, record_check
    from pettwin_pipeline.metrics.points import Recorder

    recorder = Recorder()
    done = _deliver(recorder, ports)
    backlog = ports.ledger.outbox.backlog()
    _warn(context.log, done)
    check = _delivered_check(done, backlog)
    record_check(recorder, check)
    record = ports.ledger.of_run(context.run.run_id)  # none, where it is run by itself
    ports.send(recorder.drain(), host=f"lane-{record.range.lane}" if record else "sensor")
    metadata = {
        "delivered": done.delivered,
        "failed": done.failed,
        "given_up": done.given_up,
        "channels": _channels_table(backlog),
        **(describe_range(record) if record else {}),
    }
    return dg.MaterializeResult(metadata=metadata, check_results=[check])


def make_unsent_notifications_sensor(interval_s: int) -> dg.SensorDefinition:
    """The sensor that tries again what was not taken, or not tried; it starts no run."""

    @dg.sensor(
        name="unsent_notifications",
        minimum_interval_seconds=due_after_s(interval_s),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Notifications that wait in the outbox go to their channels.",
    )
    def unsent_notifications(context: dg.SensorEvaluationContext, ports: Ports) -> dg.SkipReason:
        from pettwin_pipeline.metrics.points import Recorder

        recorder = Recorder()
        done = _deliver(recorder, ports)
        _warn(context.log, done)
        ports.send(recorder.drain(), host="sensor")
        return dg.SkipReason(_told(done, ports.ledger.outbox.backlog()))

    return unsent_notifications


def _deliver(recorder: "Recorder", ports: Ports) -> "Round":
    """One round of deliveries, and its points."""
    from pettwin_pipeline.adapters.notifications import deliver_due, open_channels
    from pettwin_pipeline.metrics.upkeep import record_notification, record_request

    with open_channels(ports.settings) as channels:
        done = deliver_due(ports.ledger.outbox, channels, lambda: ports.now_s)
    for one in done.attempts:
        told = one.notification
        outcome = "failed" if one.failure else "delivered"
        record_notification(recorder, told.severity, told.channel, outcome)
        if one.peer is not None:
            result = "failed" if one.failure else "success"
            record_request(recorder, one.peer, result, one.elapsed_ms)
    return done


def _warn(log: Any, done: "Round") -> None:
    for one in done.attempts:
        if one.failure is not None:
            end = "given up" if one.is_given_up else "tried again later"
            log.warning("alert %s, %s: %s", one.notification.alert_id, end, one.failure.text)
    if done.unconfigured:
        log.warning("%d given up: their channel is not configured any more", done.unconfigured)


def _delivered_check(done: "Round", backlog: "Mapping[str, Backlog]") -> dg.AssetCheckResult:
    failing = sum(one.failing for one in backlog.values())
    return dg.AssetCheckResult(
        passed=not failing and not done.given_up,
        check_name="notifications_were_delivered",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"tried_in_vain": failing, "given_up": done.given_up},
    )


def _channels_table(backlog: "Mapping[str, Backlog]") -> dg.TableMetadataValue:
    kinds = {"channel": "string", "waiting": "int", "delivered": "int", "given_up": "int"}
    rows = [
        {
            "channel": channel,
            "waiting": one.waiting,
            "delivered": one.delivered,
            "given_up": one.given_up,
            "error": one.error or "",
        }
        for channel, one in backlog.items()
    ]
    return show_table(rows, {**kinds, "error": "string"})


def _told(done: "Round", backlog: "Mapping[str, Backlog]") -> str:
    """What the tick says in Dagster's pages."""
    waiting = [
        f"{one.waiting} wait for the {channel}" + (f" ({one.error})" if one.error else "")
        for channel, one in backlog.items()
        if one.waiting
    ]
    tried = f"{done.delivered} delivered, {done.failed} failed" if done.attempts else "nothing due"
    return "; ".join([tried, *waiting])
