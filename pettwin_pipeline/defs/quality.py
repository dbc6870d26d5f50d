"""How good the detection was, day by day: labels joined to decisions, counted and published.

A day is measured when its labels have settled and once more when others come; every hour, the day
of the hour that is over. The rules are in `detection.quality`; nothing is published under the
least of labels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pettwin_pipeline.defs.ingest import OWNERS
from pettwin_pipeline.defs.labels import pet_health_labels
from pettwin_pipeline.defs.ports import Materialized, Ports
from pettwin_pipeline.defs.tables import show_table

if TYPE_CHECKING:
    import polars as pl
    from upath import UPath

    from pettwin_pipeline.adapters.ledger_records import RangeRecord
    from pettwin_pipeline.detection.quality import Told
    from pettwin_pipeline.readings.simulator.labels import Label

DAYS: Final = dg.DailyPartitionsDefinition(
    start_date=datetime(2020, 1, 1, tzinfo=UTC), timezone="UTC", end_offset=1
)
"""Days of event time, today among them."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FOLDER: Final = "labelled_days"
ACCURATE: Final = 0.85
"""Below it the check warns: what the monitor of the accuracy alarms at."""
TREND_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class _Day:
    """A day, ms: `until_ms` is its end, or now while it lasts."""

    name: str
    begin_ms: int
    until_ms: int

    @classmethod
    def of(cls, context: dg.AssetExecutionContext, ports: Ports) -> "_Day":
        window = context.partition_time_window
        end_s = min(window.end.timestamp(), ports.now_s)
        begin_ms = round(window.start.timestamp() * 1000)
        return cls(context.partition_key, begin_ms, max(begin_ms + 1, round(end_s * 1000)))

    def holds(self, record: "RangeRecord") -> bool:
        """Whether a range may have readings of it; earlier releases did not note when they were."""
        first_ms, last_ms = record.counts.get("event_ms", (self.begin_ms, self.begin_ms))
        return bool(first_ms < self.until_ms and last_ms >= self.begin_ms)


@dg.asset(
    group_name="quality",
    kinds={"polars", "parquet"},
    code_version="1",
    owners=OWNERS,
    deps=[pet_health_labels, "anomaly_scores", "health_alerts"],
    partitions_def=DAYS,
)
def labelled_days(context: dg.AssetExecutionContext, ports: Ports) -> Materialized:
    """Each pet-window of a day that labels cover, with what was true and what was told."""
    day = _Day.of(context, ports)
    windows, gone = _windows(ports, day)
    if gone:
        raise dg.Failure(
            f"{gone} batches of {day.name} were removed (PETTWIN_KEEP_READINGS_DAYS): it cannot "
            "be measured again, and what was measured stays",
            allow_retries=False,
        )
    labels = ports.ledger.labels.between(day.begin_ms, day.until_ms)
    joined = _joined(windows, labels, _told(ports, labels, day), day)
    path = _write(ports, day.name, joined)
    ill = int(joined["is_ill"].sum())
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(joined),
            "pet_windows": len(windows),
            "labels": len(labels),
            "rows_ill": ill,
            "pets": joined["pet_id"].n_unique(),
            "file": dg.MetadataValue.path(str(path)),
        }
    )


def _windows(ports: Ports, day: _Day) -> "tuple[pl.DataFrame, int]":
    """The pet-windows of a day with readings enough, and how many batches are gone."""
    import polars as pl

    from pettwin_pipeline.defs.stored import stored_hours
    from pettwin_pipeline.detection.quality import judged_windows, tally_windows

    ahead_s = ports.settings.pettwin_max_ahead_s
    done = ports.ledger.upkeep.done(
        ports.settings.kafka_topic, since_s=day.begin_ms / 1000 - ahead_s
    )
    mine = [one for one in done if day.holds(one)]
    nothing = pl.DataFrame(schema={"pet_id": pl.String, "time_ms": pl.Int64, "species": pl.String})
    tallies, gone = [tally_windows(nothing)], 0
    for rows in stored_hours(ports, mine, ["time_ms", "species"]):
        if rows is None:
            gone += 1
            continue
        in_day = pl.col("time_ms").is_between(day.begin_ms, day.until_ms, closed="left")
        tallies.append(tally_windows(rows.filter(in_day)))
    return judged_windows(tallies), gone


