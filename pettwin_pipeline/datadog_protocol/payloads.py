"""What is posted to the intake: JSON of series, distributions, checks, events and logs to values.

A body is taken or refused as a whole (`PayloadError` with Datadog's status and text); single points
that are too old or too new, or have no usable name, are rejects beside those that are taken.
Unpacking and sizes on the wire are the caller's, `size_limit` says what is allowed.
"""

import math
from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec

from pettwin_pipeline.datadog_protocol import identifiers
from pettwin_pipeline.datadog_protocol.datagram import Event, ServiceCheck
from pettwin_pipeline.errors import PayloadError

PointType: TypeAlias = Literal["gauge", "count", "rate", "distribution"]
_T = TypeVar("_T")

MOST_AHEAD_S: Final = 600
OLDEST_POINT_S: Final = 3600
OLDEST_EVENT_S: Final = 18 * 3600
OLDEST_CHECK_S: Final = 600
PACKED_V1, UNPACKED_V1 = 3_200_000, 62_000_000
PACKED_V2, UNPACKED_V2 = 512_000, 5_000_000
_V2_TYPES: Final[dict[int, PointType]] = {0: "gauge", 1: "count", 2: "rate", 3: "gauge"}
_SHOWN: Final = 200
TOO_OLD: Final = "more than an hour old"
TOO_NEW: Final = "more than ten minutes ahead"
NO_NUMBER: Final = "no finite number"


class SentPoints(msgspec.Struct, frozen=True):
    """Points of one series as they were sent: over HTTP nothing is added up.

    Args:
        name: as it is stored.
        type: of the metric.
        points: (unix seconds, value); for a distribution each of its values is a pair.
        tags: as they are stored, with `host:` and `device:` among them.
        interval_s: of a count or a rate; None where it was not said.
        unit: as it was said.
    """

    name: str
    type: PointType
    points: tuple[tuple[int, float], ...]
    tags: tuple[str, ...] = ()
    interval_s: int | None = None
    unit: str | None = None


class Refused(msgspec.Struct, frozen=True):
    """Something in a body that was taken, which is not stored."""

    reason: str
    what: str


class Taken(msgspec.Struct, frozen=True):
    """The points of a body, and what of it was left out."""

    series: tuple[SentPoints, ...]
    refused: tuple[Refused, ...] = ()
    emptied: tuple[SentPoints, ...] = ()
    """Series all of whose points were left out: that they exist is known all the same."""


class LogEntry(msgspec.Struct, frozen=True):
    """One log: its text, its known fields, and whatever else was in the object."""

    message: str
    source: str | None
    service: str | None
    host: str | None
    status: str | None
    tags: tuple[str, ...]
    attributes: dict[str, Any]


class _SeriesV1(msgspec.Struct):
    metric: str
    points: list[tuple[float, float | None]]
    type: Literal["gauge", "count", "counter", "rate"] = "gauge"
    host: str | None = None
    tags: list[str] | None = None
    device: str | None = None
    interval: int | None = None


class _PayloadV1(msgspec.Struct):
    series: list[_SeriesV1]


class _PointV2(msgspec.Struct, forbid_unknown_fields=True):
    timestamp: int
    value: float


