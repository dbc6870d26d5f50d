"""Events as they are kept, and how they are found.

What comes in by v1, by v2, by DogStatsD and from monitors is one kind of document.
"""

import base64
import math
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from pettwin_pipeline.datadog_protocol.searching import Document as Found
from pettwin_pipeline.emulator.clock import at, iso_z, parse_moment
from pettwin_pipeline.emulator.refusals import bad_request
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

_PLACE_FORMAT: Final = b"\x02"
_SHORTEST_PLACE: Final = 9
_RELATIVE: Final = re.compile(r"now(?:([+-])(\d{1,9})(s|m|h|d|w|mo))?")
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "mo": 2_592_000}


def keep_event(state: State, told: Document) -> Document:
    """Keep an event.

    Args:
        state: where.
        told: `title`, `text`, `tags`, `timestamp_ms`; and if known `host`, `priority`, `status`,
            `source`, `aggregation_key`, `service`, `attributes`, and fields that are shown again.

    Returns:
        it, with its ids.
    """
    number = state.dice.long_number()
    place = encode_place(told["timestamp_ms"], state.dice.hexadecimal(18))
    document = {"id_str": str(number), "uid": place, **told}
    state.timeline.keep(
        "event", document["timestamp_ms"], document["uid"], document, document["id_str"]
    )
    return document


def timed_events(state: State, from_s: float, to_s: float) -> Iterator[tuple[float, Found]]:
    """When, and what a search sees: from one time to another, both included, newest first."""
    for one in state.timeline.between("event", math.ceil(from_s * 1000), math.floor(to_s * 1000)):
        yield one["timestamp_ms"] / 1000, record_of(one)


def find_event(state: State, asked: str) -> Document | None:
    """An event by its id of v2, by that of v1 as text, or by that as the number that is told."""
    found = state.timeline.get("event", asked)
    if found is None:
        found = next(state.timeline.between("event", label=asked), None)
    if found is None and asked.isdecimal():
        every = state.timeline.between("event")
        found = next((one for one in every if str(rounded_id(one)) == asked), None)
    return found


def encode_place(timestamp_ms: int, rest: str) -> str:
    """An id that begins with the time, as those of Datadog's events do: cursors go on from it."""
    place = _PLACE_FORMAT + timestamp_ms.to_bytes(8, "big", signed=True) + bytes.fromhex(rest)
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def parse_place(event_id: str) -> int:
    """The time in an id, milliseconds.

    Raises:
        ValueError: it is no such id.
    """
    place = base64.urlsafe_b64decode(event_id + "=" * (-len(event_id) % 4))
    if not place.startswith(_PLACE_FORMAT) or len(place) < _SHORTEST_PLACE:
        raise ValueError("no id of an event")
    return int.from_bytes(place[1:9], "big", signed=True)


def encode_cursor(last_id: str) -> str:
    """Where a page goes on: behind what has this id."""
    text = msgspec.json.encode({"after": last_id})
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def parse_cursor(told: str | None) -> tuple[int, str] | None:
    """Time and id of the last of the page before; None for the first page.

    Raises:
        ValueError: it is no cursor.
    """
    if not told:
        return None
    try:
        content = msgspec.json.decode(base64.urlsafe_b64decode(told + "=" * (-len(told) % 4)))
        return parse_place(content["after"]), content["after"]
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(str(error)) from None


def rounded_id(event: Document) -> int:
    """The id as the API tells it as a number: what is left of it in a double."""
    return int(Decimal(repr(float(event["id_str"]))))


def record_of(event: Document) -> Found:
    """What a search sees."""
    facts = {
        "source": event.get("source"),
        "host": event.get("host"),
        "status": event.get("status"),
        "priority": event.get("priority"),
        "service": event.get("service"),
        "title": event.get("title"),
        "aggregation_key": event.get("aggregation_key"),
    }
    return Found(
        text=f"{event['title']}\n{event['text']}",
        tags=tuple(tag.lower() for tag in event["tags"]),
        fields={name: str(value) for name, value in facts.items() if value is not None},
        attributes=event.get("attributes") or {},
    )


def parse_instant(state: State, told: Any, default: str) -> float:
    """Seconds since 1970 from `now-15m`, ISO 8601, or milliseconds.

    Raises:
        Refusal: 400.
    """
    text = str(told if told not in {None, ""} else default).strip()
    match = _RELATIVE.fullmatch(text)
    if match:
        ahead = int(match[2] or 0) * _UNITS_S[match[3] or "s"]
        return state.clock.now_s() + (ahead if match[1] == "+" else -ahead)
    try:
        if text.lstrip("-").isdecimal():
            return at(int(text) / 1000).timestamp()
        return parse_moment(text).timestamp()
    except (ValueError, OverflowError):
        raise bad_request(f"input_validation_error(Field 'filter' is invalid: {text!r})") from None


def shown_v2(event: Document) -> Document:
    """As v2 lists it."""
    seconds = event["timestamp_ms"] // 1000
    attributes = {
        "status": event.get("status", "info"),
        "service": event.get("service", "undefined"),
        "title": event["title"],
        "timestamp": event["timestamp_ms"],
        "hostname": event.get("host"),
        "priority": event.get("priority") or "normal",
        "aggregation_key": event.get("aggregation_key"),
        "event_object": event.get("aggregation_key"),
        "evt": {"id": event["id_str"], "type": "api", "source_id": 36},
        **(event.get("attributes") or {}),
    }
    shown = {name: value for name, value in attributes.items() if value is not None}
    told = {
        "attributes": shown,
        "message": event["text"],
        "tags": event["tags"],
        "timestamp": iso_z(at(0) + timedelta(seconds=seconds)).replace(".000000", ""),
    }
    return {"attributes": told, "type": "event", "id": event["uid"]}
