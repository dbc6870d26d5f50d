"""Illnesses: what each does to a pet's signals, how it begins, lasts and ends.

Two tables, `COURSES` and `EFFECTS`, and the arithmetic that turns an illness of a pet into a share
of its full effect at a moment. Engineering choices, not veterinary advice. The readings themselves
are made in `heart` and `behaviour`; labels never reach them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pettwin_pipeline.readings.simulator.grid import NEVER, Block, FloatArray, IndexArray
from pettwin_pipeline.readings.simulator.labels import Label, label_id

HOUR_MS: Final = 3_600_000
CHRONIC: Final = float("inf")
SHORTEST_ACUTE_MS: Final = 300_000
"""However far a course is compressed, an acute event lasts this long: an alarm needs minutes."""


@dataclass(frozen=True, slots=True)
class Course:
    """The shape of an illness in hours: its effect rises, holds and falls as smooth steps."""

    rise_h: float
    hold_h: float
    fall_h: float
    visible_h: float | None
    """When an attentive owner sees it; None for events that are over before anyone looks."""
    every_h: float | None = None
    """Acute events come again after about this time; None happens once."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What an illness does at its full effect and severity 1. Zero is: nothing.

    Attributes:
        log_hr: added to the logarithm of heart rate, always.
        rest_bpm: added to the heart rate of a dog at rest, beats per minute; a cat, whose heart
            beats twice as fast, gets twice as much.
        stiff: share of respiratory sinus arrhythmia that is lost.
        irregular: standard deviation of log heart rate from beat to beat, added.
        weak: lowers the logarithm of all activity.
        lethargic: raises the odds (log) of sleep over movement.
        restless: raises the odds (log) of being up, above all at night.
        limp: subtracted from gait symmetry.
        fever_c: added to body temperature, degrees Celsius.
        breath: added to the logarithm of breaths per minute.
    """

    log_hr: float = 0.0
    rest_bpm: float = 0.0
    stiff: float = 0.0
    irregular: float = 0.0
    weak: float = 0.0
    lethargic: float = 0.0
    restless: float = 0.0
    limp: float = 0.0
    fever_c: float = 0.0
    breath: float = 0.0


PERSISTENT: Final[dict[str, Course]] = {
    "arthritis": Course(36.0, CHRONIC, 0.0, visible_h=72.0),
    "cardiac": Course(18.0, CHRONIC, 0.0, visible_h=48.0),
    "fever": Course(5.0, 48.0, 12.0, visible_h=14.0),
    "pain": Course(3.0, 36.0, 12.0, visible_h=10.0),
    "metabolic": Course(96.0, CHRONIC, 0.0, visible_h=168.0),
}
ACUTE: Final[dict[str, Course]] = {
    "resting_rise": Course(0.03, 0.94, 0.03, visible_h=None, every_h=7.0),
    "tachycardia": Course(0.01, 0.16, 0.02, visible_h=None, every_h=9.0),
    "bradycardia": Course(0.01, 0.16, 0.02, visible_h=None, every_h=9.0),
}
COURSES: Final = PERSISTENT | ACUTE

EFFECTS: Final[dict[str, Effect]] = {
    "arthritis": Effect(log_hr=0.03, weak=0.35, restless=0.9, limp=0.17),
    "cardiac": Effect(log_hr=0.45, stiff=0.9, irregular=0.15, weak=0.35, lethargic=0.3, breath=0.5),
    "fever": Effect(log_hr=0.36, stiff=0.5, weak=0.6, lethargic=0.9, fever_c=1.8, breath=0.4),
    "pain": Effect(log_hr=0.30, stiff=0.5, weak=0.3, restless=0.7, limp=0.09, breath=0.3),
    "metabolic": Effect(log_hr=0.34, stiff=0.3, restless=0.5, breath=0.15),
    "resting_rise": Effect(rest_bpm=20.0, stiff=0.3),
    "tachycardia": Effect(log_hr=0.59, stiff=0.9),
    "bradycardia": Effect(log_hr=-0.51, irregular=0.1),
}
ILLNESSES: Final = tuple(COURSES)


@dataclass(frozen=True, slots=True)
class Illness:
    """One illness of one pet. Times are ms after the simulation's start.

    Attributes:
        name: a key of COURSES.
        onset_ms: the first moment with any effect.
        severity: share of the full effect that is reached, 0.6 to 1.
        every_ms: the next event begins this long after the beginning of the last; NEVER for once.
    """

    name: str
    onset_ms: int
    severity: float
    rise_ms: int
    hold_ms: int
    fall_ms: int
    visible_ms: int | None
    every_ms: int

    @property
    def length_ms(self) -> int:
        """From onset to recovery."""
        return min(self.rise_ms + self.hold_ms + self.fall_ms, NEVER)


def plan_illness(
    name: str, onset_ms: int, dice: Sequence[float], speed: float, *, scaled: bool
) -> Illness:
    """The course of one illness.

    Args:
        name: a key of COURSES.
        onset_ms: ms after the simulation's start; not compressed.
        dice: three uniform numbers: severity, pace, and delay of what is visible.
        speed: hours of the course pass this many times faster.
        scaled: whether severity is drawn from 0.6 to 1 (persistent illness) or is 1 (events with
            a written size).
    """
    course = COURSES[name]
    severity, pace, delay = dice
    hour = HOUR_MS / speed * (0.75 + 0.5 * pace)
    if course.every_h is not None:  # the length of an event is written down: only its pace varies
        length_h = course.rise_h + course.hold_h + course.fall_h
        hour = max(HOUR_MS / speed, SHORTEST_ACUTE_MS / length_h)
    visible = None
    if course.visible_h is not None:
        visible = onset_ms + round(course.visible_h * hour * (0.8 + 0.4 * delay))
    every = NEVER
    if course.every_h is not None:
        every = round(course.every_h * hour * (0.75 + 0.5 * pace))
    return Illness(
        name=name,
        onset_ms=onset_ms,
        severity=round(0.6 + 0.4 * severity, 3) if scaled else 1.0,
        rise_ms=max(1, round(course.rise_h * hour)),
        hold_ms=NEVER if course.hold_h == CHRONIC else round(course.hold_h * hour),
        fall_ms=max(1, round(course.fall_h * hour)),
        visible_ms=visible,
        every_ms=every,
    )


class Illnesses:
    """The illnesses of some pets, as columns.

    Attributes:
        pets: columns of the pets that have one, shape (m,).
    """

    def __init__(self, illnesses: Sequence[Illness | None], start_ms: int) -> None:
        self._ill = [one for one in illnesses if one is not None]
        self.pets: IndexArray = np.array(
            [pet for pet, one in enumerate(illnesses) if one is not None], dtype=np.int64
        )
        self._n = len(illnesses)
        self._onset = np.array([start_ms + one.onset_ms for one in self._ill], dtype=np.int64)
        self._rise = np.array([one.rise_ms for one in self._ill], dtype=np.int64)
        self._hold = np.array([one.hold_ms for one in self._ill], dtype=np.int64)
        self._fall = np.array([one.fall_ms for one in self._ill], dtype=np.int64)
        self._every = np.array([one.every_ms for one in self._ill], dtype=np.int64)
        self._severity = np.array([one.severity for one in self._ill])
        self._full = {
            field: np.array([getattr(EFFECTS[one.name], field) for one in self._ill])
            for field in Effect.__dataclass_fields__
        }

    def share(self, now_ms: int) -> FloatArray:
        """Share of the full effect (severity apart) of each illness at a moment, shape (m,)."""
        passed = now_ms - self._onset
        passed = np.where(passed > 0, passed % self._every, 0)
        rising = _smooth_step(passed / self._rise)
        falling = _smooth_step((passed - self._rise - self._hold) / self._fall)
        return rising - falling

    def effects(self, now_ms: int) -> dict[str, FloatArray]:
        """Every effect of every pet at a moment, by field of Effect, each of shape (pets,)."""
        scale = self.share(now_ms) * self._severity
        table = {}
        for field, full in self._full.items():
            column = np.zeros(self._n)
            column[self.pets] = full * scale
            table[field] = column
        return table

    def labels(self, block: Block, pet_ids: Sequence[str], first_ms: int) -> Iterator[Label]:
        """Labels of illness and health that become known within a block.

        Args:
            block: the block.
            pet_ids: of all pets, in their order.
            first_ms: the simulation's start, from which on a pet is known to be healthy.
        """
        before = block.begin_ms - 1 - self._onset
        after = block.end_ms - 1 - self._onset
        length = np.minimum(self._rise + self._hold + self._fall, NEVER)
        begins = (after >= 0) & ((before < 0) | (before // self._every < after // self._every))
        spent_before = np.where(before >= 0, before % self._every, 0)
        spent_after = np.where(after >= 0, after % self._every, 0)
        ends = (spent_before < length) & (spent_after >= length)
        for row in np.flatnonzero(begins | ends):
            pet_id = pet_ids[self.pets[row]]
            one, onset = self._ill[row], int(self._onset[row])
            if ends[row]:
                begun = onset + int(before[row] // self._every[row]) * one.every_ms
                yield _ill(one, pet_id, begun, ended=True)
                yield healthy(pet_id, begun + one.length_ms)
            if begins[row]:
                number = int(after[row] // self._every[row])
                begun = onset + number * one.every_ms
                last = first_ms if number == 0 else begun - one.every_ms + one.length_ms
                if begun > first_ms:
                    yield healthy(pet_id, last, begun)
                yield _ill(one, pet_id, begun, ended=False)


def healthy(pet_id: str, start_ms: int, end_ms: int | None = None) -> Label:
    """The label of a time without illness."""
    return Label(
        label_id=label_id(pet_id, "healthy", start_ms),
        pet_id=pet_id,
        kind="healthy",
        name="healthy",
        start_ms=start_ms,
        end_ms=end_ms,
    )


def _ill(one: Illness, pet_id: str, begun_ms: int, *, ended: bool) -> Label:
    visible = None if one.visible_ms is None else begun_ms + one.visible_ms - one.onset_ms
    return Label(
        label_id=label_id(pet_id, one.name, begun_ms),
        pet_id=pet_id,
        kind="illness",
        name=one.name,
        start_ms=begun_ms,
        end_ms=begun_ms + one.length_ms if ended else None,
        half_effect_ms=begun_ms + one.rise_ms // 2,
        visible_ms=visible,
        severity=one.severity,
    )


def _smooth_step(share: FloatArray) -> FloatArray:
    held = np.clip(share, 0.0, 1.0)
    return held * held * (3.0 - 2.0 * held)