def _told(ports: Ports, labels: "Sequence[Label]", day: _Day) -> "Mapping[str, Told]":
    """By detector, what owners were told since the first of these labels begins."""
    since_ms = min([day.begin_ms, *(one.start_ms for one in labels if one.kind == "illness")])
    return ports.ledger.labels.told(since_ms, day.until_ms)


def _joined(
    windows: "pl.DataFrame", labels: "Sequence[Label]", told: "Mapping[str, Told]", day: _Day
) -> "pl.DataFrame":
    """The counted windows of each detector, one after the other, with the species."""
    import polars as pl

    from pettwin_pipeline.detection.quality import call_windows, label_windows

    labelled = label_windows(windows, labels, until_ms=day.until_ms)
    return pl.concat(
        call_windows(labelled, spans).with_columns(pl.lit(detector).alias("detector"))
        for detector, spans in told.items()
    )


def _path(ports: Ports, day: str) -> "UPath":
    return ports.files.root / FOLDER / ports.settings.kafka_topic / f"{day}.parquet"


def _write(ports: Ports, day: str, joined: "pl.DataFrame") -> "UPath":
    from pettwin_pipeline.adapters.files import encode_frame

    return ports.files.write(_path(ports, day), encode_frame(joined))


@dg.asset(
    group_name="quality",
    kinds={"numpy", "datadog"},
    code_version="1",
    owners=OWNERS,
    deps=[labelled_days],
    partitions_def=DAYS,
    check_specs=[
        dg.AssetCheckSpec(
            "accuracy_is_as_agreed",
            asset="detection_quality",
            description=f"At least {ACCURATE:.0%} of the counted pet-windows are right.",
        )
    ],
)
def detection_quality(context: dg.AssetExecutionContext, ports: Ports) -> Materialized:
    """Precision, recall, lead time and more of a day, each with its interval, per detector."""
    from pettwin_pipeline.defs.work import record_check
    from pettwin_pipeline.metrics.points import Recorder

    started_s, day = ports.now_s, _Day.of(context, ports)
    labels = ports.ledger.labels.between(day.begin_ms, day.until_ms)
    told = _told(ports, labels, day)
    joined = _read(ports, day.name)
    species = dict(joined.select("pet_id", "species").unique().iter_rows())
    rows = list(_measured(joined, _within(labels, day), told, species, day))
    recorder = Recorder()
    _record(recorder, ports, (day.name, started_s), rows)
    _record_leads(recorder, ports, rows, _leads(species, labels, told, day))
    check = _accuracy_check(rows)
    record_check(recorder, check)
    ports.send(recorder.drain(), host="quality")
    first = datetime.fromisoformat(day.name) - timedelta(days=TREND_DAYS)
    trend = ports.ledger.labels.qualities(first.date().isoformat(), day.name)
    metadata = {"labels": len(labels), "quality": _table(rows), **_picture(day.name, rows, trend)}
    return dg.MaterializeResult(metadata=metadata, check_results=[check])


def _read(ports: Ports, day: str) -> "pl.DataFrame":
    from pettwin_pipeline.adapters.files import parse_frame

    content = ports.files.read_bytes(_path(ports, day))
    if content is None:
        raise dg.Failure(f"materialise labelled_days of {day} first", allow_retries=False)
    return parse_frame(content)


def _measured(
    joined: "pl.DataFrame",
    labels: "Sequence[Label]",
    told: "Mapping[str, Told]",
    species: Mapping[str, str | None],
    day: _Day,
) -> Iterator[dict[str, Any]]:
    """The figures of each detector and species."""
    import polars as pl

    from pettwin_pipeline.detection.quality import figures, measure

    for detector, spans in told.items():
        mine = joined.filter(pl.col("detector") == detector)
        every = measure(*(mine, labels, spans, species), until_ms=day.until_ms, detector=detector)
        yield from map(figures, every)


def _within(labels: "Sequence[Label]", day: _Day) -> "list[Label]":
    """Labels with the healthy ones cut to the day: false alerts of other days are not counted."""
    import msgspec

    return [
        msgspec.structs.replace(one, start_ms=max(one.start_ms, day.begin_ms))
        if one.kind == "healthy"
        else one
        for one in labels
    ]


