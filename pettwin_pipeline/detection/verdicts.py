"""Verdicts: what is made of a suspicion, with its origin. Here the statistical one.

A verdict never hides where it comes from: `origin` is `statistical` unless a model was asked and
answered, and a confidence is given only where somebody measured it. Pure.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from pettwin_pipeline.detection.episodes import Episode, Severity, make_id


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement on one episode at one severity."""

    verdict_id: str
    episode_id: str
    origin: Literal["statistical", "gemini"]
    model: str | None
    """The model that answered; None where none was asked."""
    is_anomalous: bool
    severity: Severity
    reason: str
    note: str
    """Why this origin: for example that no model is configured."""


LEAST_SEVERITY: Final = "medium"
"""From which on an owner is told; what is less is recorded only."""
NO_MODEL: Final = "no model is configured: the statistical verdict stands"

NOT_THE_PET: Final = "a fault of the collar, not of the pet"


def judge_statistically(episodes: Sequence[Episode], note: str = NO_MODEL) -> list[Verdict]:
    """One verdict for each episode and severity that is not its end, in the same order."""
    return [
        Verdict(
            verdict_id=make_id(one.episode_id, one.severity, "statistical"),
            episode_id=one.episode_id,
            origin="statistical",
            model=None,
            is_anomalous=one.kind == "health",
            severity=one.severity,
            reason=one.reason,
            note=note if one.kind == "health" else NOT_THE_PET,
        )
        for one in episodes
        if one.ended_ms is None
    ]


def encode_verdicts(verdicts: Sequence[Verdict]) -> bytes:
    """A JSON array; the same verdicts give the same bytes."""
    return msgspec.json.encode(list(verdicts))


_DECODER: Final = msgspec.json.Decoder(list[Verdict])


def parse_verdicts(content: bytes) -> list[Verdict]:
    """The way back from `encode_verdicts`."""
    return _DECODER.decode(content)