class _Resource(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    type: str


class _SeriesV2(msgspec.Struct, forbid_unknown_fields=True):
    metric: str
    points: list[_PointV2]
    type: Literal[0, 1, 2, 3] = 0
    resources: list[_Resource] = []
    tags: list[str] = []
    interval: int | None = None
    unit: str | None = None
    source_type_name: str | None = None
    metadata: dict[str, Any] | None = None


class _PayloadV2(msgspec.Struct, forbid_unknown_fields=True):
    series: list[_SeriesV2]


class _Distribution(msgspec.Struct):
    metric: str
    points: list[tuple[float, list[float]]]
    host: str | None = None
    tags: list[str] | None = None


class _Distributions(msgspec.Struct):
    series: list[_Distribution]


class _Check(msgspec.Struct):
    check: str
    status: Literal[0, 1, 2, 3]
    host_name: str | None = None
    tags: list[str] | None = None
    timestamp: float | None = None
    message: str | None = None


class _Event(msgspec.Struct):
    title: str
    text: str
    date_happened: int | None = None
    priority: Literal["normal", "low"] | None = None
    alert_type: str | None = None
    host: str | None = None
    tags: list[str] | None = None
    aggregation_key: str | None = None
    source_type_name: str | None = None


_Row: TypeAlias = tuple[
    str, PointType, list[tuple[float, float]], tuple[str, ...], int | None, str | None
]
"""Metric, type, points, tags, interval, unit."""


def size_limit(path: str) -> tuple[int, int]:
    """Bytes that a body may have, packed and unpacked; one byte more is a 413."""
    if path.startswith("/api/v2/series"):
        return PACKED_V2, UNPACKED_V2
    return PACKED_V1, UNPACKED_V1


def parse_series_v1(body: bytes, now_s: float) -> Taken:
    """`{"series":[{"metric","points":[[time,value]],"type","host","tags","interval"}]}`."""
    rows: list[_Row] = [
        (
            one.metric,
            "count" if one.type == "counter" else one.type,
            [(when, value) for when, value in one.points if value is not None],
            _placed(one.tags, host=one.host, device=one.device),
            one.interval,
            None,
        )
        for one in _decoded(body, _PayloadV1).series
    ]
    return _taken(rows, now_s)


def parse_series_v2(body: bytes, now_s: float) -> Taken:
    """`{"series":[{"metric","type":3,"points":[{"timestamp","value"}],"resources","tags"}]}`.

    Unknown fields and types given as strings are refused.
    """
    rows: list[_Row] = [
        (
            one.metric,
            _V2_TYPES[one.type],
            [(point.timestamp, point.value) for point in one.points],
            _placed(one.tags, **{resource.type: resource.name for resource in one.resources}),
            one.interval,
            one.unit,
        )
        for one in _decoded(body, _PayloadV2).series
    ]
    return _taken(rows, now_s)


def parse_distributions(body: bytes, now_s: float) -> Taken:
    """`{"series":[{"metric","points":[[time,[values]]],"host","tags"}]}`."""
    rows: list[_Row] = [
        (
            one.metric,
            "distribution",
            [(when, value) for when, values in one.points for value in values],
            _placed(one.tags, host=one.host),
            None,
            None,
        )
        for one in _decoded(body, _Distributions).series
    ]
    return _taken(rows, now_s)


def parse_check_runs(body: bytes, now_s: float) -> tuple[ServiceCheck, ...]:
    """One check or a list of them; those over ten minutes old are left out."""
    checks = _decoded(body, list[_Check]) if _is_list(body) else [_decoded(body, _Check)]
    return tuple(
        ServiceCheck(
            name=one.check,
            status=one.status,
            tags=identifiers.tags(one.tags or ()),
            timestamp_s=int(one.timestamp or now_s),
            host=one.host_name,
            message=one.message or "",
        )
        for one in checks
        if one.timestamp is None or _in_time(one.timestamp, now_s, OLDEST_CHECK_S)
    )


def parse_event_v1(body: bytes, now_s: float) -> Event:
    """`{"title","text","date_happened",...}`.

    Raises:
        PayloadError: it is no event, or 18 hours old.
    """
    one = _decoded(body, _Event)
    when = now_s if one.date_happened is None else one.date_happened
    if now_s - when > OLDEST_EVENT_S:
        raise PayloadError(400, "Event too far in the past")
    known: dict[str, Literal["error", "warning", "info", "success"]] = {
        "error": "error",
        "warning": "warning",
        "success": "success",
    }
    return Event(
        title=one.title,
        text=one.text,
        tags=identifiers.tags(one.tags or ()),
        timestamp_s=int(when),
        host=one.host,
        priority=one.priority or "normal",
        alert_type=known.get(one.alert_type or "", "info"),
        aggregation_key=one.aggregation_key,
        source_type_name=one.source_type_name,
    )


def parse_logs(body: bytes) -> tuple[LogEntry, ...]:
    """One log or a list of them, of any fields; `ddtags` is a text with commas."""
    logs = _decoded(body, list[dict[str, Any]]) if _is_list(body) else [_log(body)]
    return tuple(_log_entry(dict(one)) for one in logs)


def _log(body: bytes) -> dict[str, Any]:
    return _decoded(body, dict[str, Any])


def _log_entry(fields: dict[str, Any]) -> LogEntry:
    message = fields.pop("message", "")
    tags = fields.pop("ddtags", "")
    return LogEntry(
        message=message if isinstance(message, str) else msgspec.json.encode(message).decode(),
        source=_text(fields.pop("ddsource", None)),
        service=_text(fields.pop("service", None)),
        host=_text(fields.pop("hostname", None)),
        status=_text(fields.pop("status", None)),
        tags=identifiers.tags(tags.split(",") if isinstance(tags, str) else ()),
        attributes=fields,
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _is_list(body: bytes) -> bool:
    return body.lstrip()[:1] == b"["


def _decoded(body: bytes, kind: type[_T]) -> _T:
    if not body.strip():
        raise PayloadError(400, "Payload is empty")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise PayloadError(400, f"Payload is not in the expected format: {error}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise PayloadError(400, f"Unable to parse payload: {error}") from None


def _placed(tags: Iterable[str] | None, **places: str | None) -> tuple[str, ...]:
    """The tags with `host:` and the like among them."""
    named = [f"{kind}:{name}" for kind, name in places.items() if name]
    return identifiers.tags([*(tags or ()), *named])


def _in_time(when: float, now_s: float, oldest_s: float) -> bool:
    return now_s - oldest_s <= when <= now_s + MOST_AHEAD_S


def _taken(rows: Iterable[_Row], now_s: float) -> Taken:
    series: list[SentPoints] = []
    refused: list[Refused] = []
    emptied: list[SentPoints] = []
    for metric, kind, points, tags, interval, unit in rows:
        name = identifiers.metric_name(metric)
        if name is None:
            refused.append(Refused("a metric's name has a letter", metric[:_SHOWN]))
            continue
        kept: list[tuple[int, float]] = []
        for when, value in points:
            if reason := _reason(when, value, now_s):
                refused.append(Refused(reason, name))
            else:
                kept.append((int(when), value))
        told = SentPoints(name, kind, tuple(kept), tags, interval, unit)
        if kept:
            series.append(told)
        elif points:
            emptied.append(told)
    return Taken(tuple(series), tuple(refused), tuple(emptied))


def _reason(when: float, value: float, now_s: float) -> str | None:
    if not math.isfinite(value) or not math.isfinite(when):
        return NO_NUMBER
    if when > now_s + MOST_AHEAD_S:
        return TOO_NEW
    return TOO_OLD if when < now_s - OLDEST_POINT_S else None
