"""Why something was raised, in a line that a person can read. Pure texts."""

from typing import Final

from pettwin_pipeline.detection.blocks import BLOCK_SLOTS
from pettwin_pipeline.detection.screen import CHANNELS, HEALTH, Change
from pettwin_pipeline.detection.sensors import FAULTS
from pettwin_pipeline.detection.slots import SLOT_MS
from pettwin_pipeline.detection.trend import LIMP
from pettwin_pipeline.readings.schema import SPECIES

_RELATION: Final = ("above", "below")
_MINUTES_FROM_S: Final = 120
_HOURS_FROM_S: Final = 7200


def render_reason(change: Change) -> str:
    """For example: heart rate 41 % above this pet's resting level (88 against 62 bpm) for 6 min."""
    if change.channel >= len(HEALTH):
        return _of_sensor(change)
    if change.channel == LIMP:
        return _of_gait(change)
    return _of_heart(change)


def _of_heart(change: Change) -> str:
    side = _RELATION[change.channel]
    level = "resting level" if not change.window else "resting level of the last days"
    if change.ended is not None:
        lasted = _duration(change.ended + 1 - change.started)
        return f"ended: heart rate was {side} this pet's resting level for {lasted}"
    share = (change.median / change.level - 1) * 100
    slots = change.window * BLOCK_SLOTS or change.slot + 1 - change.started
    text = (
        f"heart rate {_compare(share)} this pet's {level} "
        f"({change.median:.0f} against {change.level:.0f} bpm) "
        f"{'over' if change.window else 'for'} {_duration(slots)}"
    )
    if change.is_still:
        text += ", not moving"
    if change.is_even:
        text += ", more even from beat to beat"
    if change.is_limping:
        text += ", gait less even"
    if change.limit_bpm is not None:
        species = SPECIES[change.species]
        kind = "" if species == "other" else f" for a {species} at rest"
        text += f"; {side} the limit of {change.limit_bpm:.0f} bpm{kind}"
    return text


def _of_gait(change: Change) -> str:
    if change.ended is not None:
        lasted = _duration(change.ended + 1 - change.started)
        return f"ended: gait was less even than this pet's own for {lasted}"
    return f"gait symmetry {change.median:.2f} while moving, this pet's own is {change.level:.2f}"


def _of_sensor(change: Change) -> str:
    fault = FAULTS[change.channel - len(HEALTH)]
    name = CHANNELS[change.channel][1]
    if change.ended is not None:
        lasted = _duration(change.ended + 1 - change.started)
        return f"ended: sensor, {name.replace('_', ' ')} for {lasted}"
    return f"sensor: {fault.text}"


def _compare(share: float) -> str:
    percent = round(abs(share))
    return f"{percent} % {'above' if share > 0 else 'below'}" if percent else "at"


def _duration(slots: int) -> str:
    seconds = max(slots, 0) * SLOT_MS // 1000
    if seconds >= _HOURS_FROM_S:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds} s" if seconds < _MINUTES_FROM_S else f"{seconds // 60} min"
