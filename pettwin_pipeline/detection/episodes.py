"""Episodes: a suspicion with a beginning and an end, with an id that never depends on batches.

Turns the screen's changes into values that leave the detector. An episode's id is made of the pet,
its partition, the signal and direction, its first slot and the detector's version: the same
readings give the same id however often and in whatever batches they are scored. Knows nothing of
alerts, verdicts or files.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from pettwin_pipeline.detection.hearts import SEVERITIES
from pettwin_pipeline.detection.reasons import render_reason
from pettwin_pipeline.detection.screen import (
    CHANNELS,
    DETECTOR_VERSION,
    HEALTH,
    Change,
)
from pettwin_pipeline.detection.slots import SLOT_MS
from pettwin_pipeline.readings.schema import SPECIES

Severity = Literal["low", "medium", "high", "critical"]


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an episode at the reading at (partition, offset). Times in ms, UTC."""

    episode_id: str
    pet_id: str
    species: str
    kind: Literal["health", "sensor"] = "health"
    signal: str = "heart_rate"
    signals: tuple[str, ...] = ("heart_rate",)
    """All that speak for it, the first is `signal`."""
    direction: str
    severity: Severity
    partition: int
    offset: int
    """The reading that closed the slot: when this was known."""
    raised_ms: int
    """Event time of that reading."""
    started_ms: int
    ended_ms: int | None
    peak: float
    """Largest deviation so far, as a multiple of the threshold."""
    median_bpm: float
    level_bpm: float
    reason: str
    is_still: bool
    """Whether the collar said that the pet did not move."""
    recent_bpm: tuple[float, ...]
    """Means of the last slots at rest, 10 s each, newest last."""
    detector_version: str


@dataclass(frozen=True, slots=True)
class Place:
    """The reading that closed a slot, and whose it is."""

    pet_id: str
    partition: int
    offset: int
    time_ms: int


def name_episode(change: Change, place: Place) -> Episode:
    """The episode of a change of the screen."""
    started_ms = change.started * SLOT_MS
    signal, direction = CHANNELS[change.channel]
    is_health = change.channel < len(HEALTH)
    is_heart = is_health and signal == "heart_rate"
    return Episode(
        # A pet has one baseline in each partition that its readings come to: one, where they are
        # keyed by pet. Where they are not, the same illness may be found twice.
        episode_id=make_id(
            *(place.pet_id, str(place.partition), signal, direction, str(started_ms)),
            DETECTOR_VERSION,
        ),
        pet_id=place.pet_id,
        species=SPECIES[change.species],
        kind="health" if is_health else "sensor",
        signal=signal,
        signals=(signal, "gait_symmetry") if change.is_limping else (signal,),
        direction=direction,
        severity=SEVERITIES[change.severity],  # type: ignore[arg-type]
        partition=place.partition,
        offset=place.offset,
        raised_ms=place.time_ms,
        started_ms=started_ms,
        ended_ms=None if change.ended is None else (change.ended + 1) * SLOT_MS,
        peak=round(change.peak, 3),
        median_bpm=round(change.median, 1) if is_heart else 0.0,
        level_bpm=round(change.level, 1) if is_heart else 0.0,
        is_still=change.is_still,
        reason=render_reason(change),
        recent_bpm=tuple(round(math.exp(value), 1) for value in change.recent_log_bpm),
        detector_version=DETECTOR_VERSION,
    )


def make_id(*parts: str) -> str:
    """32 hex digits made of the parts: the same parts give the same id, everywhere."""
    text = "\x1f".join(parts)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


EPISODES_DECODER: Final = msgspec.json.Decoder(list[Episode])


def encode_episodes(episodes: Sequence[Episode]) -> bytes:
    """A JSON array; the same episodes give the same bytes."""
    return msgspec.json.encode(list(episodes))


def parse_episodes(content: bytes) -> list[Episode]:
    """The way back from `encode_episodes`."""
    return EPISODES_DECODER.decode(content)
