"""Messages for property tests: ordinary ones, odd ones, and what is left of either when broken."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from hypothesis import strategies as st

from pettwin_pipeline.readings.decode import Decoded
from pettwin_pipeline.readings.examination import Fault, examine
from pettwin_pipeline.readings.message import CONTROL, MAX_TEXT, TEXTS
from pettwin_pipeline.readings.schema import (
    PHYSICAL_RANGES,
    READING_SCHEMA,
    SIGNALS,
    AgeLimits,
    Reject,
)

NOON_MS: Final = 1_772_366_400_000  # 2026-03-01T12:00:00Z
NOON: Final = "2026-03-01T12:00:00Z"
LIMITS: Final = AgeLimits()

TEXT: Final = st.from_regex(rf"(?!.*{CONTROL})\A.{{0,12}}\Z").filter(lambda text: "\n" not in text)
PET_ID: Final = st.sampled_from(["p1", "Žofka 2", "犬", " x "]) | TEXT.filter(
    lambda text: text.strip() != ""
)
MOMENT_MS: Final = st.integers(
    NOON_MS - LIMITS.max_age_ms, NOON_MS + LIMITS.max_ahead_ms
) | st.sampled_from([NOON_MS, NOON_MS - LIMITS.max_age_ms, NOON_MS + LIMITS.max_ahead_ms])


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """A reading by column, without its place; what it does not say is null."""
    row: dict[str, Any] = {"pet_id": draw(PET_ID), "time_ms": draw(MOMENT_MS)}
    for name, limits in PHYSICAL_RANGES.items():
        value = st.floats(limits.low, limits.high) | st.sampled_from([limits.low, limits.high])
        row[name] = draw(st.none() | value.map(lambda number: number + 0.0))
    if all(row[name] is None for name in SIGNALS):
        row[draw(st.sampled_from(SIGNALS))] = 0.5 if draw(st.booleans()) else 1.0
        row["heart_rate"] = 60.0
    for name in ("species", "breed", "size"):
        row[name] = draw(st.none() | TEXT | st.sampled_from(["dog", "x" * MAX_TEXT]))
    inner = st.dictionaries(st.text(max_size=3), st.none() | st.booleans() | st.text(max_size=3))
    row["metadata"] = draw(st.none() | inner.map(json.dumps))
    return row


def frame_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """The frame that messages of these rows decode to, at offsets 0, 1, 2, ..."""
    placed = [
        {"partition": 0, "offset": offset, "kafka_ms": NOON_MS, **row}
        for offset, row in enumerate(rows)
    ]
    return pl.DataFrame(placed, schema=READING_SCHEMA)


# As they stand in a message; "\udcff" becomes the byte 255, which is no UTF-8.
NUMBER_VALUES: Final = [
    *("0", "-0", "-0.0", "0.0", "1", "1.0", "1e0", "5", "0.5", "0.30000000000000004", "400.0"),
    *("400.00000000000006", "1e400", "-1e400", "1" * 400, "1e-400", "4.9e-324", "1E+2", "01"),
    *("1.", ".5", "+1", "--1", "NaN", "-NaN", "Infinity", "-Infinity", "nan", "true", "2"),
]
TEXT_VALUES: Final = [
    *('"5"', '"60.5"', '"NaN"', '"null"', '""', '" "', '"\\n"', '"a\\u0000b"', '"a\\nb"'),
    *('"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\ud800\\u0041"'),
    *('"\u0085"', '"\u2028"', '"\u00a0"', '"\u3000"', '"\x1f"', '"\x7f"', '"a\\/b"', '"😀"'),
    *(f'"{"x" * 128}"', f'"{"x" * 129}"', f'"{"é" * 128}"', '"\\u00e9"', '"dog"', '"\udcff"'),
]
TIME_VALUES: Final = [
    *(f'"{NOON}"', '"2026-03-01T13:00:00+01:00"', '"2026-03-01T12:00:00"', '"2026-03-01"'),
    *('"2026-03-01 12:00:00.5Z"', '"2026-02-29T12:00:00Z"', '"2026-03-01T12:00:60Z"'),
    *('"2026-03-01T24:00:00Z"', '"10000-03-01T12:00:00Z"', '"1772366400"', "1772366400"),
    *('"2026-03-01T12:00:00.123456789012Z"', '"2026-03-01T12:00Z"', '"2026-03-01T12:00:00.Z"'),
    *('"\uff12026-03-01T12:00:00Z"', '"2019-03-01T12:00:00Z"', '"2026-03-01T12:06:00Z"'),
]
NESTED_VALUES: Final = [
    *("null", "nul", "[]", "{}", "[1, 2]", '{"a": 1}', '{ "a" : [ {} ] }', "[1,]", '{"a":1,}'),
    *('{"a": NaN}', '{"a": "NaN"}', '{"a": -Infinity}', '{"a": "\\ud800"}', '{"a": "\\q"}'),
    *("[" * 63 + "]" * 63, "[" * 64 + "]" * 64, '{"a":' * 63 + "1" + "}" * 63),
    *('{"a":' * 64 + "1" + "}" * 64, "[[]," * 70 + "[]" + "]" * 70, '"[[[[{{{{"'),
    *('{"a": "\udcff"}', '{"a": 1e400}', "7", '"x"', '{"a": null, "a": {}}'),
]
ODD_VALUES: Final = [*NUMBER_VALUES, *TEXT_VALUES, *TIME_VALUES, *NESTED_VALUES]
VALUES: Final = st.sampled_from(ODD_VALUES)
NAMES: Final = [
    *(json.dumps(name) for name in (*READING_SCHEMA, "timestamp", "schema_version", "unknown")),
    *('"Heart_rate"', '"heart\\u005frate"', '"\\ud800"', '"é"', '"\\q"', '"\udcff"'),
]


def _fields(names: Iterable[str], values: list[str]) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.sampled_from([json.dumps(name) for name in names]), st.sampled_from(values))


FIELDS: Final = st.one_of(
    _fields(PHYSICAL_RANGES, NUMBER_VALUES),
    _fields(TEXTS, TEXT_VALUES),
    _fields(["timestamp"], TIME_VALUES),
    _fields(["metadata", "unknown"], NESTED_VALUES),
    st.tuples(st.sampled_from(NAMES), VALUES),
)
NEEDED: Final = [('"pet_id"', '"p1"'), ('"timestamp"', f'"{NOON}"'), ('"heart_rate"', "60.5")]


def render(fields: Iterable[tuple[str, str]], space: str = "") -> bytes:
    """A message of fields as they stand in it, in their order."""
    inside = ",".join(f"{space}{name}:{space}{value}" for name, value in fields)
    return f"{{{inside}{space}}}".encode(errors="surrogateescape")


SPACE: Final = st.sampled_from(["", "", "", " ", "\n", "\t", "\r", "\x0b", "\u00a0"])


@st.composite
def odd_messages(draw: st.DrawFn) -> bytes:
    """A message with a few odd fields among what a reading needs."""
    odd = draw(st.lists(FIELDS, max_size=3))
    return render(draw(st.permutations(NEEDED + odd)), draw(SPACE)) + draw(SPACE).encode()


@st.composite
def broken_messages(draw: st.DrawFn) -> bytes:
    """A message with bytes cut out, put in or changed."""
    message = draw(odd_messages())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(message)))
        gone = draw(st.integers(0, 4))
        some = st.sampled_from([b"", b"\n", b"\\", b'"', b"{", b"}", b",", b"0", b"\xc3", b"\xff"])
        message = message[:at] + draw(some | st.binary(max_size=4)) + message[at + gone :]
    return message


ANY_MESSAGE: Final = st.one_of(
    odd_messages(), broken_messages(), st.binary(max_size=30), st.none(), st.just(b"")
)
KAFKA_MS: Final = st.sampled_from([-1, 0, NOON_MS, NOON_MS - 300_001, NOON_MS + 604_800_001])


def carefully(values: Sequence[bytes | None], kafka_ms: Sequence[int] | None = None) -> Decoded:
    """What `decode_batch` is to give, with every message examined on its own."""
    good: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    for offset, (value, at_ms) in enumerate(
        zip(values, kafka_ms or [NOON_MS] * len(values), strict=True)
    ):
        found = examine(value, at_ms, LIMITS)
        if isinstance(found, Fault):
            rejects.append(Reject(0, offset, None, value, found.reason, found.detail, at_ms))
        else:
            good.append({"partition": 0, "offset": offset, "kafka_ms": at_ms, **found})
    return Decoded(pl.DataFrame(good, schema=READING_SCHEMA), rejects)


def at_offsets(
    values: Sequence[bytes | None], kafka_ms: Sequence[int] | None = None
) -> dict[str, Any]:
    """The arguments of `decode_batch` for messages at offsets 0, 1, 2, ..."""
    count = len(values)
    return {
        "values": values,
        "keys": [None] * count,
        "partitions": np.zeros(count, np.int32),
        "offsets": np.arange(count, dtype=np.int64),
        "kafka_ms": np.array(kafka_ms or [NOON_MS] * count, np.int64),
    }
