"""The simulation itself: pets in, readings and labels out, in the order of time.

Puts behaviour, heart, illness and collar together, slice of pets by slice and minute by minute,
and cuts what comes out into the chunks that the caller wants: neither slices nor chunks change a
byte. Readings and labels leave by separate doors, and nothing of the one is in the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from pettwin_pipeline.readings.schema import READING_SCHEMA
from pettwin_pipeline.readings.simulator import behaviour, collar, heart
from pettwin_pipeline.readings.simulator.behaviour import Behaviour
from pettwin_pipeline.readings.simulator.collar import Collars, Signals
from pettwin_pipeline.readings.simulator.confounders import Storms, daylight, outings
from pettwin_pipeline.readings.simulator.fleet import Fleet, Pet
from pettwin_pipeline.readings.simulator.grid import (
    BEGIN,
    BLOCK,
    BLOCK_MS,
    STEP,
    Block,
    Dice,
    FloatArray,
)
from pettwin_pipeline.readings.simulator.heart import SURGES, Heart, HeartDice
from pettwin_pipeline.readings.simulator.illness import Illnesses, healthy
from pettwin_pipeline.readings.simulator.labels import Label
from pettwin_pipeline.readings.simulator.spells import SPELL_DICE, SpellEvent, Spells, chances

SLICE: Final = 512  # pets that are computed together: a multiple of the dice's cohort, fits a cache
JITTER_MS: Final = 20
NORMAL_C: Final = {"dog": 38.5, "cat": 38.7}
COLUMNS: Final = tuple(
    name for name in READING_SCHEMA if name not in {"partition", "offset", "kafka_ms", "metadata"}
)
"""The columns of a chunk's readings, typed as in READING_SCHEMA."""
DECIMALS: Final = {
    "heart_rate": 1,
    "activity_score": 1,
    "gait_symmetry": 3,
    "sleep_quality": 3,
    "respiratory_rate": 1,
    "temperature_c": 2,
    "battery": 0,
}
MEASURED: Final = ("time_ms", *DECIMALS)
WHO: Final = ("pet_id", "species", "breed", "size", "weight_kg", "age_years")

Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class SimulatedChunk:
    """What happened in [begin_ms, end_ms), ms since 1970 UTC.

    Attributes:
        readings: frame of COLUMNS in the order of time; null is: not sent.
        labels: what became known, in the order of time: an interval appears when it begins, and
            again, with its end, when it ends.
    """

    begin_ms: int
    end_ms: int
    readings: pl.DataFrame
    labels: tuple[Label, ...]


def simulate(
    fleet: Fleet,
    start_ms: int,
    duration_s: float,
    *,
    seed: int,
    step_s: float = 2.0,
    chunk_s: float = 60.0,
    confounder_rate: float = 1.0,
    fault_rate: float = 1.0,
) -> Iterator[SimulatedChunk]:
    """Simulate a fleet.

    The same fleet, start, step, seed and rates give the same bytes, whatever the chunks; a longer
    duration only adds (but for the labels that the end closes), and so do more pets at the end of a
    fleet. At any time about one minute and one chunk of readings are in memory.

    Args:
        fleet: the pets.
        start_ms: first moment, ms since 1970 UTC; the hour of the day follows from it.
        duration_s: how long.
        seed: 0 or more; chance after the pets were drawn.
        step_s: seconds between two readings of a pet; 60 is a multiple of it.
        chunk_s: length of a chunk.
        confounder_rate: how often outings, storms, loose and charging collars come, as a factor.
        fault_rate: the same for the sensor's faults.

    Raises:
        ValueError: a step that does not divide a minute, or something below its least value.
    """
    step_ms = round(step_s * 1000)
    if step_ms <= JITTER_MS or BLOCK_MS % step_ms:
        raise ValueError(f"step_s {step_s}: seconds that divide a minute")
    if min(seed, start_ms, confounder_rate, fault_rate) < 0 or min(duration_s, chunk_s) <= 0:
        raise ValueError("seed, start and rates are 0 or more, duration and chunk above 0")
    plan = _Plan(start_ms, step_ms, seed, confounder_rate, fault_rate)
    slices = [
        _Slice(fleet.pets[first : first + SLICE], first, plan)
        for first in range(0, len(fleet.pets), SLICE)
    ]
    end_ms = start_ms + round(duration_s * 1000)
    minutes = _minutes(slices, fleet, plan, end_ms)
    who = pl.DataFrame(
        {name: [getattr(pet, name) for pet in fleet.pets] for name in WHO},
        schema={name: READING_SCHEMA[name] for name in WHO},
    )
    return _cut_into_chunks(minutes, who, start_ms, end_ms, max(1, round(chunk_s * 1000)))


