"""The points of each stage: what a batch counted, as metric values. Pure.

One function a stage. Values come in as frames and episodes, leave in a `Recorder`; which series may
exist is decided by the catalogue alone. What the sensors and the producer say is in `upkeep`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from pettwin_pipeline.batches import Gap
from pettwin_pipeline.detection.alerts import Alert
from pettwin_pipeline.detection.episodes import Episode
from pettwin_pipeline.metrics.points import Recorder, WatchList
from pettwin_pipeline.readings.schema import SIGNALS, SIZES, SPECIES, Reject, tag_species

_WATCHED: Final = ("heart_rate", "activity_score", "gait_symmetry")
_SIGNAL_TAGS: Final = {
    "activity_score": "activity",
    "gait_symmetry": "gait",
    "sleep_quality": "sleep",
}
"""Signals that the tag signal calls by a shorter name."""


def record_readings(
    recorder: Recorder, readings: pl.DataFrame, topic: str, group: str, now_s: float
) -> None:
    """What was accepted: counts, age of the readings, and the vitals of each cohort."""
    if readings.is_empty():
        return
    tags = {"topic": topic, "consumer_group": group}
    recorder.count("kafka.messages.consumed", len(readings), tags=tags)
    ages = (now_s - readings["time_ms"] / 1000.0).clip(lower_bound=0.0)
    recorder.distribution("kafka.consumer.event_age", ages.to_numpy(), tags=tags)
    cohorts = readings.select(
        _within("species", SPECIES, "other"), _within("size", SIZES, "na"), *SIGNALS
    )
    for (species, size), cohort in cohorts.partition_by(
        "species", "size", as_dict=True, include_key=False
    ).items():
        for signal in SIGNALS:
            values = cohort[signal].drop_nulls().to_numpy()
            recorder.distribution(
                f"pet.health.{signal}", values, species=str(species), size=str(size)
            )


def _within(column: str, values: Sequence[str], otherwise: str) -> pl.Expr:
    """The column, with `otherwise` for what is not among the values."""
    known = pl.col(column).is_in(values)
    return pl.when(known).then(pl.col(column)).otherwise(pl.lit(otherwise)).alias(column)


def record_rejects(recorder: Recorder, rejects: Iterable[Reject], topic: str) -> None:
    """Dead letters by reason."""
    for reason, n in Counter(reject.reason.value for reject in rejects).items():
        recorder.count("kafka.messages.dead_lettered", n, topic=topic, reason=reason)


def record_gaps(recorder: Recorder, gaps: Iterable[Gap], topic: str) -> None:
    """Offsets that were gone before they were read."""
    for gap in gaps:
        recorder.count(
            "kafka.offsets.gap", gap.end - gap.start, topic=topic, partition=gap.partition
        )


def record_watched(recorder: Recorder, readings: pl.DataFrame, watch: WatchList) -> None:
    """The latest value of each signal of the pets on the watch list; nothing while it is empty."""
    recorder.watch(watch)
    latest = (
        readings.filter(pl.col("pet_id").is_in(watch.listed))
        .sort("time_ms", maintain_order=True)
        .group_by("pet_id", maintain_order=True)
        .agg(pl.col("species").last(), *(pl.col(name).drop_nulls().last() for name in _WATCHED))
    )
    for row in latest.iter_rows(named=True):
        species = tag_species(row["species"])
        for signal in _WATCHED:
            if row[signal] is not None:
                recorder.gauge(
                    f"pet.health.watch.{signal}",
                    row[signal],
                    pet_id=row["pet_id"],
                    species=species,
                )


def record_episodes(recorder: Recorder, episodes: Sequence[Episode]) -> None:
    """Anomalies raised: each episode at each severity that it reached in this batch."""
    for one in episodes:
        if one.ended_ms is None:
            recorder.count(
                "pet.health.anomaly.detected",
                severity=one.severity,
                signal=_signal_tag(one),
                species=tag_species(one.species),
            )


def _signal_tag(one: Episode) -> str:
    if one.kind == "sensor":
        return "sensor"
    return "multi" if len(one.signals) > 1 else _SIGNAL_TAGS.get(one.signal, one.signal)


def record_alerts(recorder: Recorder, alerts: Sequence[Alert], outcome: str) -> None:
    """Alerts that went to the topic, delivered or failed."""
    for one in alerts:
        recorder.count(
            "pet.health.alerts.sent", severity=one.severity, channel="topic", outcome=outcome
        )
