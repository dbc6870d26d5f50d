"""Episodes of illness put into recorded readings, with the label that says what is true.

Nobody knows of an illness of the recorded dogs, so detection is measured on these. Each changes the
heart rate by a factor, at once or more and more, and ends at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice
from typing import Final

import numpy as np
import polars as pl

from pettwin_pipeline.readings.schema import PHYSICAL_RANGES
from pettwin_pipeline.readings.simulator.labels import Label, label_id


@dataclass(frozen=True, slots=True)
class Injection:
    """What happens to the heart rate: times `factor` for `duration_s`.

    Attributes:
        grows: from 1 at the beginning to `factor` at the end, along a line.
    """

    factor: float
    duration_s: int
    grows: bool = False


INJECTIONS: Final[dict[str, Injection]] = {
    "tachycardia": Injection(1.8, 120),
    "mild_tachycardia": Injection(1.4, 300),
    "drift": Injection(1.5, 600, grows=True),
    "bradycardia": Injection(0.6, 120),
}

SEVERE: Final[dict[str, Injection]] = {"severe_tachycardia": Injection(3.2, 900)}
"""Beside the protocol, for the demo: so far and so long that an owner is told at once."""
_KINDS: Final = INJECTIONS | SEVERE


def inject(readings: pl.DataFrame, kind: str, start_ms: int) -> tuple[pl.DataFrame, Label]:
    """One pet's readings with an episode in them, and its label.

    Rates keep one decimal and stay below the highest that a reading may have.

    Args:
        readings: frame with pet_id, time_ms and heart_rate, of one pet.
        kind: a name of INJECTIONS or SEVERE.
        start_ms: the first moment of the episode, ms since 1970 UTC.

    Raises:
        ValueError: readings of no pet or of more than one.
    """
    pets = readings["pet_id"].unique()
    if len(pets) != 1:
        raise ValueError(f"readings of one pet, not of {len(pets)}")
    injection = _KINDS[kind]
    duration_ms = 1000 * injection.duration_s
    passed = (pl.col("time_ms") - start_ms) / duration_ms
    factor = 1.0 + (injection.factor - 1.0) * (passed if injection.grows else pl.lit(1.0))
    rate = (pl.col("heart_rate") * factor).clip(upper_bound=PHYSICAL_RANGES["heart_rate"].high)
    during = pl.col("time_ms").is_between(start_ms, start_ms + duration_ms, closed="left")
    changed = pl.when(during).then(rate.round(1)).otherwise(pl.col("heart_rate"))
    return readings.with_columns(changed.alias("heart_rate")), _label(pets[0], kind, start_ms)


def inject_every(
    readings: pl.DataFrame,
    *,
    every_s: int = 1800,
    first_s: int = 1800,
    kinds: Sequence[str] = tuple(INJECTIONS),
) -> tuple[pl.DataFrame, list[Label]]:
    """Readings of any pets with episodes in turn, and their labels by time.

    Args:
        readings: frame with pet_id, time_ms and heart_rate.
        every_s: from the beginning of one episode to that of the next of the same pet.
        first_s: from a pet's first reading to its first episode.
        kinds: names of INJECTIONS or SEVERE, taken in turn; each pet begins one further than the
            pet before, so that short recordings have all of them. What would outlast a pet's
            readings is not put in.

    Raises:
        ValueError: every_s does not outlast the longest of the kinds, or there are no kinds.
    """
    if not kinds or every_s <= max(_KINDS[kind].duration_s for kind in kinds):
        raise ValueError("kinds are not empty, and each is over within every_s")
    frames, labels = [readings.clear()], list[Label]()
    pets = readings.partition_by("pet_id", maintain_order=True)
    for turn, pet in enumerate(sorted(pets, key=lambda one: str(one["pet_id"][0]))):
        ill = pet
        for kind, start_ms in _places(pet["time_ms"], every_s, first_s, kinds, turn):
            ill, label = inject(ill, kind, start_ms)
            labels.append(label)
        frames.append(ill)
    return pl.concat(frames).sort("time_ms", "pet_id"), sorted(labels, key=lambda one: one.order)


def _places(
    times: pl.Series, every_s: int, first_s: int, kinds: Sequence[str], turn: int
) -> Iterator[tuple[str, int]]:
    """Which episodes a pet gets, and when: none that ends after its last reading."""
    times_ms = times.to_numpy()
    begin_ms, end_ms = int(np.min(times_ms)), int(np.max(times_ms))
    in_turn = islice(cycle(kinds), turn % len(kinds), None)
    for kind, start_ms in zip(in_turn, count(begin_ms + 1000 * first_s, 1000 * every_s)):
        if start_ms > end_ms:
            return
        if start_ms + 1000 * _KINDS[kind].duration_s <= end_ms:
            yield kind, start_ms


def _label(pet_id: str, kind: str, start_ms: int) -> Label:
    injection, name = _KINDS[kind], f"injected_{kind}"
    half_ms = 500 * injection.duration_s if injection.grows else 0
    return Label(
        label_id=label_id(pet_id, name, start_ms),
        pet_id=pet_id,
        kind="illness",
        name=name,
        start_ms=start_ms,
        end_ms=start_ms + 1000 * injection.duration_s,
        half_effect_ms=start_ms + half_ms,
        severity=round(min(1.0, abs(injection.factor - 1.0)), 3),
    )
