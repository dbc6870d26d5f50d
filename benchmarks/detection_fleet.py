"""What the detector finds in a simulated fleet, next to a rolling z-score and to chance.

    python benchmarks/detection_fleet.py [--pets 100] [--days 4] [--seed 901]

Nine pets in ten are healthy; play, the vet, thunder, loose and charging collars, sensor faults come
at their usual rates. Counted are episodes of medium and up, which owners are told of. Three fleets:
a mixed one for false episodes and confounders, one that is all persistently ill, one with an hour
of +20 bpm at rest every few hours. Seeds from 900 up were
not looked at while constants were chosen.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from detection import as_batch, bootstrap, wilson, z_alarms

from pettwin_pipeline.detection.baseline import Baselines
from pettwin_pipeline.detection.episodes import Episode
from pettwin_pipeline.detection.hearts import is_at_least
from pettwin_pipeline.detection.scoring import score_batch
from pettwin_pipeline.detection.verdicts import LEAST_SEVERITY
from pettwin_pipeline.readings.simulator import PERSISTENT, Fleet, Label, simulate

START_MS = 1_772_323_200_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
GRACE_MS = 300_000


@dataclass(frozen=True)
class Told:
    """Something told of a pet: when, and how long it went on."""

    raised_ms: int
    ended_ms: int


Alarms = Mapping[str, Sequence[Told]]


@dataclass(frozen=True)
class Observed:
    """A fleet that was watched: labels as they stood at the end, alarms by detector."""

    pets: int
    end_ms: int
    labels: Sequence[Label]
    alarms: Mapping[str, Alarms]

    def of(self, kind: str) -> dict[str, list[Label]]:
        """The labels of a kind by pet."""
        found: dict[str, list[Label]] = defaultdict(list)
        for one in self.labels:
            if one.kind == kind:
                found[one.pet_id].append(one)
        return found

    def ends(self, label: Label) -> int:
        """When a label's interval ends, at the latest with the simulation."""
        return self.end_ms if label.end_ms is None else label.end_ms


def watch(
    pets: int,
    days: float,
    seed: int,
    *,
    ill: float,
    kinds: Sequence[str],
    onset_h: tuple[float, float],
) -> Observed:
    """Simulate and score a fleet."""
    fleet = Fleet.draw(pets, seed, ill_share=ill, illnesses=kinds, onset_h=onset_h)
    baselines, told = Baselines.empty(), list[Episode]()
    labels: dict[str, Label] = {}
    rates = []
    for chunk in simulate(fleet, START_MS, days * 86_400, seed=seed, chunk_s=7200):
        batch = as_batch(chunk.readings)
        scored = score_batch(batch, baselines)
        baselines = scored.baselines
        told += scored.episodes
        rates.append(batch.select("pet_id", "time_ms", "heart_rate"))
        for one in chunk.labels:
            if one.label_id not in labels or one.end_ms is not None:
                labels[one.label_id] = one
    end_ms = START_MS + round(days * DAY_MS)
    alarms: dict[str, Alarms] = {"this detector, medium and up": owners_alarms(told, end_ms)}
    for name, found in z_alarms(pl.concat(rates)).items():
        alarms[name] = {
            pet: [Told(at_ms, at_ms + GRACE_MS) for at_ms in times] for pet, times in found.items()
        }
    return Observed(pets, end_ms, list(labels.values()), alarms)


def owners_alarms(told: Sequence[Episode], end_ms: int) -> Alarms:
    """What owners are told of: medium and up, each time that it is told."""
    ends = {one.episode_id: one.ended_ms for one in told if one.ended_ms is not None}
    found: dict[str, list[Told]] = defaultdict(list)
    for one in told:
        if one.kind != "health" or one.ended_ms is not None:
            continue
        if is_at_least(one.severity, LEAST_SEVERITY):
            found[one.pet_id].append(Told(one.raised_ms, ends.get(one.episode_id) or end_ms))
    return found


def healthy_days(seen: Observed) -> float:
    """Pet-days without an illness."""
    ill_ms = sum(seen.ends(one) - one.start_ms for one in seen.labels if one.kind == "illness")
    return (seen.pets * (seen.end_ms - START_MS) - ill_ms) / DAY_MS


def false_per_day(seen: Observed, alarms: Alarms) -> tuple[int, float]:
    """Alarms that no illness explains, up to an hour after its end; and per healthy pet-day."""
    ill = seen.of("illness")
    false = sum(
        not any(i.start_ms <= one.raised_ms <= seen.ends(i) + HOUR_MS for i in ill.get(pet, ()))
        for pet, told in alarms.items()
        for one in told
    )
    return false, false / healthy_days(seen)


def is_raised(told: Sequence[Told], begin_ms: int, end_ms: int) -> bool:
    """Whether something was told within a time."""
    return any(begin_ms <= one.raised_ms <= end_ms for one in told)