@dataclass(frozen=True, slots=True)
class _Plan:
    start_ms: int
    step_ms: int
    seed: int
    confounder_rate: float
    fault_rate: float


@dataclass(frozen=True, slots=True)
class _Minute:
    """One block of all pets: what a chunk is cut from."""

    end_ms: int
    columns: Columns
    labels: list[Label]


class _Slice:
    """Some pets that are computed together."""

    def __init__(self, pets: Sequence[Pet], first: int, plan: _Plan) -> None:
        n, step_s = len(pets), plan.step_ms / 1000
        self._ids = [pet.pet_id for pet in pets]
        self._first = first
        self._of_block = Dice(plan.seed, BLOCK, first, n)
        self._of_step = Dice(plan.seed, STEP, first, n)
        begin = Dice(plan.seed, BEGIN, first, n)
        bout_dice = begin.uniform(behaviour.BOUT_DICE)
        self._behaviour = Behaviour(pets, plan.start_ms, step_s, bout_dice)
        self._heart = Heart(pets, step_s, begin)
        self._collars = Collars(pets, step_s, plan.confounder_rate, plan.fault_rate)
        self._outings = outings(pets, plan.confounder_rate)
        self._storms = Storms(pets, first, plan.seed, plan.confounder_rate)
        self._surges = Spells(SURGES, chances(SURGES, n))
        self._illnesses = Illnesses([pet.illness for pet in pets], plan.start_ms)
        self._normal_c = np.array([NORMAL_C[pet.species] for pet in pets])
        self._offset_ms = np.array([pet.phase for pet in pets]) * (plan.step_ms - JITTER_MS)

    def advance(self, block: Block, first_ms: int) -> tuple[Columns, list[Label]]:
        """The signals that are sent in a block, flat, with `pet` and `time_ms`; and its labels."""
        steps, n = len(block.steps), len(self._ids)
        uniform = self._of_block.uniform(behaviour.BOUT_DICE + 3 * SPELL_DICE)
        bout_dice, *spell_dice = np.split(uniform, range(4, len(uniform), SPELL_DICE))
        normal = self._of_step.normal(steps * (behaviour.STEP_DICE + heart.STEP_DICE))
        normal = normal.reshape(steps, -1, n)
        chance = self._of_step.uniform(steps * (2 + collar.STEP_DICE)).reshape(steps, -1, n)
        feels = self._illnesses.effects(block.begin_ms)
        hours = self._behaviour.hours(block)
        keen = daylight(hours) * np.exp(-feels["lethargic"] - 2 * feels["weak"])
        events = self._advance_spells(block, spell_dice, keen)
        excited = [*self._outings.going(block), *self._storms.going(block)]
        moves = self._behaviour.advance(
            block, bout_dice, normal[:, : behaviour.STEP_DICE], feels, excited
        )
        drift = self._of_block.normal(1)[0]
        dice = HeartDice(drift, normal[:, behaviour.STEP_DICE :], chance[:, 0])
        surges = list(self._surges.going(block))
        bpm, breaths = self._heart.advance(moves, hours, dice, feels, surges)
        warmth = self._normal_c + feels["fever_c"] + 0.7 * (1 - moves.stillness)
        signals = Signals(
            heart_rate=bpm,
            activity_score=moves.activity,
            gait_symmetry=moves.gait,
            sleep_quality=moves.stillness,
            respiratory_rate=breaths,
            temperature_c=warmth + 0.05 * (chance[:, 1] - 0.5),
            battery=np.empty((steps, n)),
            sent=np.ones((steps, n), dtype=np.bool_),
        )
        self._collars.wear(block, signals, chance[:, 2:])
        labels = [label for one in events if (label := one.label(self._ids[one.pet])) is not None]
        labels += self._illnesses.labels(block, self._ids, first_ms)
        return self._flat(block, signals, chance[:, 1]), labels

    def _advance_spells(
        self, block: Block, dice: Sequence[FloatArray], keen: FloatArray
    ) -> list[SpellEvent]:
        always = np.ones_like(keen)
        events = self._outings.advance(block, dice[0], keen)
        events += self._storms.advance(block)
        events += self._collars.troubles.advance(block, dice[1], always)
        self._surges.advance(block, dice[2], always)
        return events

    def _flat(self, block: Block, signals: Signals, jitter: FloatArray) -> Columns:
        sent = signals.sent
        late = self._offset_ms + JITTER_MS * jitter
        flat = {
            name: np.round(getattr(signals, name)[sent], places)
            for name, places in DECIMALS.items()
        }
        flat["time_ms"] = (block.steps + late.astype(np.int64))[sent]
        flat["pet"] = np.broadcast_to(self._first + np.arange(len(self._ids)), sent.shape)[sent]
        return flat


