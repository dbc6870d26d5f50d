"""A done range once more: read, scored, and held against what it was scored then.

Nothing is sent, committed, counted or written. The readings come from the broker as long as it
keeps them, else from what was stored. Scoring begins from the nearest baselines that are kept, and
goes through the stored readings in between.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import dagster as dg

from pettwin_pipeline.defs.ports import Ports
from pettwin_pipeline.defs.tables import show_table
from pettwin_pipeline.errors import RangeUnknownError, ReplayImpossibleError

if TYPE_CHECKING:
    import polars as pl

    from pettwin_pipeline.adapters.ledger_records import RangeRecord
    from pettwin_pipeline.batches import OffsetRange, PartitionRange
    from pettwin_pipeline.defs.ingest import ReadBatch
    from pettwin_pipeline.detection.baseline import Baselines


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of scoring a range again."""

    record: "RangeRecord"
    source: Literal["broker", "data folder"]
    batch: "ReadBatch"
    detector: str
    """The version that scored it now."""
    same: bool
    """Whether every score is the same, bit for bit."""
    difference: str
    """Where they differ, for people; empty where they do not."""

    @property
    def comparable(self) -> bool:
        """Whether the same version scored it then: another one may find otherwise."""
        return bool(self.record.counts.get("detector") == self.detector)

    @property
    def told(self) -> str:
        """One sentence."""
        readings = f"{len(self.batch.readings):,} readings from the {self.source}"
        done = f"{self.record.range.text}: {readings}"
        if self.same:
            return f"{done}, every score is the same"
        if not self.comparable:
            then = self.record.counts.get("detector")
            done += f", detector {self.detector} now, {then} then"
        return f"{done}, {self.difference}"


def replay_range(ports: Ports, record: "RangeRecord") -> Replayed:
    """Score a done range again and compare. Has no effect.

    Raises:
        ReplayImpossibleError: its readings, or the baselines before it, were removed.
    """
    import polars as pl

    from pettwin_pipeline.detection.scoring import digest_scores, score_batch
    from pettwin_pipeline.detection.screen import DETECTOR_VERSION

    batch, source = _read(ports, record)
    done = ports.ledger.upkeep.done(record.range.topic, epoch=record.range.epoch)
    scored = []
    for part in record.range.parts:
        mine = batch.readings.filter(pl.col("partition") == part.partition)
        scored.append(score_batch(mine, _baselines_before(ports, record.range, part, done)).scores)
    scores = pl.concat(scored)
    equal = digest_scores(scores) == record.counts.get("scores_digest")
    difference = "" if equal else _difference(ports, record, scores)
    return Replayed(
        record=record,
        source=source,
        batch=batch,
        detector=DETECTOR_VERSION,
        same=not difference,
        difference=difference,
    )


def _read(
    ports: Ports, record: "RangeRecord"
) -> "tuple[ReadBatch, Literal['broker', 'data folder']]":
    from pettwin_pipeline.defs.ingest import ReadBatch, read_exactly

    one = record.range
    if _is_on_broker(ports, one):
        return read_exactly(ports, one), "broker"
    readings = _stored(ports, record)
    return ReadBatch(len(readings), readings, [], 0), "data folder"


def _is_on_broker(ports: Ports, one: "OffsetRange") -> bool:
    """Whether the broker still keeps every offset of a range."""
    if ports.kafka.topic_epoch(one.topic) != one.epoch:
        return False
    marks = ports.kafka.watermarks(one.topic)
    return all(marks[part.partition].low <= part.start for part in one.parts)


def _stored(ports: Ports, record: "RangeRecord") -> "pl.DataFrame":
    """The readings of a range as they were stored, without their scores."""
    from pettwin_pipeline.defs.stored import stored_batch
    from pettwin_pipeline.readings.schema import READING_SCHEMA

    stored = stored_batch(ports, record)
    if stored is None:
        raise ReplayImpossibleError(
            f"{record.range.text} cannot be scored again: neither the broker nor the data folder "
            "keeps its readings (PETTWIN_KEEP_READINGS_DAYS)"
        )
    return stored.select(list(READING_SCHEMA))


def _baselines_before(
    ports: Ports, one: "OffsetRange", part: "PartitionRange", done: "Sequence[RangeRecord]"
) -> "Baselines":
    """The baselines of a partition as of the start of a range; `done` are those of its epoch."""
    import polars as pl

    from pettwin_pipeline.detection.baseline import Baselines
    from pettwin_pipeline.detection.scoring import score_batch

    kept = ports.baselines(one.topic, one.epoch, part.partition)
    at = max((offset for offset in kept.offsets() if offset <= part.start), default=None)
    baselines = Baselines.empty() if at is None else kept.read(at)[1]
    for before in _done_between(done, part, at or 0):
        readings = _stored(ports, before)
        mine = readings.filter(pl.col("partition") == part.partition)
        baselines = score_batch(mine, baselines).baselines
    return baselines


