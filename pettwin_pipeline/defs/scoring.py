"""From readings to alerts: scores and episodes, verdicts on them, what the owners get."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pettwin_pipeline.defs.ingest import OWNERS, STREAM_FRESHNESS
from pettwin_pipeline.defs.ports import Materialized, Ports
from pettwin_pipeline.defs.tables import show_table

if TYPE_CHECKING:
    import polars as pl

    from pettwin_pipeline.adapters.baseline_files import BaselineFiles
    from pettwin_pipeline.defs.work import Work
    from pettwin_pipeline.detection.alerts import Alert
    from pettwin_pipeline.detection.baseline import Baselines
    from pettwin_pipeline.detection.episodes import Episode
    from pettwin_pipeline.detection.scoring import Scored
    from pettwin_pipeline.detection.snapshots import Layer
    from pettwin_pipeline.detection.verdicts import Verdict

ACTIVE_MS: Final = 15 * 60 * 1000
"""A pet is active if it was heard of in the last 15 minutes of its partition's event time."""
_SHOWN: Final = 20
"""Episodes that the metadata lists, worst first."""

pet_health_alerts_topic = dg.AssetSpec(
    "pet_health_alerts_topic",
    deps=["health_alerts"],
    description="Alerts, keyed by pet, one an episode and severity.",
    group_name="topics",
    kinds={"kafka"},
)


@dg.asset(
    group_name="scoring",
    kinds={"numpy", "parquet"},
    code_version="1",
    owners=OWNERS,
    deps=["telemetry_batch"],
    freshness_policy=STREAM_FRESHNESS,
)
def anomaly_scores(context: dg.AssetExecutionContext, ports: Ports) -> Materialized:
    """Every reading scored against its pet's own baseline; episodes that began, rose or ended."""
    import polars as pl

    from pettwin_pipeline.defs.work import describe_range, working
    from pettwin_pipeline.detection.episodes import encode_episodes
    from pettwin_pipeline.detection.scoring import digest_scores
    from pettwin_pipeline.detection.screen import DETECTOR_VERSION
    from pettwin_pipeline.detection.slots import STATUSES
    from pettwin_pipeline.metrics.stages import record_episodes

    with working(context, ports, "score") as work:
        scored = _score_partitions(work, ports.files.read_frame(work.range, "readings"))
        scores = pl.concat([one.scores for one in scored.values()])
        episodes = [episode for one in scored.values() for episode in one.episodes]
        path = ports.files.write_frame(work.range, "scores", scores)
        ports.files.write_json(work.range, "episodes", encode_episodes(episodes))
        record_episodes(work.recorder, episodes)
        statuses = dict(scores["status"].value_counts().iter_rows())
        work.counts |= {name: statuses.get(name, 0) for name in STATUSES}
        metadata = {
            "dagster/row_count": len(scores),
            **work.counts,
            "flagged": int(scores["flagged"].sum()),
            "pets_known": sum(len(one.baselines.pet_ids) for one in scored.values()),
            "episodes": _episodes_table(episodes),
            "file": dg.MetadataValue.path(str(path)),
            **describe_range(work.record),
        }
        work.counts["active"] = {str(p): _active(one.baselines) for p, one in scored.items()}
        # What a replay of this range is held against, when its files are compacted or gone.
        work.counts["detector"] = DETECTOR_VERSION
        if len(scores):
            work.counts["event_ms"] = [scores["time_ms"].min(), scores["time_ms"].max()]
        work.counts["scores_digest"] = digest_scores(scores)
    return dg.MaterializeResult(metadata=metadata)


def _active(baselines: "Baselines") -> dict[str, int]:
    """Pets by species that were heard of in the last 15 minutes of their partition's time."""
    from pettwin_pipeline.readings.schema import SPECIES

    states = baselines.states
    if not len(states):
        return {}
    heard = states["species"][states["last_ms"] > states["last_ms"].max() - ACTIVE_MS]
    return {name: n for code, name in enumerate(SPECIES) if (n := int((heard == code).sum()))}


def _score_partitions(work: "Work", readings: "pl.DataFrame") -> "dict[int, Scored]":
    """Score each partition and write its baselines as of the end of the range."""
    import polars as pl

    from pettwin_pipeline.detection.scoring import score_batch
    from pettwin_pipeline.detection.snapshots import plan_snapshot

    topic, epoch = work.range.topic, work.range.epoch
    scored_to = work.ports.ledger.scored_to(topic, epoch)
    every = work.ports.settings.pettwin_snapshot_every
    scored = {}
    for part in work.range.parts:
        kept = work.ports.baselines(topic, epoch, part.partition)
        # The end of the last range: a gap may lie in between.
        baselines, below = _begin_from(work, kept, scored_to.get(part.partition))
        mine = readings.filter(pl.col("partition") == part.partition)
        one = scored[part.partition] = score_batch(mine, baselines)
        snapshot = plan_snapshot(one.baselines, mine["pet_id"].unique(), below, every)
        kept.write(part.end, snapshot, work.renew)
    return scored


def _begin_from(
    work: "Work", kept: "BaselineFiles", offset: int | None
) -> "tuple[Baselines, tuple[int, Layer] | None]":
    """Baselines as of an offset, and where they lie; empty ones at the very first batch.

    Where they are gone the stream goes on all the same: its pets begin anew, and it is told.
    """
    from pettwin_pipeline.defs.work import log
    from pettwin_pipeline.detection.baseline import Baselines
    from pettwin_pipeline.errors import BaselinesMissingError

    if offset is None:
        return Baselines.empty(), None
    try:
        layer, baselines = kept.read(offset)
    except BaselinesMissingError as error:
        log.error("baselines_missing", error=str(error), consequence="its pets begin anew")
        work.recorder.count("pipeline.errors", 1, stage="score", reason="storage")
        return Baselines.empty(), None
    return baselines, (offset, layer)


