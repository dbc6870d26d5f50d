"""DogStatsD: bytes of a datagram to values, or to rejects with their reason. Never an exception.

Protocol 1.0 to 1.3 as Datadog documents it: metrics of every type, packed values, sample rates,
tags, container ids, timestamps; events; service checks. Fields that come later are passed over.
A line of metrics is the fast path: several microseconds, whatever its number of values.
"""

import math
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from typing import Final, Literal, TypeAlias, cast

import msgspec

from pettwin_pipeline.datadog_protocol import identifiers

SampleType: TypeAlias = Literal["gauge", "count", "histogram", "timing", "distribution"]

_TYPES: Final[dict[bytes, SampleType]] = {
    b"g": "gauge",
    b"c": "count",
    b"h": "histogram",
    b"ms": "timing",
    b"d": "distribution",
}
_SET: Final = b"s"
_TIMED: Final = frozenset({"gauge", "count"})
_SHOWN: Final = 256
_STATUSES: Final = (b"0", b"1", b"2", b"3")
_PRIORITIES: Final = (b"normal", b"low")
_ALERT_TYPES: Final = (b"error", b"warning", b"info", b"success")
_SPACE: Final = 0x20


class Reason(StrEnum):
    """Why a line is not stored."""

    NO_VALUE = "no value"
    NO_TYPE = "no type"
    NO_NAME = "no name"
    BAD_NAME = "a name without a letter"
    BAD_TYPE = "an unknown type"
    BAD_VALUE = "a value that is no number"
    BAD_RATE = "a sample rate that is not above 0 and at most 1"
    BAD_TIMESTAMP = "a timestamp that is no positive whole number"
    TIMESTAMP_NOT_TAKEN = "a timestamp on something other than a gauge or a count"
    BAD_LENGTHS = "an event whose lengths do not fit"
    BAD_PRIORITY = "an event whose priority is not normal or low"
    BAD_ALERT_TYPE = "an event whose alert type is unknown"
    BAD_STATUS = "a service check whose status is not 0 to 3"


class Reject(msgspec.Struct, frozen=True, gc=False):
    """A line that is not stored: why, and its first 256 bytes."""

    reason: Reason
    line: bytes


class Sample(msgspec.Struct, frozen=True, gc=False):
    """Values of one series.

    Args:
        name: as it is stored.
        type: what is done with it over ten seconds.
        values: finite, at least one.
        tags: as they are stored, sorted.
        rate: of sampling; each value stands for 1/rate.
        timestamp_s: unix time; then it is not aggregated.
    """

    name: str
    type: SampleType
    values: tuple[float, ...]
    tags: tuple[str, ...] = ()
    rate: float = 1.0
    timestamp_s: int | None = None


class SetSample(msgspec.Struct, frozen=True, gc=False):
    """One member of a set."""

    name: str
    member: str
    tags: tuple[str, ...] = ()


class Event(msgspec.Struct, frozen=True, gc=False):
    """`_e{5,4}:title|text|...`."""

    title: str
    text: str
    tags: tuple[str, ...] = ()
    timestamp_s: int | None = None
    host: str | None = None
    priority: Literal["normal", "low"] = "normal"
    alert_type: Literal["error", "warning", "info", "success"] = "info"
    aggregation_key: str | None = None
    source_type_name: str | None = None


class ServiceCheck(msgspec.Struct, frozen=True, gc=False):
    """`_sc|name|status|...`; status 0 OK, 1 warning, 2 critical, 3 unknown."""

    name: str
    status: int
    tags: tuple[str, ...] = ()
    timestamp_s: int | None = None
    host: str | None = None
    message: str = ""


Item: TypeAlias = Sample | SetSample | Event | ServiceCheck | Reject


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def parse_datagram(datagram: bytes) -> list[Item]:
    """Every line of it, in order; empty lines are none."""
    return [parse_line(line) for line in _lines(datagram)]


def _lines(datagram: bytes) -> Iterator[bytes]:
    for line in datagram.split(b"\n"):
        bare = line[:-1] if line.endswith(b"\r") else line
        if bare:
            yield bare


def parse_line(line: bytes) -> Item:
    """One line without its line feed."""
    try:
        if line.startswith(b"_e{"):
            return _event(line)
        if line.startswith(b"_sc"):
            return _service_check(line)
        return _metric(line)
    except _Refused as refused:
        return Reject(refused.reason, line[:_SHOWN])


def _metric(line: bytes) -> Sample | SetSample:
    head, *fields = line.split(b"|")
    raw_name, colon, raw_values = head.partition(b":")
    if not colon:
        raise _Refused(Reason.NO_VALUE)
    if not fields or not fields[0]:
        raise _Refused(Reason.NO_TYPE)
    name = _name(raw_name)
    raw_type = fields[0]
    if raw_type == _SET:
        return _set(name, raw_values, fields)
    kind = _TYPES.get(raw_type)
    if kind is None:
        raise _Refused(Reason.BAD_TYPE)
    values = _values(raw_values)
    if len(fields) == 1:
        return Sample(name, kind, values)
    tags, rate, timestamp_s = _fields(fields)
    if timestamp_s is not None and kind not in _TIMED:
        raise _Refused(Reason.TIMESTAMP_NOT_TAKEN)
    return Sample(name, kind, values, tags, rate, timestamp_s)


def _set(name: str, member: bytes, fields: list[bytes]) -> SetSample:
    if not member:
        raise _Refused(Reason.NO_VALUE)
    tags, _, timestamp_s = _fields(fields)
    if timestamp_s is not None:
        raise _Refused(Reason.TIMESTAMP_NOT_TAKEN)
    return SetSample(name, member.decode("utf-8", "replace"), tags)