def _minutes(slices: Sequence[_Slice], fleet: Fleet, plan: _Plan, end_ms: int) -> Iterator[_Minute]:
    told = [healthy(pet.pet_id, plan.start_ms) for pet in fleet.pets if not _ill_from_0(pet)]
    unfinished: dict[str, Label] = {}
    for begin_ms in range(plan.start_ms, end_ms, BLOCK_MS):
        block = Block.at(begin_ms, plan.step_ms)
        parts = []
        for one in slices:
            columns, labels = one.advance(block, plan.start_ms)
            parts.append(columns)
            told += labels
        told = [label for label in told if label.order[0] < end_ms]
        _keep_unfinished(unfinished, told)
        if block.end_ms >= end_ms:  # nothing is known of what comes after
            told += [msgspec.structs.replace(one, end_ms=end_ms) for one in unfinished.values()]
        yield _Minute(block.end_ms, _in_order(parts), told)
        told = []


def _keep_unfinished(unfinished: dict[str, Label], told: Sequence[Label]) -> None:
    for label in sorted(told, key=lambda one: one.order):
        if label.end_ms is None:
            unfinished[label.label_id] = label
        else:
            unfinished.pop(label.label_id, None)


def _ill_from_0(pet: Pet) -> bool:
    return pet.illness is not None and pet.illness.onset_ms == 0


def _in_order(parts: Sequence[Columns]) -> Columns:
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(joined["time_ms"], kind="stable")
    return {name: column[order] for name, column in joined.items()}


def _cut_into_chunks(
    minutes: Iterator[_Minute], who: pl.DataFrame, start_ms: int, end_ms: int, chunk_ms: int
) -> Iterator[SimulatedChunk]:
    waiting: list[Columns] = []
    labels: list[Label] = []
    begin_ms = start_ms
    for minute in minutes:
        waiting.append(minute.columns)
        labels = sorted(labels + minute.labels, key=lambda one: one.order)
        known_ms = min(minute.end_ms, end_ms)
        while begin_ms < known_ms and min(begin_ms + chunk_ms, end_ms) <= known_ms:
            until = min(begin_ms + chunk_ms, end_ms)
            kept = {name: np.concatenate([one[name] for one in waiting]) for name in waiting[0]}
            rows = int(np.searchsorted(kept["time_ms"], until))
            frame = _frame({name: column[:rows] for name, column in kept.items()}, who)
            waiting = [{name: column[rows:] for name, column in kept.items()}]
            ready = [one for one in labels if until == end_ms or one.order[0] < until]
            labels = labels[len(ready) :]
            yield SimulatedChunk(begin_ms, until, frame, tuple(ready))
            begin_ms = until


def _frame(columns: Columns, who: pl.DataFrame) -> pl.DataFrame:
    measured = pl.DataFrame({name: columns[name] for name in MEASURED}, nan_to_null=True)
    return who[columns["pet"]].hstack(measured.get_columns()).select(COLUMNS)