def _episodes_table(episodes: "Sequence[Episode]") -> dg.TableMetadataValue:
    worst = sorted(episodes, key=lambda one: (-one.peak, one.pet_id, one.offset))[:_SHOWN]
    rows = [
        {
            "pet": one.pet_id,
            "severity": one.severity,
            "state": "going on" if one.ended_ms is None else "ended",
            "peak": one.peak,
            "reason": one.reason,
        }
        for one in worst
    ]
    kinds = {"pet": "string", "severity": "string", "state": "string", "peak": "float"}
    return show_table(rows, {**kinds, "reason": "string"})


@dg.asset(
    group_name="scoring",
    kinds={"python"},
    code_version="1",
    owners=OWNERS,
    deps=["anomaly_scores"],
    freshness_policy=STREAM_FRESHNESS,
)
def verdicts(context: dg.AssetExecutionContext, ports: Ports) -> Materialized:
    """A verdict on every episode that began or rose. Without a model it is the statistical one."""
    from pettwin_pipeline.defs.work import describe_range, working
    from pettwin_pipeline.detection.episodes import parse_episodes
    from pettwin_pipeline.detection.verdicts import encode_verdicts, judge_statistically

    with working(context, ports, "explain") as work:
        episodes = parse_episodes(ports.files.read_json(work.range, "episodes"))
        judged = judge_statistically(episodes)
        ports.files.write_json(work.range, "verdicts", encode_verdicts(judged))
        metadata = {
            "verdicts": len(judged),
            "origin": "statistical",
            "requests_to_a_model": 0,
            **describe_range(work.record),
        }
    return dg.MaterializeResult(metadata=metadata)


@dg.asset(
    group_name="scoring",
    kinds={"kafka"},
    code_version="1",
    owners=OWNERS,
    deps=["verdicts"],
    freshness_policy=STREAM_FRESHNESS,
    check_specs=[
        dg.AssetCheckSpec(
            "one_verdict_for_each_episode_and_severity",
            asset="health_alerts",
            description="No suspicion is without a verdict, none has two.",
        )
    ],
)
def health_alerts(context: dg.AssetExecutionContext, ports: Ports) -> Materialized:
    """Alerts on their topic and the offsets, together; then the ledger: the range is done."""
    from pettwin_pipeline.defs.pictures import show_worst_episode
    from pettwin_pipeline.defs.work import describe_range, working
    from pettwin_pipeline.detection.alerts import encode_alerts, plan_alerts
    from pettwin_pipeline.detection.episodes import parse_episodes
    from pettwin_pipeline.detection.verdicts import parse_verdicts
    from pettwin_pipeline.metrics.stages import record_alerts

    with working(context, ports, "publish") as work:
        episodes = parse_episodes(ports.files.read_json(work.range, "episodes"))
        judged = parse_verdicts(ports.files.read_json(work.range, "verdicts"))
        check = _one_verdict_check(episodes, judged)
        work.note_check(check)
        alerts = plan_alerts(episodes, judged)
        ports.files.write_json(work.range, "alerts", encode_alerts(alerts))
        counts = _publish(work, alerts, episodes)
        record_alerts(work.recorder, alerts, "delivered")
    metadata = {
        "alerts": len(alerts),
        "alerts_by_severity": _alerts_table(alerts),
        **show_worst_episode(episodes),
        **{name: counts[name] for name in ("messages", "readings", "episodes")},
        **describe_range(work.record),
    }
    return dg.MaterializeResult(metadata=metadata, check_results=[check])


def _one_verdict_check(
    episodes: "Sequence[Episode]", judged: "Sequence[Verdict]"
) -> dg.AssetCheckResult:
    wanted = Counter((e.episode_id, e.severity) for e in episodes if e.ended_ms is None)
    given = Counter((v.episode_id, v.severity) for v in judged)
    return dg.AssetCheckResult(
        passed=wanted == given,
        check_name="one_verdict_for_each_episode_and_severity",
        metadata={"suspicions": wanted.total(), "verdicts": given.total()},
    )


def _publish(
    work: "Work", alerts: "Sequence[Alert]", episodes: "Sequence[Episode]"
) -> dict[str, Any]:
    """Alerts and the offsets of our group together, then the ledger, with whom to tell."""
    from pettwin_pipeline.adapters.kafka_commit import commit_with_messages
    from pettwin_pipeline.adapters.kafka_messages import Outgoing
    from pettwin_pipeline.adapters.ledger_outbox import Audience
    from pettwin_pipeline.detection.alerts import encode_alert

    ports, one = work.ports, work.range
    counts = work.counts_of("ingest", "score") | {
        "episodes": len({episode.episode_id for episode in episodes}),
        "alerts": len(alerts),
    }
    messages = [Outgoing(key=a.pet_id.encode(), value=encode_alert(a)) for a in alerts]
    commit_with_messages(
        *(ports.kafka, one, ports.settings.kafka_alerts_topic, messages),
        wholes=ports.ledger.setbacks.wholes(one),
        renew=work.renew,
    )
    ports.ledger.finish(
        *(work.record, work.lease),
        episodes=episodes,
        alerts=alerts,
        counts=counts,
        now_s=ports.now_s,
        audience=Audience(ports.settings.notify_channels, ports.settings.pettwin_notify_from),
    )
    work.holds_lane = False
    return counts


def _alerts_table(alerts: "Sequence[Alert]") -> dg.TableMetadataValue:
    counts = Counter(one.severity for one in alerts)
    rows = [
        {"severity": severity, "count": counts[severity]}
        for severity in ("critical", "high", "medium", "low")
    ]
    return show_table(rows, {"severity": "string", "count": "int"})
