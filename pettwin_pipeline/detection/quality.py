"""How good the detection was where somebody knows the truth: labels joined to what was decided.

Judged are pet-windows: 15 minutes of one pet with at least half of its usual readings.

| a window is | when |
|---|---|
| ill         | labels of illness lie over at least half of it |
| healthy     | a label of health lies over all of it, and none of illness over any |
| not counted | otherwise: nobody has said yet, or an illness begins or ends in it |
| called      | an episode of health of the least severity went on in it, from when it was raised |

Whole illnesses and days are judged beside them: lead time, coverage, false alerts a pet-day.
Windows of a pet are much alike, so what has no Wilson interval is drawn again pet by pet. Pure.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pettwin_pipeline.detection.episodes import Episode
from pettwin_pipeline.detection.hearts import is_at_least
from pettwin_pipeline.detection.verdicts import LEAST_SEVERITY
from pettwin_pipeline.readings.schema import tag_species
from pettwin_pipeline.readings.simulator.labels import Label

WINDOW_MS: Final = 15 * 60_000
DAY_MS: Final = 24 * 3_600_000
HOUR_MS: Final = 3_600_000
ENOUGH_READINGS: Final = 0.5  # of what a pet usually has in a window
HALF: Final = 0.5
LEAST_LABELS: Final = 10
"""Labels of illness and of health together under which nothing is published."""
PERSISTENT_MS: Final = 6 * HOUR_MS
"""An illness that lasts so long should stay raised, not only be raised."""
DRAWS: Final = 400
DETECTOR: Final = "statistical"
OUTCOMES: Final = ("tp", "fp", "fn", "tn")
"""Of pet-windows: ill and called, healthy and called, ill and not, healthy and not."""
SHARES: Final = ("accuracy", "precision", "recall", "f1")
ESTIMATES: Final = (*SHARES, "false_a_day", "lead_h", "coverage")
"""What of a `Quality` has an interval."""

FloatArray = npt.NDArray[np.float64]
Span = tuple[int, int]
Told = Mapping[str, Sequence[Span]]
"""By pet, from when an owner was told of something to its end, ms."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; NaN where there is nothing to tell it from."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Quality:
    """What a detector was worth for a species, or for all. Shares lie in 0 to 1.

    Attributes:
        tp, fp, fn, tn: pet-windows: ill and called, healthy and called, ill and not, healthy
            and not.
        labels: of illness and of health that the windows were judged by.
        prevalence: share of the counted windows that were ill.
        false_a_day: alerts raised in healthy time, per pet-day of it.
        lead_h: median hours from the first alert of an illness to its visible symptoms.
        coverage: share of persistent illnesses in which an episode went on, counted from an hour
            after the onset and not before half of the effect is there.
        is_enough: whether there are labels enough to publish this.
    """

    detector: str
    species: str
    tp: int
    fp: int
    fn: int
    tn: int
    labels: int
    prevalence: float
    accuracy: Estimate
    precision: Estimate
    recall: Estimate
    f1: Estimate
    false_a_day: Estimate
    lead_h: Estimate
    coverage: Estimate
    is_enough: bool


def figures(one: Quality) -> dict[str, Any]:
    """A quality as JSON has it: an estimate is [value, low, high], or null without a value."""
    values: dict[str, Any] = {
        "detector": one.detector,
        "species": one.species,
        **{name: getattr(one, name) for name in (*OUTCOMES, "labels", "is_enough")},
        "prevalence": None if math.isnan(one.prevalence) else round(one.prevalence, 4),
    }
    for name in ESTIMATES:
        found: Estimate = getattr(one, name)
        known = [found.value, found.low, found.high]
        values[name] = (
            None if any(map(math.isnan, known)) else [round(number, 4) for number in known]
        )
    return values


def wilson(hits: int, total: int) -> Estimate:
    """A share with its Wilson interval."""
    if total == 0:
        return Estimate(math.nan, math.nan, math.nan)
    z, share = 1.96, hits / total
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return Estimate(share, max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale))


def bootstrap(
    parts: Sequence[FloatArray], statistic: Callable[[FloatArray], float], seed: int = 1
) -> Estimate:
    """A statistic of rows, with the interval that drawing the pets again gives.

    Args:
        parts: the rows of each pet, shape (rows, columns).
        statistic: of rows of any pets; NaN where it has no value.
        seed: of the draws: the same parts give the same interval.
    """
    some = [part for part in parts if len(part)]
    if not some:
        return Estimate(math.nan, math.nan, math.nan)
    dice = np.random.default_rng(seed)
    drawn = []
    for _ in range(DRAWS):
        which = dice.integers(0, len(some), len(some))
        drawn.append(statistic(np.concatenate([some[number] for number in which])))
    known = [one for one in drawn if not math.isnan(one)]
    if not known:
        return Estimate(math.nan, math.nan, math.nan)
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(statistic(np.concatenate(some)), float(low), float(high))


