"""A reading as it travels: the fields of one JSON message, and what may stand in them.

What a message means is decided in `examination`; here lie its form and its limits, which reading
and writing share. Ranges of numbers are in `schema`.
"""

from typing import Final, Literal

import msgspec

from pettwin_pipeline.readings.schema import PHYSICAL_RANGES, READING_SCHEMA

MAX_BYTES: Final = 64 * 1024
"""A longer message is no reading, whatever is in it."""

MAX_DEPTH: Final = 64
"""Objects and arrays inside one another, the message itself counted. A limit of our own: that of
the parser would depend on its version and on how deep the caller stands."""

MAX_TEXT: Final = 128
"""Characters of a text field; the ledger keeps a pet_id in a column of this length."""

CONTROL: Final = r"[\x00-\x1F\x7F-\x9F\u2028\u2029]"
"""Characters that no text field holds: control characters and line breaks. Lists of pets are kept
joined by newlines. Means the same to Python and to polars."""

NUMBERS: Final = tuple(name for name in READING_SCHEMA if name in PHYSICAL_RANGES)
TEXTS: Final = ("pet_id", "species", "breed", "size")
ABSENT: Final = msgspec.Raw()


class Message(msgspec.Struct, gc=False, omit_defaults=True):
    """One message. A null is the same as a field that is not there.

    Strict: a number is never taken from a text or a boolean, and JSON has no NaN. Fields that are
    not here are skipped.
    """

    pet_id: str
    timestamp: str  # ISO 8601 with an offset
    heart_rate: float | None = None
    activity_score: float | None = None
    gait_symmetry: float | None = None
    sleep_quality: float | None = None
    species: str | None = None
    breed: str | None = None
    size: str | None = None
    weight_kg: float | None = None
    age_years: float | None = None
    respiratory_rate: float | None = None
    temperature_c: float | None = None
    battery: float | None = None
    schema_version: Literal[1] | None = None
    metadata: msgspec.Raw = ABSENT  # untouched
