"""Alerts: what the owner gets, one per episode and severity. Pure.

An alert's id is made of its episode and severity: whoever sends it twice sends the same id. The
texts come from a table; none of them is veterinary advice, and each says so.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from pettwin_pipeline.detection.episodes import Episode, Severity, make_id
from pettwin_pipeline.detection.verdicts import Verdict

DISCLAIMER: Final = "This is an automatic observation, not veterinary advice."


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """The message on the alerts topic. Times are ISO 8601, UTC."""

    alert_id: str
    episode_id: str
    pet_id: str
    species: str
    severity: Severity
    kind: str
    signal: str
    direction: str
    raised_at: str
    started_at: str
    reason: str
    owner_message: str
    disclaimer: str = DISCLAIMER
    verdict_origin: str
    model: str | None
    note: str
    detector_version: str
    schema_version: int = 1


OWN_SHARE: Final = 0.1
"""Nearer than this to the pet's own level, it is the limit of the species that was passed."""
LONGEST_NAME: Final = 60

_UNUSUAL: Final = {"high": "faster than usual", "low": "slower than usual"}
_FOR_SPECIES: Final = {"high": "fast for a {species}", "low": "slowly for a {species}"}
_LOOK: Final = {
    "dog": "how {pet} breathes, the colour of the gums, whether {pet} wants to get up",
    "cat": "whether {pet} breathes with an open mouth, hides or does not eat",
    "other": "how {pet} breathes and moves, and whether {pet} eats",
}
_LOOK_AT_LEGS: Final = "whether {pet} spares a leg, gets up stiffly or does not want to jump"
_DO: Final[dict[str, str]] = {
    "low": "There is nothing to do now; we keep watching.",
    "medium": "Please look at {pet} when you can: {look}. We keep watching.",
    "high": "Please look at {pet} soon: {look}. Call your vet if something seems wrong.",
    "critical": "Please look at {pet} now, and call your vet or an emergency clinic.",
}


def plan_alerts(episodes: Sequence[Episode], verdicts: Sequence[Verdict]) -> list[Alert]:
    """One alert for each verdict that says anomalous, in stream order of the episodes.

    Raises:
        ValueError: an episode has no verdict, or more than one at the same severity.
    """
    by_key: dict[tuple[str, str], Verdict] = {}
    for verdict in verdicts:
        key = (verdict.episode_id, verdict.severity)
        if key in by_key:
            raise ValueError(f"two verdicts for episode {key[0]} at severity {key[1]}")
        by_key[key] = verdict
    alerts = []
    for one in episodes:
        if one.ended_ms is not None:
            continue
        judged = by_key.get((one.episode_id, one.severity))
        if judged is None:
            raise ValueError(f"no verdict for episode {one.episode_id} at {one.severity}")
        if judged.is_anomalous:
            alerts.append(_alert(one, judged))
    return alerts


def _alert(one: Episode, verdict: Verdict) -> Alert:
    return Alert(
        alert_id=make_id(one.episode_id, verdict.severity),
        episode_id=one.episode_id,
        pet_id=one.pet_id,
        species=one.species,
        severity=verdict.severity,
        kind=one.kind,
        signal=one.signal,
        direction=one.direction,
        raised_at=_iso(one.raised_ms),
        started_at=_iso(one.started_ms),
        reason=verdict.reason,
        owner_message=_owner_message(one, verdict.severity),
        verdict_origin=verdict.origin,
        model=verdict.model,
        note=verdict.note,
        detector_version=one.detector_version,
    )


def _owner_message(one: Episode, severity: str) -> str:
    """In plain words, on one line, whatever the pet is called."""
    pet, species = printable(one.pet_id), one.species if one.species != "other" else "pet"
    look = _LOOK[one.species].format(pet=pet)
    what_to_do = _DO[severity].format(pet=pet, look=look)
    if one.signal == "gait_symmetry":
        walk = _DO[severity].format(pet=pet, look=_LOOK_AT_LEGS.format(pet=pet))
        return f"{pet} has been walking less evenly than usual. {walk} {DISCLAIMER}"
    is_own = abs(one.median_bpm / one.level_bpm - 1) >= OWN_SHARE
    how = _UNUSUAL[one.direction] if is_own else _FOR_SPECIES[one.direction].format(species=species)
    rest = " while at rest" if one.is_still else ""
    rates = f"about {one.median_bpm:.0f} beats a minute, usually about {one.level_bpm:.0f}"
    return f"{pet}'s heart has been beating {how}{rest}: {rates}. {what_to_do} {DISCLAIMER}"


def printable(pet_id: str) -> str:
    """A pet's id as it may stand in a text: one line, nothing invisible, not too long."""
    visible = "".join(one if one.isprintable() else " " for one in pet_id)
    name = " ".join(visible.split())
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\u2026"


def _iso(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode_alert(alert: Alert) -> bytes:
    """The message on the alerts topic."""
    return msgspec.json.encode(alert)


def encode_alerts(alerts: Sequence[Alert]) -> bytes:
    """A JSON array; the same alerts give the same bytes."""
    return msgspec.json.encode(list(alerts))


_DECODER: Final = msgspec.json.Decoder(list[Alert])
_ONE: Final = msgspec.json.Decoder(Alert)


def parse_alerts(content: bytes) -> list[Alert]:
    """The way back from `encode_alerts`."""
    return _DECODER.decode(content)


def parse_alert(content: bytes) -> Alert:
    """The way back from `encode_alert`."""
    return _ONE.decode(content)