def covered(told: Sequence[Told], begin_ms: int, end_ms: int) -> float:
    """Share of the minutes of a time in which something went on."""
    minutes = np.zeros(max((end_ms - begin_ms) // 60_000, 1), np.bool_)
    for one in told:
        first, last = (max((at - begin_ms) // 60_000, 0) for at in (one.raised_ms, one.ended_ms))
        minutes[first:last] = True
    return float(minutes.mean())


def print_false(seen: Observed) -> dict[str, float]:
    """False alarms per pet-day of each detector, and the share of confounders that raise one."""
    rates = {}
    for name, alarms in seen.alarms.items():
        false, rates[name] = false_per_day(seen, alarms)
        print(
            f"{name}: {false} false in {healthy_days(seen):.0f} pet-days, {rates[name]:.3f} a day"
        )
        shares: dict[str, list[bool]] = defaultdict(list)
        ill = seen.of("illness")
        for pet, labels in seen.of("confounder").items():
            for one in labels:
                if any(i.start_ms <= one.start_ms < seen.ends(i) for i in ill.get(pet, ())):
                    continue
                raised = is_raised(alarms.get(pet, ()), one.start_ms, seen.ends(one))
                shares[one.name].append(raised)
        for confounder, raised_in in sorted(shares.items()):
            print(f"    {confounder:14} raises one in {share_of(raised_in)}")
    return rates


def share_of(found: Sequence[bool]) -> str:
    """A share with its Wilson interval and number."""
    low, high = wilson(sum(found), len(found))
    return f"{np.mean(found):.2f} [{low:.2f} {high:.2f}] of {len(found)}"


def print_found(seen: Observed, rates: Mapping[str, float]) -> None:
    """Recall, coverage and lead time of each illness by each detector."""
    for name, alarms in seen.alarms.items():
        print(
            f"{name} (chance: what alarms at the same rate of {rates[name]:.2f} a day would find)"
        )
        by_name: dict[str, list[Label]] = defaultdict(list)
        for one in seen.labels:
            if one.kind == "illness":
                by_name[one.name].append(one)
        for illness, labels in sorted(by_name.items()):
            print(f"    {illness:13}{_line(seen, alarms, labels, rates[name])}")


def _line(seen: Observed, alarms: Alarms, labels: Sequence[Label], rate: float) -> str:
    found, shares, leads, chances = [], [], [], []
    for one in labels:
        told, end_ms = alarms.get(one.pet_id, ()), seen.ends(one)
        if one.name not in PERSISTENT:
            found.append(is_raised(told, one.start_ms, end_ms + GRACE_MS))
        else:
            begin_ms = max(one.start_ms + HOUR_MS, one.half_effect_ms or 0)
            if end_ms - begin_ms < 2 * HOUR_MS:
                continue
            found.append(is_raised(told, one.start_ms, end_ms))
            shares.append(covered(told, begin_ms, end_ms))
            first = [t.raised_ms for t in told if one.start_ms <= t.raised_ms <= end_ms]
            if first and one.visible_ms is not None:
                leads.append((one.visible_ms - min(first)) / HOUR_MS)
        chances.append(1 - np.exp(-rate * (end_ms - one.start_ms) / DAY_MS))
    if not found:
        return " too short to tell"
    text = f"recall {share_of(found)}, chance {np.mean(chances):.2f}"
    if shares:
        text += f"; coverage {np.mean(shares):.2f} [{bootstrap(shares, np.mean)}]"
    if leads:
        text += f"; {np.median(leads):+.0f} h before visible [{bootstrap(leads, np.median)}]"
    return text


def print_fleet(pets: int, days: float, seed: int) -> None:
    """All three fleets."""
    persistent = tuple(PERSISTENT)
    print(f"\nsimulated fleet: {pets} pets, {days:g} days, 90 % healthy, seed {seed}")
    rates = print_false(watch(pets, days, seed, ill=0.1, kinds=persistent, onset_h=(24.0, 48.0)))
    print(f"persistent illness from 2 to 24 h on: {pets // 2} pets, {days:g} days, seed {seed + 1}")
    print_found(
        watch(pets // 2, days, seed + 1, ill=1.0, kinds=persistent, onset_h=(2.0, 24.0)), rates
    )
    print(f"an hour of +20 bpm at rest, mixed breeds: {pets // 2} pets, 2 days, seed {seed + 2}")
    print_found(
        watch(pets // 2, 2, seed + 2, ill=1.0, kinds=("resting_rise",), onset_h=(12.0, 24.0)), rates
    )
    print("an owner who notices on the labelled day is told 0 h before it")


def main() -> None:
    """Print the tables of the fleet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pets", type=int, default=100)
    parser.add_argument("--days", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=901)
    arguments = parser.parse_args()
    print_fleet(arguments.pets, arguments.days, arguments.seed)


if __name__ == "__main__":
    main()
