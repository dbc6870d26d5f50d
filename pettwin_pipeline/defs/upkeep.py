"""Small files into large ones, and what nobody needs any more: hourly, on schedules of their own.

Compaction puts the readings and scores of an hour's batches together; housekeeping trims files,
baselines, the ledger and Dagster's runs to what the settings keep. Both are safe to be killed and
to be run twice.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import dagster as dg
import structlog

from pettwin_pipeline.defs.ingest import OWNERS
from pettwin_pipeline.defs.ports import Materialized, Ports
from pettwin_pipeline.defs.reporting import ENDED
from pettwin_pipeline.errors import BaselinesMissingError

if TYPE_CHECKING:
    import polars as pl
    from upath import UPath

    from pettwin_pipeline.adapters.ledger_records import RangeRecord

HOURS: Final = dg.HourlyPartitionsDefinition(
    start_date=datetime(2026, 1, 1, tzinfo=UTC), timezone="UTC"
)
"""Hours in which ranges were done."""
SETTLE_S: Final = 600
"""An hour is put together so long after its end."""
MOST_ROWS: Final = 2_000_000
"""Of one file of an hour: what is held in memory at a time."""
MOST_HOURS: Final = 24
"""Hours that a tick asks for; the others follow an hour later."""
DAY_S: Final = 86_400
MOST_RUNS: Final = 1000
"""Runs that one pass removes."""
OUR_JOBS: Final = (
    *("stream_job", "replay_job", "quality_job"),
    *("compaction_job", "housekeeping_job"),
)
FRESH_S: Final = 3600
"""Baselines of batches that were done so lately are all kept; of older ones, one an hour."""

log = structlog.get_logger()


@dg.asset(
    group_name="upkeep",
    kinds={"polars", "parquet"},
    code_version="1",
    owners=OWNERS,
    deps=["anomaly_scores"],
    partitions_def=HOURS,
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=6), warn_window=timedelta(hours=3)
    ),
)
def compacted_readings(context: dg.AssetExecutionContext, ports: Ports) -> Materialized:
    """Readings with their scores of one hour, in large files sorted by pet and time."""
    window = context.partition_time_window
    begin_s, end_s = window.start.timestamp(), window.end.timestamp()
    upkeep = ports.ledger.upkeep
    done = upkeep.done(ports.settings.kafka_topic, since_s=begin_s, before_s=end_s)
    small = sum(_remove_files(ports, one) for one in done if one.compacted_s is not None)
    rows, gone, written = 0, 0, []
    for records, frame in _groups(ports, [one for one in done if one.compacted_s is None]):
        if frame is None:
            gone += len(records)
        else:
            rows += len(frame)
            written.append(_write_hour(ports, round(begin_s), records, frame))
        upkeep.note_compacted(records, ports.now_s)
        small += sum(_remove_files(ports, one) for one in records)
        context.log.info("%d ranges: %d rows", len(records), rows)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows,
            "ranges": len(done),
            "ranges_without_files": gone,
            "small_files_removed": small,
            "files": [str(path) for path in written],
            "bytes": sum(path.stat().st_size for path in written),
        }
    )


def _groups(
    ports: Ports, records: "Sequence[RangeRecord]"
) -> "Iterator[tuple[list[RangeRecord], pl.DataFrame | None]]":
    """Ranges whose rows fit into one file, and these rows; None for ranges without files."""
    import polars as pl

    from pettwin_pipeline.defs.stored import stored_batch

    group: list[RangeRecord] = []
    frames: list[pl.DataFrame] = []
    gone: list[RangeRecord] = []
    for record in records:
        frame = stored_batch(ports, record)
        if frame is None:
            gone.append(record)
            continue
        full = sum(map(len, frames)) + len(frame) > MOST_ROWS
        if frames and (full or record.range.epoch != group[0].range.epoch):
            yield group, pl.concat(frames)
            group, frames = [], []
        group.append(record)
        frames.append(frame)
    if frames:
        yield group, pl.concat(frames)
    if gone:
        yield gone, None


def _write_hour(
    ports: Ports, hour_s: int, records: "Sequence[RangeRecord]", frame: "pl.DataFrame"
) -> "UPath":
    from pettwin_pipeline.adapters.hour_files import HourFiles
    from pettwin_pipeline.defs.stored import without_erased

    one = records[0].range
    hours = HourFiles(ports.files, one.topic, one.epoch)
    path = hours.write(hour_s, records[0].id, frame)
    left = without_erased(ports, frame)
    # A pet may have been erased while this was written: whoever did it has not seen this file.
    return path if len(left) == len(frame) else hours.write(hour_s, records[0].id, left)


def _remove_files(ports: Ports, record: "RangeRecord") -> int:
    """Remove what a compacted batch left; its points only once they were sent. How many files."""
    from pettwin_pipeline.defs.stored import BATCH_FILES, remove_stored
    from pettwin_pipeline.defs.work import STAGES

    names = list(BATCH_FILES)
    if record.reported_s is not None:
        names += [(f"{kind}_{stage}", "json") for kind in ("counts", "points") for stage in STAGES]
    return remove_stored(ports, record.range, names)


compaction_job = dg.define_asset_job(
    "compaction_job",
    selection=dg.AssetSelection.assets(compacted_readings),
    description="The small files of an hour's batches, put together.",
)


@dg.schedule(
    job=compaction_job,
    cron_schedule="12 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour that has batches whose files are not put together yet.",
)
def hourly_compaction(
    context: dg.ScheduleEvaluationContext, ports: Ports
) -> list[dg.RunRequest] | dg.SkipReason:
    """One run an hour that is over and has small files, also those of earlier days."""
    hours = hours_to_compact(ports)
    if not hours:
        return dg.SkipReason("every hour that is over has its files together")
    tick = context.scheduled_execution_time.strftime("%Y%m%d%H%M")
    keys = [datetime.fromtimestamp(hour, tz=UTC).strftime("%Y-%m-%d-%H:%M") for hour in hours]
    return [dg.RunRequest(run_key=f"{key}/{tick}", partition_key=key) for key in keys[:MOST_HOURS]]


def hours_to_compact(ports: Ports) -> list[int]:
    """First seconds of the hours that are over and have batches with small files, in order."""
    from pettwin_pipeline.adapters.hour_files import hour_of

    over_s = hour_of(ports.now_s - SETTLE_S)
    topic = ports.settings.kafka_topic
    return sorted({hour_of(one) for one in ports.ledger.upkeep.uncompacted_s(topic, over_s)})


@dg.op(out=dg.Out(dg.Nothing))
def housekeeping(context: dg.OpExecutionContext, ports: Ports) -> None:
    """Remove what is older than the settings keep, and baselines that no batch needs any more."""
    settings, now_s = ports.settings, ports.now_s
    removed = {
        "files": remove_old_files(ports, now_s - settings.pettwin_keep_readings_days * DAY_S),
        "baselines": thin_baselines(ports),
        **ports.ledger.upkeep.trim(now_s - settings.pettwin_keep_ledger_days * DAY_S),
        "runs": _remove_runs(context.instance, now_s - settings.pettwin_keep_runs_days * DAY_S),
    }
    context.log.info(", ".join(f"{number:,} {what}" for what, number in removed.items()))
    context.add_output_metadata(dict(removed))


housekeeping_job = dg.GraphDefinition(
    name="housekeeping_job",
    description="Files, baselines, ledger and runs, trimmed to what the settings keep.",
    node_defs=[housekeeping],
).to_job(name="housekeeping_job")

hourly_housekeeping = dg.ScheduleDefinition(
    name="hourly_housekeeping",
    job=housekeeping_job,
    cron_schedule="42 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


def remove_old_files(ports: Ports, before_s: float) -> int:
    """Remove hours that ended, and other files that were written, before a time; how many.

    Baselines of our detector are not among them: `thin_baselines` knows which are needed.
    """
    from pettwin_pipeline.adapters.baseline_files import FOLDER as BASELINES
    from pettwin_pipeline.adapters.hour_files import FOLDER, ended_s
    from pettwin_pipeline.detection.screen import DETECTOR_VERSION

    root = ports.files.root
    old = []
    for path in root.rglob("*"):
        kind, *place = path.relative_to(root).parts
        if not path.is_file() or (kind == BASELINES and f"detector{DETECTOR_VERSION}" in place):
            continue
        made_s = path.stat().st_mtime
        if (ended_s(path.name, made_s) if kind == FOLDER else made_s) < before_s:
            old.append(path)
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def thin_baselines(ports: Ports) -> int:
    """Remove the baselines of the present topic that nobody needs; how many files.

    Kept are those that the next batch begins from, those of the last hour, the last of each earlier
    hour whose readings are kept, those that people changed, and whatever lies below any of these.
    """
    topic = ports.settings.kafka_topic
    epoch = ports.kafka.topic_epoch(topic)
    since_s = ports.now_s - ports.settings.pettwin_keep_readings_days * DAY_S
    done = ports.ledger.upkeep.done(topic, epoch=epoch, since_s=since_s)
    changed = ports.ledger.upkeep.changed_baselines(topic, epoch)
    number = 0
    for partition, scored_to in ports.ledger.scored_to(topic, epoch).items():
        kept = ports.baselines(topic, epoch, partition)
        there = kept.offsets()
        wanted = {scored_to} | changed.get(partition, set())
        wanted |= _wanted_offsets(done, partition, there, ports.now_s - FRESH_S)
        try:
            needed = {at for one in wanted & set(there) for at in kept.chain(one)}
        except BaselinesMissingError as error:
            log.warning("baselines_missing", error=str(error), consequence="none is removed")
            continue
        for offset in there:
            # Those of later offsets belong to batches that are not done yet.
            if offset < scored_to and offset not in needed:
                kept.path(offset).unlink(missing_ok=True)
                number += 1
    return number


def _wanted_offsets(
    done: "Sequence[RangeRecord]", partition: int, there: Sequence[int], fresh_s: float
) -> set[int]:
    """Offsets at which replays begin: each of the last hour, one of each hour before."""
    from pettwin_pipeline.adapters.hour_files import hour_of

    wanted: set[int] = set()
    last_of_hour: dict[int, int] = {}
    starts: list[int] = []
    for record in done:
        for part in record.range.parts:
            if part.partition != partition or record.finished_s is None:
                continue
            starts.append(part.start)
            if record.finished_s >= fresh_s:
                wanted |= {part.start, part.end}
            hour = hour_of(record.finished_s)
            last_of_hour[hour] = max(part.end, last_of_hour.get(hour, 0))
    oldest = min(starts, default=0)
    before = max((offset for offset in there if offset <= oldest), default=oldest)
    return wanted | set(last_of_hour.values()) | {before}


def _remove_runs(instance: dg.DagsterInstance, before_s: float) -> int:
    """Remove ended runs of our jobs from Dagster's storage, the oldest first; how many."""
    ended = dg.RunsFilter(
        statuses=list(ENDED), created_before=datetime.fromtimestamp(before_s, tz=UTC)
    )
    old = instance.get_run_records(filters=ended, limit=MOST_RUNS, ascending=True)
    ours = [one.dagster_run for one in old if one.dagster_run.job_name in OUR_JOBS]
    for run in ours:
        instance.delete_run(run.run_id)
    return len(ours)
