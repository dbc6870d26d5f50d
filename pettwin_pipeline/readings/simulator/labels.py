"""What was true of a pet, and when: the message of the labels topic.

A label comes from a vet or from the simulator and never travels inside a reading. An interval is
known first by its beginning (`end_ms` is null: until further notice) and again by its end, under
the same `label_id`: the later message replaces the earlier. Knows nothing of how it was found.
"""

from typing import Annotated, Final, Literal

import msgspec

LABEL_VERSION: Final = 1
LabelKind = Literal["illness", "confounder", "sensor_fault", "healthy"]
EpochMs = Annotated[int, msgspec.Meta(ge=0, le=4_102_444_800_000)]  # up to the year 2100
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """One interval of one pet, half-open: [start_ms, end_ms), ms since 1970 UTC.

    Attributes:
        label_id: the same for every message about this interval.
        kind: healthy means: no illness; confounders and sensor faults lie inside healthy and ill
            intervals alike. What neither a healthy nor an illness label covers is unknown.
        name: which illness, confounder or fault.
        end_ms: null until the end is known.
        half_effect_ms: when half of the illness' effect is there.
        visible_ms: when an attentive owner sees it.
        severity: 0 (none) to 1.
    """

    label_id: Name
    pet_id: Name
    kind: LabelKind
    name: Name
    start_ms: EpochMs
    end_ms: EpochMs | None = None
    half_effect_ms: EpochMs | None = None
    visible_ms: EpochMs | None = None
    severity: float = 0.0
    schema_version: Literal[1] = LABEL_VERSION

    def __post_init__(self) -> None:
        for field in ("end_ms", "half_effect_ms", "visible_ms"):
            moment = getattr(self, field)
            if moment is not None and moment < self.start_ms:
                raise ValueError(f"{field} lies before start_ms")
        if not 0 <= self.severity <= 1:
            raise ValueError(f"severity {self.severity} is not within 0 to 1")

    def moved(self, by_ms: int) -> "Label":
        """The same interval at another time, under the id that it has there."""
        times = {
            name: None if (moment := getattr(self, name)) is None else moment + by_ms
            for name in ("start_ms", "end_ms", "half_effect_ms", "visible_ms")
        }
        there = label_id(self.pet_id, self.name, self.start_ms + by_ms)
        return msgspec.structs.replace(self, label_id=there, **times)

    @property
    def order(self) -> tuple[int, str, bool]:
        """Sort key of a stream of labels: by the moment at which the message becomes known."""
        known = self.start_ms if self.end_ms is None else self.end_ms
        return known, self.label_id, self.end_ms is not None


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Label)


def label_id(pet_id: str, name: str, start_ms: int) -> str:
    """The id of an interval: the same simulation gives the same ids."""
    return f"{pet_id}/{name}/{start_ms}"


def encode_label(label: Label) -> bytes:
    """A label as JSON; the way back is `parse_label`."""
    return _ENCODER.encode(label)


def parse_label(message: bytes | None) -> Label | str:
    """A message of the labels topic as a label, or the text of what is wrong with it."""
    if message is None:
        return "tombstone: a label without a value"
    try:
        return _DECODER.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return str(error)