def _record(
    recorder: Any, ports: Ports, place: tuple[str, float], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Keep the day, and count what was not counted before."""
    from pettwin_pipeline.metrics.quality_points import record_decisions, record_quality

    day, started_s = place
    news = ports.ledger.labels.keep_quality(day, rows, started_s, ports.now_s)
    record_decisions(recorder, news)
    record_quality(recorder, rows)


def _leads(
    species: Mapping[str, str | None],
    labels: "Sequence[Label]",
    told: "Mapping[str, Told]",
    day: _Day,
) -> dict[str, dict[str, tuple[str, float]]]:
    """By detector and label, the species and the hours from the first alert to the symptoms."""
    from pettwin_pipeline.detection.quality import lead_times
    from pettwin_pipeline.readings.schema import tag_species

    pet_of = {one.label_id: one.pet_id for one in labels}
    return {
        detector: {
            name: (tag_species(species.get(pet_of[name])), hours)
            for name, hours in lead_times(labels, spans, day.until_ms).items()
        }
        for detector, spans in told.items()
    }


def _record_leads(
    recorder: Any,
    ports: Ports,
    rows: Sequence[Mapping[str, Any]],
    leads: Mapping[str, Mapping[str, tuple[str, float]]],
) -> None:
    """Lead times of illnesses that were not reported yet, once there are labels enough."""
    from pettwin_pipeline.metrics.quality_points import record_leads

    if not any(one["is_enough"] for one in rows if one["species"] == "all"):
        return
    fresh = ports.ledger.labels.claim_leads({name for some in leads.values() for name in some})
    for detector, some in leads.items():
        record_leads(recorder, detector, [some[name] for name in sorted(fresh & some.keys())])


def _accuracy_check(rows: Sequence[Mapping[str, Any]]) -> dg.AssetCheckResult:
    found = [one for one in rows if one["species"] == "all" and one["detector"] == "ensemble"]
    enough = [one for one in found if one["is_enough"] and one["accuracy"] is not None]
    accuracy = enough[0]["accuracy"][0] if enough else None
    told = "too few labels to say" if accuracy is None else f"{accuracy:.1%}"
    return dg.AssetCheckResult(
        passed=accuracy is None or accuracy >= ACCURATE,
        check_name="accuracy_is_as_agreed",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"accuracy": told, "labels": found[0]["labels"] if found else 0},
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """A row for each detector and species; estimates with their interval."""
    from pettwin_pipeline.detection.quality import ESTIMATES, OUTCOMES

    counts = ("labels", *OUTCOMES)
    kinds = {"detector": "string", "species": "string", **dict.fromkeys(counts, "int")}
    kinds |= dict.fromkeys(ESTIMATES, "string")
    shown = [
        {name: one[name] for name in ("detector", "species", *counts)}
        | {name: _estimate(one[name] if one["is_enough"] else None) for name in ESTIMATES}
        for one in rows
    ]
    return show_table(shown, kinds)


def _estimate(found: Sequence[float] | None) -> str:
    return "-" if found is None else "{:.2f} [{:.2f} {:.2f}]".format(*found)


def _picture(
    day: str, rows: Sequence[Mapping[str, Any]], trend: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """How it was that day and the days before, where there are labels enough."""
    from pettwin_pipeline.defs.pictures import draw_quality, show_png

    of_all = [one for one in trend if one["species"] == "all" and one["is_enough"]]
    mine = [one for one in rows if one["species"] == "all" and one["is_enough"]]
    return {"picture": show_png(day, draw_quality(day, mine, of_all))} if mine else {}


quality_job = dg.define_asset_job(
    "quality_job",
    selection=dg.AssetSelection.assets(labelled_days, detection_quality),
    description="A day's decisions held against its labels.",
)


@dg.schedule(
    job=quality_job,
    cron_schedule="22 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The day of the hour that is over, where any label lies over it.",
)
def hourly_quality(
    context: dg.ScheduleEvaluationContext, ports: Ports
) -> dg.RunRequest | dg.SkipReason:
    """Decisions come without labels too: those that go on cover every new day."""
    over = context.scheduled_execution_time.astimezone(UTC) - HOUR
    begin = datetime(over.year, over.month, over.day, tzinfo=UTC)
    begin_ms, end_ms = (round(time.timestamp() * 1000) for time in (begin, begin + DAY))
    day = begin.date().isoformat()
    if not ports.ledger.labels.between(begin_ms, end_ms):
        return dg.SkipReason(f"no label lies over {day}")
    return dg.RunRequest(run_key=f"{day}/{over:%H}", partition_key=day)