def tally_windows(readings: pl.DataFrame) -> pl.DataFrame:
    """Readings in each pet-window; tallies of parts are added up by `judged_windows`.

    Args:
        readings: with pet_id, time_ms and species, of any days.

    Returns:
        Frame of pet_id, window (event time divided by WINDOW_MS), readings, and species as the
        pet's readings said it, null where none did.
    """
    window = (pl.col("time_ms") // WINDOW_MS).alias("window")
    return readings.group_by("pet_id", window).agg(
        pl.len().alias("readings"), pl.col("species").drop_nulls().last()
    )


def judged_windows(tallies: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The pet-windows with readings enough to be judged, by pet and time; as `tally_windows`."""
    windows = (
        pl.concat(tallies)
        .group_by("pet_id", "window")
        .agg(pl.col("readings").sum(), pl.col("species").drop_nulls().last())
    )
    usual = pl.col("readings").quantile(0.9).over("pet_id")
    enough = windows.filter(pl.col("readings") >= ENOUGH_READINGS * usual)
    return enough.sort("pet_id", "window")


def label_windows(windows: pl.DataFrame, labels: Sequence[Label], *, until_ms: int) -> pl.DataFrame:
    """The windows that labels say something of, with the truth: `is_ill`.

    Args:
        windows: of `judged_windows`.
        labels: the newest of each id.
        until_ms: what has no end yet goes on until here.
    """
    ill, well = (_spans(labels, kind, until_ms) for kind in ("illness", "healthy"))
    truth = []
    for pet, at in _windows_of(windows):
        sick = _overlap(at, ill.get(pet, ()))
        is_well = sick == 0 and _overlap(at, well.get(pet, ())) >= WINDOW_MS
        is_ill = sick >= HALF * WINDOW_MS
        truth.append(is_ill if is_ill or is_well else None)
    column = pl.Series("is_ill", truth, pl.Boolean)
    return windows.with_columns(column).drop_nulls("is_ill")


def call_windows(labelled: pl.DataFrame, told: Told) -> pl.DataFrame:
    """The same, with what was called: `is_called`.

    Args:
        labelled: of `label_windows`.
        told: by whoever is judged.
    """
    called = [_overlap(at, told.get(pet, ())) > 0 for pet, at in _windows_of(labelled)]
    return labelled.with_columns(pl.Series("is_called", called, pl.Boolean))


def _windows_of(windows: pl.DataFrame) -> Iterator[tuple[str, Span]]:
    for pet, window in windows.select("pet_id", "window").iter_rows():
        yield pet, (window * WINDOW_MS, (window + 1) * WINDOW_MS)


def told_of(
    episodes: Sequence[Episode], until_ms: int, least_severity: str = LEAST_SEVERITY
) -> dict[str, list[Span]]:
    """From when each episode of health had a severity, to its end.

    Args:
        episodes: all changes of the detector, in stream order.
        until_ms: what has no end yet goes on until here.
        least_severity: that counts.
    """
    ends = {one.episode_id: one.ended_ms for one in episodes if one.ended_ms is not None}
    told: dict[str, list[Span]] = defaultdict(list)
    seen = set()
    for one in episodes:
        if one.kind != "health" or one.ended_ms is not None or one.episode_id in seen:
            continue
        if is_at_least(one.severity, least_severity):
            seen.add(one.episode_id)
            end_ms = ends.get(one.episode_id, until_ms)
            told[one.pet_id].append((one.raised_ms, max(end_ms, one.raised_ms + 1)))
    return dict(told)


def measure(
    joined: pl.DataFrame,
    labels: Sequence[Label],
    told: Told,
    species: Mapping[str, str | None],
    *,
    until_ms: int,
    detector: str = DETECTOR,
) -> list[Quality]:
    """The quality for each species that has counted windows, and for all.

    Args:
        joined: of `call_windows`.
        labels: the same.
        told: the same.
        species: of each pet, as sent; `other` where it is not here.
        until_ms: the same.
        detector: whose decisions these are.
    """
    pets = joined["pet_id"].unique().sort().to_list()
    tags = {pet: tag_species(species.get(pet)) for pet in pets}
    groups = {tag: [pet for pet in pets if tags[pet] == tag] for tag in sorted(set(tags.values()))}
    return [
        _measure(some, joined, labels, told, detector=detector, species=tag, until_ms=until_ms)
        for tag, some in [*groups.items(), ("all", pets)]
        if some
    ]


def _measure(
    pets: Sequence[str],
    joined: pl.DataFrame,
    labels: Sequence[Label],
    told: Told,
    *,
    detector: str,
    species: str,
    until_ms: int,
) -> Quality:
    mine = joined.filter(pl.col("pet_id").is_in(list(pets)))
    ill, called = mine["is_ill"].to_numpy(), mine["is_called"].to_numpy()
    tp, fp = int((ill & called).sum()), int((~ill & called).sum())
    fn, tn = int((ill & ~called).sum()), int((~ill & ~called).sum())
    of_pets = [one for one in labels if one.pet_id in set(pets)]
    truths = [one for one in of_pets if one.kind in {"illness", "healthy"}]
    parts = [
        part.select("is_ill", "is_called").cast(pl.Float64).to_numpy()
        for part in mine.partition_by("pet_id")
    ]
    return Quality(
        detector=detector,
        species=species,
        tp=tp,
        fp=fp,
        fn=fn,
        tn=tn,
        labels=len(truths),
        prevalence=(tp + fn) / len(mine) if len(mine) else math.nan,
        accuracy=wilson(tp + tn, len(mine)),
        precision=wilson(tp, tp + fp),
        recall=wilson(tp, tp + fn),
        f1=bootstrap(parts, _f1),
        false_a_day=_false_a_day(pets, of_pets, told, until_ms),
        lead_h=_lead(of_pets, told, until_ms),
        coverage=_coverage(of_pets, told, until_ms),
        is_enough=len(truths) >= LEAST_LABELS,
    )


def _f1(rows: FloatArray) -> float:
    ill, called = rows[:, 0] > 0, rows[:, 1] > 0
    hits, wrong = float((ill & called).sum()), float((ill != called).sum())
    return 2 * hits / (2 * hits + wrong) if hits + wrong else math.nan


def _false_a_day(
    pets: Sequence[str], labels: Sequence[Label], told: Told, until_ms: int
) -> Estimate:
    """Alerts in healthy time per pet-day of it; up to an hour after, they are the illness's."""
    ill, well = _spans(labels, "illness", until_ms), _spans(labels, "healthy", until_ms)
    parts = []
    for pet in pets:
        days = sum(end - begin for begin, end in well.get(pet, ())) / DAY_MS
        if days:
            false = sum(
                any(begin <= at < end for begin, end in well[pet])
                and not any(begin <= at <= end + HOUR_MS for begin, end in ill.get(pet, ()))
                for at, _ in told.get(pet, ())
            )
            parts.append(np.array([[false, days]], np.float64))
    return bootstrap(parts, lambda rows: float(rows[:, 0].sum() / rows[:, 1].sum()))


def lead_times(labels: Sequence[Label], told: Told, until_ms: int) -> dict[str, float]:
    """Hours from the first alert to the visible symptoms, by label id, where there was one.

    Negative where the owner could see it first.
    """
    leads = {}
    for one in labels:
        if one.kind != "illness" or one.visible_ms is None:
            continue
        end_ms = until_ms if one.end_ms is None else one.end_ms
        first = [at for at, _ in told.get(one.pet_id, ()) if one.start_ms <= at <= end_ms]
        if first:
            leads[one.label_id] = (one.visible_ms - min(first)) / HOUR_MS
    return leads


def _lead(labels: Sequence[Label], told: Told, until_ms: int) -> Estimate:
    pet_of = {one.label_id: one.pet_id for one in labels}
    by_pet: dict[str, list[float]] = defaultdict(list)
    for name, lead in lead_times(labels, told, until_ms).items():
        by_pet[pet_of[name]].append(lead)
    parts = [np.array(leads, np.float64)[:, None] for leads in by_pet.values()]
    return bootstrap(parts, lambda rows: float(np.median(rows)))


def _coverage(labels: Sequence[Label], told: Told, until_ms: int) -> Estimate:
    by_pet: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in labels:
        end_ms = until_ms if one.end_ms is None else min(one.end_ms, until_ms)
        if one.kind != "illness" or end_ms - one.start_ms < PERSISTENT_MS:
            continue
        span = max(one.start_ms + HOUR_MS, one.half_effect_ms or 0), end_ms
        if span[1] > span[0]:
            spans = told.get(one.pet_id, ())
            by_pet[one.pet_id].append((_overlap(span, spans), span[1] - span[0]))
    parts = [np.array(rows, np.float64) for rows in by_pet.values()]
    return bootstrap(parts, lambda rows: float(rows[:, 0].sum() / rows[:, 1].sum()))


def _spans(labels: Sequence[Label], kind: str, until_ms: int) -> dict[str, list[Span]]:
    spans: dict[str, list[Span]] = defaultdict(list)
    for one in labels:
        if one.kind == kind:
            spans[one.pet_id].append((one.start_ms, until_ms if one.end_ms is None else one.end_ms))
    return spans


def _overlap(at: Span, spans: Sequence[Span]) -> int:
    """How much of a time is covered by any of the others, ms."""
    covered, reached = 0, at[0]
    for begin, end in sorted(spans):
        first, last = max(begin, reached), min(end, at[1])
        if last > first:
            covered += last - first
            reached = last
    return covered
