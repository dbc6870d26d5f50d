"""What the collar makes of it: loose straps, chargers, faults, gaps, and which readings are sent.

A table of what goes wrong, and what each does to the signals of a block. Some are ordinary days of
a collar (confounders), some are faults of the sensor; neither is an illness. Knows nothing of how
the true signals came about.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pettwin_pipeline.readings.simulator.fleet import Pet
from pettwin_pipeline.readings.simulator.grid import (
    BLOCKS_A_DAY,
    Block,
    BoolArray,
    FloatArray,
)
from pettwin_pipeline.readings.simulator.spells import Spell, SpellKind, Spells

STEP_DICE: Final = 3
"""Rows of uniform dice a step: lost, value, noise."""
TROUBLES: Final = (
    SpellKind("loose_collar", 0.15, (20.0, 150.0), "confounder"),
    SpellKind("charging", 0.30, (40.0, 100.0), "confounder"),
    SpellKind("flat_line", 0.04, (15.0, 120.0), "sensor_fault"),
    SpellKind("impossible_value", 0.04, (5.0, 30.0), "sensor_fault"),
    SpellKind("detached", 0.06, (20.0, 240.0), "sensor_fault"),
    SpellKind("low_battery", 0.05, (60.0, 240.0), "sensor_fault"),
    SpellKind("gap", 0.30, (3.0, 60.0), "sensor_fault"),
    SpellKind("lost_contact", 20.0, (0.1, 1.0)),
    SpellKind("lost_radio", 6.0, (0.1, 1.5)),
)
LOST_SHARE: Final = 0.003  # of readings: one message that never arrives
NO_BEAT_SHARE: Final = 0.004  # of readings: sent, but without a heart rate
DAYS_A_CHARGE: Final = 6.0
NEARLY_EMPTY: Final = 12.0
ROOM_C: Final = 24.0
IMPOSSIBLE_BPM: Final = np.array([-1.0, 0.0, 511.0, 999.0, 6553.5])


@dataclass(slots=True)
class Signals:
    """The signals of a block, changed in place. All arrays have shape (T, n); NaN is: not sent.

    Attributes:
        sent: whether the reading is sent at all.
    """

    heart_rate: FloatArray
    activity_score: FloatArray
    gait_symmetry: FloatArray
    sleep_quality: FloatArray
    respiratory_rate: FloatArray
    temperature_c: FloatArray
    battery: FloatArray
    sent: BoolArray


class Collars:
    """The collars of some pets, one block after the other."""

    def __init__(
        self, pets: Sequence[Pet], step_s: float, confounder_rate: float, fault_rate: float
    ) -> None:
        """Args: the pets, the step, and factors of how often things go wrong."""
        n = len(pets)
        rates = {"confounder": confounder_rate, "sensor_fault": fault_rate, None: 1.0}
        per_day = np.array([kind.per_day * rates[kind.label] for kind in TROUBLES])
        table = np.repeat((per_day / BLOCKS_A_DAY)[:, None], n, axis=1)
        self.troubles = Spells(TROUBLES, table)
        self._battery = np.array([pet.battery for pet in pets])
        self._drain = 100 / (DAYS_A_CHARGE * 86_400) * step_s
        self._stuck = np.full(n, np.nan)
        self._is_plus = np.array([pet.vitals_plus for pet in pets])

    def wear(self, block: Block, signals: Signals, dice: FloatArray) -> None:
        """Do to the signals of a block what the collars do; `dice` uniform, (T, STEP_DICE, n)."""
        signals.respiratory_rate[:, ~self._is_plus] = np.nan
        signals.temperature_c[:, ~self._is_plus] = np.nan
        self._discharge(signals)
        signals.sent &= dice[:, 0] >= LOST_SHARE
        signals.heart_rate[dice[:, 1] < NO_BEAT_SHARE] = np.nan
        for spell in self.troubles.going(block):
            if spell.name == "flat_line":
                self._flatten(spell, signals)
                continue
            if spell.name == "charging":
                self._charge(spell, signals, block)
            of_pets = dice[:, 1:, spell.pets]
            WHAT_HAPPENS[spell.name](spell, signals, of_pets)
        self._stuck = _last(signals.heart_rate, self._stuck)

    def _discharge(self, signals: Signals) -> None:
        spent = self._drain * np.arange(1, len(signals.battery) + 1)[:, None]
        signals.battery[:] = np.maximum(self._battery - spent, NEARLY_EMPTY)
        self._battery = signals.battery[-1].copy()

    def _flatten(self, spell: Spell, signals: Signals) -> None:
        """The last value before it, for as long as it lasts."""
        truth = signals.heart_rate[:, spell.pets]
        begin = np.argmax(spell.on, axis=0)
        at_begin = truth[begin, np.arange(len(begin))]
        kept = self._stuck[spell.pets]
        held = np.where((begin > 0) | np.isnan(kept), at_begin, kept)
        signals.heart_rate[:, spell.pets] = np.where(spell.on, held, truth)

    def _charge(self, spell: Spell, signals: Signals, block: Block) -> None:
        length = self.troubles.end_ms[spell.pets] - self.troubles.begin_ms[spell.pets]
        gained = 100 / (length / block.step_ms) * np.cumsum(spell.on, axis=0)
        filled = np.minimum(signals.battery[:, spell.pets] + gained, 100.0)
        signals.battery[:, spell.pets] = filled
        self._battery[spell.pets] = filled[-1]


def _last(values: FloatArray, before: FloatArray) -> FloatArray:
    last: FloatArray = np.where(np.isnan(values[-1]), before, values[-1])
    return last


def _set(signal: FloatArray, spell: Spell, value: FloatArray | float, also: BoolArray) -> None:
    signal[:, spell.pets] = np.where(spell.on & also, value, signal[:, spell.pets])


def _loose(spell: Spell, signals: Signals, dice: FloatArray) -> None:
    """Half of the beats are lost, the others are doubled, halved or blurred; the gait swings."""
    always = np.ones_like(spell.on)
    truth = signals.heart_rate[:, spell.pets]
    blur = truth * np.exp(0.8 * (dice[:, 1] - 0.5))
    blur = np.where(dice[:, 1] < 0.2, truth * 0.5, np.where(dice[:, 1] > 0.85, truth * 2, blur))  # noqa: PLR2004 - shares
    _set(signals.heart_rate, spell, np.clip(blur, 12.0, 380.0), always)
    _set(signals.heart_rate, spell, np.nan, dice[:, 0] < 0.3 + 0.3 * spell.strength)
    gait = signals.gait_symmetry[:, spell.pets]
    _set(signals.gait_symmetry, spell, np.clip(gait - 0.25 * dice[:, 1], 0, 1), always)


def _off_the_pet(spell: Spell, signals: Signals, dice: FloatArray) -> None:
    """Lying on a table: nothing moves, no heart, the temperature of the room, ghosts of a beat."""
    always = np.ones_like(spell.on)
    ghost = np.where(dice[:, 0] < 0.04, 20 + 230 * dice[:, 1], np.nan)  # noqa: PLR2004 - a share
    _set(signals.heart_rate, spell, ghost, always)
    _set(signals.activity_score, spell, 0.0, always)
    _set(signals.gait_symmetry, spell, np.nan, always)
    _set(signals.sleep_quality, spell, 1.0, always)
    _set(signals.respiratory_rate, spell, np.nan, always)
    is_plus = ~np.isnan(signals.temperature_c[:, spell.pets])
    _set(signals.temperature_c, spell, ROOM_C + 0.2 * dice[:, 1], is_plus)


def _impossible(spell: Spell, signals: Signals, dice: FloatArray) -> None:
    """One reading in four has a heart rate that no animal has."""
    wrong = IMPOSSIBLE_BPM[(dice[:, 1] * len(IMPOSSIBLE_BPM)).astype(np.int64)]
    _set(signals.heart_rate, spell, wrong, dice[:, 0] < 0.25)  # noqa: PLR2004 - a share


def _starve(spell: Spell, signals: Signals, dice: FloatArray) -> None:
    """A nearly empty battery sends one reading in five, some of them without a heart rate."""
    _set(signals.battery, spell, 8 - 7 * np.clip(spell.since, 0, 1), np.ones_like(spell.on))
    _set(signals.heart_rate, spell, np.nan, dice[:, 1] < 0.3)  # noqa: PLR2004 - a share
    signals.sent[:, spell.pets] &= ~(spell.on & (dice[:, 0] < 0.8))  # noqa: PLR2004 - a share


def _silence(spell: Spell, signals: Signals, _: FloatArray) -> None:
    signals.sent[:, spell.pets] &= ~spell.on


def _no_contact(spell: Spell, signals: Signals, _: FloatArray) -> None:
    _set(signals.heart_rate, spell, np.nan, np.ones_like(spell.on))


Happening = Callable[[Spell, Signals, FloatArray], None]
WHAT_HAPPENS: Final[dict[str, Happening]] = {
    "loose_collar": _loose,
    "charging": _off_the_pet,
    "impossible_value": _impossible,
    "detached": _off_the_pet,
    "low_battery": _starve,
    "gap": _silence,
    "lost_contact": _no_contact,
    "lost_radio": _silence,
}