def _fields(fields: list[bytes]) -> tuple[tuple[str, ...], float, int | None]:
    """Tags, rate and timestamp among the fields behind the type; others are passed over."""
    tags: tuple[str, ...] = ()
    rate = 1.0
    timestamp_s = None
    for field in fields[1:]:
        mark = field[:1]
        if mark == b"#":
            tags = _tags(field[1:])
        elif mark == b"@":
            rate = _rate(field[1:])
        elif mark == b"T":
            timestamp_s = _timestamp(field[1:])
    return tags, rate, timestamp_s


def _values(raw: bytes) -> tuple[float, ...]:
    if b":" in raw:
        values = tuple(_number(one) for one in raw.split(b":") if one)
    else:
        values = (_number(raw),) if raw else ()
    if not values:
        raise _Refused(Reason.NO_VALUE)
    return values


def _number(raw: bytes) -> float:
    try:
        value = float(raw)
    except ValueError:
        raise _Refused(Reason.BAD_VALUE) from None
    # Python reads 1_000 and surrounding space too; no client sends them
    if not math.isfinite(value) or b"_" in raw or raw[0] <= _SPACE or raw[-1] <= _SPACE:
        raise _Refused(Reason.BAD_VALUE)
    return value


def _rate(raw: bytes) -> float:
    try:
        rate = _number(raw)
    except _Refused:
        raise _Refused(Reason.BAD_RATE) from None
    if not 0.0 < rate <= 1.0 or math.isinf(1.0 / rate):
        raise _Refused(Reason.BAD_RATE)
    return rate


def _timestamp(raw: bytes) -> int:
    if not raw.isdigit() or len(raw) > len("253402300799") or int(raw) == 0:
        raise _Refused(Reason.BAD_TIMESTAMP)
    return int(raw)


@lru_cache(maxsize=16_384)
def _known_name(raw: bytes) -> str | None:
    return identifiers.metric_name(raw.decode("utf-8", "replace"))


def _name(raw: bytes) -> str:
    if not raw:
        raise _Refused(Reason.NO_NAME)
    name = _known_name(raw)
    if name is None:
        raise _Refused(Reason.BAD_NAME)
    return name


@lru_cache(maxsize=16_384)
def _tags(raw: bytes) -> tuple[str, ...]:
    return identifiers.tags(raw.decode("utf-8", "replace").split(","))


def _event(line: bytes) -> Event:
    title, text, rest = _title_and_text(line)
    found: dict[bytes, bytes] = {}
    tags: tuple[str, ...] = ()
    for field in rest.split(b"|"):
        if field[:1] == b"#":
            tags = _tags(field[1:])
        else:
            found[field[:2]] = field[2:]
    priority = found.get(b"p:", b"normal")
    if priority not in _PRIORITIES:
        raise _Refused(Reason.BAD_PRIORITY)
    alert_type = found.get(b"t:", b"info")
    if alert_type not in _ALERT_TYPES:
        raise _Refused(Reason.BAD_ALERT_TYPE)
    return Event(
        title=_unescaped(title),
        text=_unescaped(text),
        tags=tags,
        timestamp_s=_timestamp(found[b"d:"]) if b"d:" in found else None,
        host=_text(found.get(b"h:")),
        priority=cast('Literal["normal", "low"]', priority.decode()),
        alert_type=cast('Literal["error", "warning", "info", "success"]', alert_type.decode()),
        aggregation_key=_text(found.get(b"k:")),
        source_type_name=_text(found.get(b"s:")),
    )


def _title_and_text(line: bytes) -> tuple[bytes, bytes, bytes]:
    """By their lengths in bytes: a pipe within them is theirs."""
    lengths, colon, body = line[3:].partition(b"}:")
    title_length, comma, text_length = lengths.partition(b",")
    if not colon or not comma or not _is_length(title_length) or not _is_length(text_length):
        raise _Refused(Reason.BAD_LENGTHS)
    title_ends = int(title_length)
    text_ends = title_ends + 1 + int(text_length)
    whole = len(body) >= text_ends and body[title_ends : title_ends + 1] == b"|"
    if not whole or title_ends == 0 or body[text_ends : text_ends + 1] not in {b"", b"|"}:
        raise _Refused(Reason.BAD_LENGTHS)
    return body[:title_ends], body[title_ends + 1 : text_ends], body[text_ends + 1 :]


def _is_length(raw: bytes) -> bool:
    return raw.isdigit() and len(raw) <= len("1000000")


def _service_check(line: bytes) -> ServiceCheck:
    head, _, raw_message = line.partition(b"|m:")
    mark, *fields = head.split(b"|")
    if mark != b"_sc" or not fields or not fields[0]:
        raise _Refused(Reason.NO_NAME)
    if len(fields) == 1 or fields[1] not in _STATUSES:
        raise _Refused(Reason.BAD_STATUS)
    found: dict[bytes, bytes] = {}
    tags: tuple[str, ...] = ()
    for field in fields[2:]:
        if field[:1] == b"#":
            tags = _tags(field[1:])
        else:
            found[field[:2]] = field[2:]
    return ServiceCheck(
        name=fields[0].decode("utf-8", "replace"),
        status=int(fields[1]),
        tags=tags,
        timestamp_s=_timestamp(found[b"d:"]) if b"d:" in found else None,
        host=_text(found.get(b"h:")),
        message=_unescaped(raw_message).replace("m\\:", "m:"),
    )


def _text(raw: bytes | None) -> str | None:
    return raw.decode("utf-8", "replace") if raw else None


def _unescaped(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").replace("\\n", "\n")