def _done_between(
    done: "Sequence[RangeRecord]", part: "PartitionRange", begin: int
) -> "list[RangeRecord]":
    """Ranges of a partition that were done from an offset up to the start of a part, in order."""
    starts = [
        (p.start, n)
        for n, before in enumerate(done)
        for p in before.range.parts
        if p.partition == part.partition and begin <= p.start and p.end <= part.start
    ]
    return [done[n] for _start, n in sorted(starts)]


def _difference(ports: Ports, record: "RangeRecord", scores: "pl.DataFrame") -> str:
    """Where scores differ from those that are stored; empty where they do not."""
    import polars as pl

    from pettwin_pipeline.defs.stored import SCORES, stored_batch

    stored = stored_batch(ports, record)
    if stored is None:
        return "not the same scores as then, which are not stored any more"
    place = ["partition", "offset"]
    both = scores.join(stored.select(*place, *SCORES), on=place, how="full", suffix="_then")
    other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_then")) for name in SCORES)
    differ = both.filter(other | pl.col("offset").is_null() | pl.col("offset_then").is_null())
    if differ.is_empty():  # a pet was erased since: what is left of then is the same
        return ""
    first = differ.row(0, named=True)
    at = first["offset"] if first["offset"] is not None else first["offset_then"]
    return (
        f"{len(differ):,} of {len(both):,} scores differ, the first at offset {at}: "
        f"{first['score']} now, {first['score_then']} then"
    )


class ReplayConfig(dg.Config):
    """Which done ranges are scored again: one of them, or those of a time."""

    offsets: str = ""
    """As `pettwin status` shows them: 0:100-200,1:5-9. Empty: the ranges of the time below."""
    since: str = ""
    """ISO 8601, UTC unless it says otherwise: ranges that were done from then on."""
    until: str = ""
    """ISO 8601: and before then. Empty: up to now."""


@dg.op(out=dg.Out(dg.Nothing))
def replayed_ranges(context: dg.OpExecutionContext, config: ReplayConfig, ports: Ports) -> None:
    """Score done ranges again and compare; fails where the same detector finds something else."""
    from pettwin_pipeline.defs.work import told_plainly

    with told_plainly():
        records = chosen_ranges(ports, config)
        results = list(_replay_all(context, ports, records))
    context.add_output_metadata({"ranges": len(results), "replayed": replay_table(results)})
    broken = [one for one in results if not one.same and one.comparable]
    if broken:
        raise dg.Failure(
            f"{len(broken)} of {len(results)} ranges are not what they were: {broken[0].told}",
            allow_retries=False,
        )


def _replay_all(
    context: dg.OpExecutionContext, ports: Ports, records: "Sequence[RangeRecord]"
) -> Iterator[Replayed]:
    for number, record in enumerate(records, 1):
        done = replay_range(ports, record)
        context.log.info("%d of %d: %s", number, len(records), done.told)
        yield done


def chosen_ranges(ports: Ports, config: ReplayConfig) -> "list[RangeRecord]":
    """The done ranges that a configuration names, oldest first.

    Raises:
        RangeUnknownError: there is none, or a time cannot be read.
    """
    topic = ports.settings.kafka_topic
    if not config.offsets and not config.since:
        raise RangeUnknownError(
            "say which ranges: offsets (0:100-200, as `pettwin status` shows them), or since and "
            "until (ISO 8601)"
        )
    since_s, until_s = _time_s(config.since), _time_s(config.until)
    done = ports.ledger.upkeep.done(topic, since_s=since_s or 0, before_s=until_s)
    chosen = [one for one in done if config.offsets in {"", one.range.text}]
    if not chosen:
        raise RangeUnknownError(
            f"no range of {topic} was done as asked ({config.offsets or config.since}); the ledger "
            "keeps ranges for PETTWIN_KEEP_LEDGER_DAYS"
        )
    return chosen


def _time_s(text: str) -> float | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise RangeUnknownError(f"{text!r} is no time: write 2026-03-01T12:00:00Z") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def replay_table(results: Sequence[Replayed]) -> dg.TableMetadataValue:
    """One row a range."""
    kinds = {"range": "string", "readings": "int", "from": "string", "same": "bool"}
    rows = [
        {
            "range": one.record.range.text,
            "readings": len(one.batch.readings),
            "from": one.source,
            "same": one.same,
            "difference": one.difference,
        }
        for one in results
    ]
    return show_table(rows, {**kinds, "difference": "string"})


replay_job = dg.GraphDefinition(
    name="replay_job",
    description="Score done ranges again and compare. Sends, commits and counts nothing.",
    node_defs=[replayed_ranges],
).to_job(name="replay_job")
