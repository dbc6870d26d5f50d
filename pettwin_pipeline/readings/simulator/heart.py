"""How fast the hearts beat: activity followed with a lag, breath, pauses, day and night, drift.

A reading is the rate over the last beats, so single pauses and missed or doubled beats show as they
do on a real collar. Correlated noise on purpose: independent noise flatters every detector. Knows
nothing of behaviour but its movement, nothing of the collar's faults but its beat detection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pettwin_pipeline.readings.simulator.behaviour import Movement
from pettwin_pipeline.readings.simulator.fleet import Pet
from pettwin_pipeline.readings.simulator.grid import (
    BLOCK_MS,
    Dice,
    FloatArray,
    between,
    follow,
)
from pettwin_pipeline.readings.simulator.spells import Spell, SpellKind

STEP_DICE: Final = 3
"""Rows of normal dice a step: beat, slow noise, breath."""

AWAKE_LOG: Final = {"dog": 0.20, "cat": 0.0}
ASLEEP_LOG: Final = {"dog": 0.0, "cat": -0.12}
STRESS: Final = {"dog": 1.0, "cat": 0.6}  # a cat's heart is nearer to its highest rate
LOAD_LOG: Final = {"dog": 0.95, "cat": 0.60}  # at full activity, beyond being awake
AFTER_LOG: Final = 0.15  # what is left in the minutes after exercise
AFTER_S: Final = 300.0
DAY_LOG: Final = 0.04  # higher in the afternoon, lower before dawn
DRIFT_SD: Final = 0.09
"""Between sessions: real dogs' session means have a standard deviation of the log of 0.09."""
DRIFT_S: Final = 2.5 * 3600
NOISE_SD: Final = 0.05
NOISE_S: Final = 25.0
BEAT_SD: Final = {"dog": 0.19, "cat": 0.06}
BREATH_SEEN: Final = 0.8  # a reading averages over about two beats
VAGAL_AT: Final = 15.0  # activity at which the breath's arrhythmia has faded to 1/e
BREATHING_WANDERS: Final = 0.12
PAUSE_SHARE: Final = {"dog": 0.006, "cat": 0.001}  # of readings at rest
PAUSE_S: Final = (2.0, 5.0)
DOUBLED_SHARE: Final = 0.006  # of readings: a T wave taken for a beat
MISSED_SHARE: Final = 0.004
REST_FADES_AT: Final = 25.0  # activity at which a rise at rest has faded to 1/e
BOUNDS_BPM: Final = (12.0, 320.0)

SURGES: Final = (
    SpellKind("dream", 90.0, (0.2, 1.2)),
    SpellKind("doubled_beats", 40.0, (0.15, 1.2)),
)
"""Unlabelled: every sleeping pet twitches in its dreams, every collar doubles some beats."""


@dataclass(frozen=True, slots=True)
class HeartDice:
    """What is thrown for the hearts in one block.

    Attributes:
        block: normal, for the drift, shape (n,).
        steps: normal, shape (T, STEP_DICE, n).
        glitch: uniform, for single misread beats, shape (T, n).
    """

    block: FloatArray
    steps: FloatArray
    glitch: FloatArray


