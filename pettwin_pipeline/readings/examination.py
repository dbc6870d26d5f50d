"""One message, examined in full: what it says, or the one reason why it is not a reading.

The rule itself; `decode` is the same, faster, for the messages that are plainly in order. The first
line that applies is the reason, and within a line the first field in the order of `Message`:

| reason                  | when                                                                   |
|-------------------------|------------------------------------------------------------------------|
| tombstone               | no value at all                                                        |
| too_large               | more than MAX_BYTES                                                    |
| not_utf8                | the bytes are no UTF-8                                                 |
| not_json                | empty, no JSON, a byte order mark, more than one value, over MAX_DEPTH |
| wrong_type              | JSON, but not an object; or `schema_version` is not a whole number     |
| unknown_schema_version  | `schema_version` is there and is not SCHEMA_VERSION                    |
| missing_field           | no `pet_id`, no `timestamp`, or none of the SIGNALS; null is missing   |
| wrong_type              | a known field of another type; half a surrogate pair in a text         |
| not_finite              | NaN or Infinity where a number stands, or inside `metadata`            |
| out_of_range            | a number outside of PHYSICAL_RANGES; a text longer than MAX_TEXT or    |
|                         | with a CONTROL character; a `pet_id` that is empty or only spaces      |
| bad_timestamp           | no moment in ISO 8601, or one without an offset                        |
| too_old, too_new        | beyond the limits, seen from the Kafka timestamp of the same message   |

Unknown fields are passed over; of a field that is there twice the last one counts, as everywhere in
Python. Numbers beyond a float, like 1e400, are out of range. `metadata` keeps its own text.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pettwin_pipeline.readings.message import (
    CONTROL,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_TEXT,
    NUMBERS,
    TEXTS,
    Message,
)
from pettwin_pipeline.readings.schema import (
    PHYSICAL_RANGES,
    SCHEMA_VERSION,
    SIGNALS,
    AgeLimits,
    RejectReason,
)
from pettwin_pipeline.readings.timestamps import parse_timestamp

NO_KAFKA_TIME: Final = -1

_DECODER: Final = json.JSONDecoder(parse_int=float)  # an int of 10,000 digits is a ValueError
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_CONTROL: Final = re.compile(CONTROL)
_WHOLE: Final = re.compile(r"-?[0-9]+")
# A text that is never closed runs to the end, so that no part is looked at twice.
_BRACKET_OR_TEXT: Final = re.compile(r'[\[{]|[\]}]|"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Fault:
    """The one reason why a message is not a reading, and what exactly."""

    reason: RejectReason
    detail: str


@dataclass(frozen=True, slots=True)
class _Field:
    value: Any  # as parsed: every number is a float
    text: str  # as sent

    def __str__(self) -> str:
        shown = " ".join(self.text.split())
        return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


_Fields = dict[str, _Field]


def examine(value: bytes | None, kafka_ms: int, limits: AgeLimits) -> dict[str, Any] | Fault:
    """A message's columns without its place: what is absent is not there. Never raises.

    Args:
        value: the bytes of the message.
        kafka_ms: its Kafka timestamp, ms since 1970 UTC; -1 is none, then age is not judged.
        limits: of its age.
    """
    fields = _parse(value)
    if isinstance(fields, Fault):
        return fields
    for check in (_versions, _missing, _types, _infinities, _ranges):
        fault = next(check(fields), None)
        if fault is not None:
            return fault
    time_ms = parse_timestamp(fields["timestamp"].value)
    if time_ms is None:
        detail = f"timestamp: {fields['timestamp']} is not ISO 8601 with an offset"
        return Fault(RejectReason.BAD_TIMESTAMP, detail)
    row = {name: one.value for name, one in fields.items() if name in TEXTS}
    row |= {name: one.value + 0.0 for name, one in fields.items() if name in NUMBERS}  # no -0
    row["time_ms"] = time_ms
    if "metadata" in fields:
        row["metadata"] = fields["metadata"].text
    return judge_age(time_ms, kafka_ms, limits) or row


def judge_age(time_ms: int, kafka_ms: int, limits: AgeLimits) -> Fault | None:
    """The fault of a reading that is too old or too new for its Kafka timestamp."""
    if kafka_ms == NO_KAFKA_TIME:
        return None
    age_ms = kafka_ms - time_ms
    if age_ms > limits.max_age_ms:
        return Fault(
            RejectReason.TOO_OLD,
            f"timestamp: {age_ms / 1000:.0f} s before the Kafka timestamp, "
            f"at most {limits.max_age_ms / 1000:.0f} s",
        )
    if -age_ms > limits.max_ahead_ms:
        return Fault(
            RejectReason.TOO_NEW,
            f"timestamp: {-age_ms / 1000:.0f} s after the Kafka timestamp, "
            f"at most {limits.max_ahead_ms / 1000:.0f} s",
        )
    return None


def _parse(value: bytes | None) -> _Fields | Fault:
    """The known fields that are there and not null."""
    text = _read_text(value)
    if isinstance(text, Fault):
        return text
    try:
        whole = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        return Fault(RejectReason.NOT_JSON, str(error))
    if not isinstance(whole, dict):
        return Fault(RejectReason.WRONG_TYPE, f"message: {_Field(whole, text)} is not an object")
    fields = _fields(text)
    known = ("schema_version", *Message.__struct_fields__)
    return {name: fields[name] for name in known if name in fields and fields[name].text != "null"}


def _read_text(value: bytes | None) -> str | Fault:
    """The text of a message, unless that alone rules it out."""
    if value is None:
        return Fault(RejectReason.TOMBSTONE, "a message without a value")
    if len(value) > MAX_BYTES:
        return Fault(RejectReason.TOO_LARGE, f"{len(value)} bytes, at most {MAX_BYTES}")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        return Fault(RejectReason.NOT_UTF8, f"byte {error.start}: {error.reason}")
    if _is_deeper(text, MAX_DEPTH):
        return Fault(RejectReason.NOT_JSON, f"nested more than {MAX_DEPTH} deep")
    return text


def _is_deeper(text: str, limit: int) -> bool:
    depth = 0
    if text.count("[") + text.count("{") <= limit:
        return False
    for found in _BRACKET_OR_TEXT.finditer(text):
        depth += (found[0] in "[{") - (found[0] in "]}")
        if depth > limit:
            return True
    return False


def _fields(text: str) -> _Fields:
    """Every field of a text that is known to be one JSON object, each with its own text."""
    fields: _Fields = {}
    at = _skip_space(text, _skip_space(text, 0) + 1)
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        begin = _skip_space(text, _skip_space(text, at) + 1)
        value, end = _DECODER.raw_decode(text, begin)
        fields[name] = _Field(value, text[begin:end])
        at = _skip_space(text, end)
        if text[at] == ",":
            at = _skip_space(text, at + 1)
    return fields


def _skip_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _versions(fields: _Fields) -> Iterator[Fault]:
    version = fields.get("schema_version")
    if version is None:
        return
    if not isinstance(version.value, float) or not _WHOLE.fullmatch(version.text):
        yield Fault(RejectReason.WRONG_TYPE, f"schema_version: {version} is not a whole number")
    elif version.value != SCHEMA_VERSION:
        yield Fault(
            RejectReason.UNKNOWN_SCHEMA_VERSION,
            f"schema_version: {version}; this release reads version {SCHEMA_VERSION}",
        )


def _missing(fields: _Fields) -> Iterator[Fault]:
    for name in ("pet_id", "timestamp"):
        if name not in fields:
            yield Fault(RejectReason.MISSING_FIELD, f"{name}: missing")
    if not fields.keys() & set(SIGNALS):
        yield Fault(RejectReason.MISSING_FIELD, f"none of {', '.join(SIGNALS)}")


def _types(fields: _Fields) -> Iterator[Fault]:
    for name, one in fields.items():
        if name in NUMBERS:
            wanted, right = "a number", isinstance(one.value, float)
        elif name == "metadata":
            wanted, right = "an object", isinstance(one.value, dict)
        elif name == "schema_version":
            continue
        else:
            right = isinstance(one.value, str) and _is_unicode(one.value)
            wanted = "a text"
        if not right:
            yield Fault(RejectReason.WRONG_TYPE, f"{name}: {one} is not {wanted}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _infinities(fields: _Fields) -> Iterator[Fault]:
    for name, one in fields.items():
        if name in NUMBERS and not one.text[-1].isdigit():  # NaN, Infinity; 1e400 ends with a digit
            yield Fault(RejectReason.NOT_FINITE, f"{name}: {one}")
        elif name == "metadata" and _holds_constant(one.text):
            yield Fault(RejectReason.NOT_FINITE, f"metadata: NaN or Infinity in {one}")


def _holds_constant(text: str) -> bool:
    """Whether NaN or Infinity, which Python reads and writes but JSON has not, is among values."""
    found: list[str] = []
    json.loads(text, parse_constant=found.append, parse_int=float)
    return bool(found)


def _ranges(fields: _Fields) -> Iterator[Fault]:
    for name, one in fields.items():
        if name in NUMBERS:
            limits = PHYSICAL_RANGES[name]
            if not limits.holds(one.value):
                detail = f"{name}: {one} is not within {limits.low:g} to {limits.high:g}"
                yield Fault(RejectReason.OUT_OF_RANGE, detail)
        elif name in TEXTS:
            if len(one.value) > MAX_TEXT or _CONTROL.search(one.value):
                detail = f"{name}: {one} is longer than {MAX_TEXT} or holds control characters"
                yield Fault(RejectReason.OUT_OF_RANGE, detail)
            elif name == "pet_id" and not one.value.strip():
                yield Fault(RejectReason.OUT_OF_RANGE, f"pet_id: {one} is empty")