class Heart:
    """The hearts of some pets, one block after the other."""

    def __init__(self, pets: Sequence[Pet], step_s: float, begin: Dice) -> None:
        """Args: the pets, the step, and dice for where each heart begins."""
        n = len(pets)
        self._step_s = step_s
        self._rest_log = np.log([pet.resting_bpm for pet in pets])
        self._is_dog = np.array([pet.species == "dog" for pet in pets])
        self._breaths_hz = np.array([pet.breaths_hz for pet in pets])
        self._swing = np.array([pet.arrhythmia for pet in pets]) * BREATH_SEEN
        tables = (AWAKE_LOG, ASLEEP_LOG, LOAD_LOG, STRESS, BEAT_SD, PAUSE_SHARE)
        self._awake, self._asleep, self._load, self._stress, self._beat, self._pause = (
            np.array([table[pet.species] for pet in pets]) for table in tables
        )
        lags = np.array([[pet.lag_s for pet in pets], [AFTER_S] * n])
        self._lag_memory = np.exp(-step_s / lags)
        self._noise_memory = np.exp(-step_s / np.array([[NOISE_S]]))
        self._drift_memory = float(np.exp(-BLOCK_MS / 1000 / DRIFT_S))
        first = begin.normal(2)
        self._drift = DRIFT_SD * first[0]
        self._noise = first[1:] * NOISE_SD
        self._follows = np.stack([self._asleep, np.zeros(n)])
        self._phase = begin.uniform(1)[0] * 2 * np.pi

    def advance(
        self,
        movement: Movement,
        hours: FloatArray,
        dice: HeartDice,
        feels: Mapping[str, FloatArray],
        surges: Sequence[Spell],
    ) -> tuple[FloatArray, FloatArray]:
        """Move on by a block.

        Args:
            movement: what the pets do in it.
            hours: hour of each pet's own day, shape (n,).
            dice: thrown for this block.
            feels: effects of illness by field of Effect, each of shape (n,).
            surges: the spells of SURGES that go on.

        Returns:
            Beats and breaths a minute, both of shape (T, n).
        """
        normal = dice.steps
        log_hr = self._slow(movement, hours, dice.block, normal[:, 1], feels)
        asleep = ~movement.awake
        doubled = np.ones(log_hr.shape)
        for spell in surges:
            on = spell.on
            if spell.name == "dream":  # up and down again, in sleep only
                swell = np.sin(np.pi * spell.since) * (0.2 + 0.7 * spell.strength)
                log_hr[:, spell.pets] += np.where(on & asleep[:, spell.pets], swell, 0.0)
            else:
                times = between(spell.strength, 1.35, 2.0)
                doubled[:, spell.pets] = np.where(on, times, 1.0)
        vagal = np.exp(-movement.activity / VAGAL_AT) * (1 - feels["stiff"])
        swing, breaths = self._breath(movement.activity, vagal, normal[:, 2], feels["breath"])
        rough = self._beat * (0.3 + 0.7 * vagal) + feels["irregular"]
        bpm = np.exp(log_hr + rough * normal[:, 0] + swing)
        twice = np.where(self._is_dog, 1.0, 2.0)
        bpm += feels["rest_bpm"] * twice * np.exp(-movement.activity / REST_FADES_AT)
        self._misread(bpm, dice.glitch, vagal)
        return np.clip(bpm * doubled, *BOUNDS_BPM), breaths

    def _slow(
        self,
        movement: Movement,
        hours: FloatArray,
        drift: FloatArray,
        noise: FloatArray,
        feels: Mapping[str, FloatArray],
    ) -> FloatArray:
        """Log heart rate without what changes from beat to beat, shape (T, n)."""
        steps = len(noise)
        load = (movement.activity / 100) ** 0.8
        wanted = np.where(movement.awake, self._awake, self._asleep)
        wanted = wanted + self._load * load + self._stress * movement.stress
        drive = np.stack([wanted, load], axis=1) * (1 - self._lag_memory)
        lagged = follow(self._follows, self._lag_memory, drive)
        kick = NOISE_SD * np.sqrt(1 - self._noise_memory**2)
        slow_noise = follow(self._noise, self._noise_memory, (noise * kick)[:, None])[:, 0]
        before = self._drift
        spread = DRIFT_SD * np.sqrt(1 - self._drift_memory**2)
        self._drift = before * self._drift_memory + spread * drift
        passed = (np.arange(steps) / steps)[:, None]
        wander = before + (self._drift - before) * passed
        day = DAY_LOG * np.cos((hours - 15.0) / 24 * 2 * np.pi)
        level = self._rest_log + day + feels["log_hr"]
        total: FloatArray = level + wander + lagged[:, 0] + AFTER_LOG * lagged[:, 1] + slow_noise
        return total

    def _breath(
        self, activity: FloatArray, vagal: FloatArray, normal: FloatArray, faster: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """What the breath adds to log heart rate, and breaths a minute, both (T, n)."""
        panting = 1 + activity / 25 * np.where(self._is_dog, 1.0, 0.5)
        hz = self._breaths_hz * panting * np.exp(faster + BREATHING_WANDERS * normal)
        phase = self._phase + np.cumsum(2 * np.pi * self._step_s * hz, axis=0)
        self._phase = phase[-1] % (2 * np.pi)
        return self._swing * vagal * np.sin(phase), hz * 60

    def _misread(self, bpm: FloatArray, glitch: FloatArray, vagal: FloatArray) -> None:
        """Pauses of the heart, beats counted twice and beats missed, in place."""
        pause = self._pause * vagal
        doubled = pause + DOUBLED_SHARE
        missed = doubled + MISSED_SHARE
        rows, columns = np.nonzero(glitch < missed)
        at = rows, columns
        dice, rate = glitch[at], bpm[at]
        is_pause = dice < pause[at]
        is_doubled = dice < doubled[at]
        share = dice * 1e5 % 1.0  # the later digits of the same dice: how long, how much
        paused = 120 / (between(share, *PAUSE_S) + 60 / rate)  # one pause and one beat
        bpm[at] = np.where(
            is_pause,
            np.minimum(paused, rate),
            rate * np.where(is_doubled, 1.3 + 0.7 * share, 0.5 + 0.3 * share),
        )
