"""Messages to readings: every message becomes exactly one reading or exactly one reject.

The rule, and the order of the reasons, is in `examination`. Here is the way for the many messages
that are in order: a strict decoder, then checks of whole columns. It may accept only what the
examination accepts, with the same values; whatever it does not accept is examined.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from pettwin_pipeline.readings.examination import NO_KAFKA_TIME, Fault, examine
from pettwin_pipeline.readings.message import (
    ABSENT,
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
    READING_SCHEMA,
    SIGNALS,
    AgeLimits,
    Reject,
)
from pettwin_pipeline.readings.timestamps import parse_timestamps

CHUNK: Final = 2048  # messages decoded before their columns are taken: they stay in the cache

_DECODE: Final = msgspec.json.Decoder(Message).decode
_COLUMNS: Final = {"timestamp": pl.String()} | {
    name: kind for name, kind in READING_SCHEMA.items() if name in (*TEXTS, *NUMBERS)
}
_GETTERS: Final = {name: attrgetter(name) for name in _COLUMNS}
_METADATA: Final = attrgetter("metadata")
_PLACE: Final = ("partition", "offset", "kafka_ms")
_SAID: Final = {name: kind for name, kind in READING_SCHEMA.items() if name not in _PLACE}

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What some messages said: `len(readings) + len(rejects)` is their number.

    Attributes:
        readings: frame of READING_SCHEMA, in the order of the messages.
        rejects: in the order of the messages.
    """

    readings: pl.DataFrame
    rejects: list[Reject]


def decode_batch(  # noqa: PLR0917 - one a column of a message
    values: Sequence[bytes | None],
    keys: Sequence[bytes | None],
    partitions: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    kafka_ms: npt.NDArray[np.int64],
    limits: AgeLimits = AgeLimits(),  # noqa: B008 - a frozen value
) -> Decoded:
    """Decode messages; never raises, whatever their bytes are.

    Args:
        values: the messages; None is a tombstone. All arguments but the last have one length.
        keys: their keys, kept for the rejects.
        partitions: where they come from.
        offsets: where they come from.
        kafka_ms: their Kafka timestamps, ms since 1970 UTC; -1 is none, then age is not judged.
        limits: how far event time may lie from the Kafka timestamp.
    """
    rows, readings = _decode_orderly(values, kafka_ms, limits)
    examined = np.ones(len(values), np.bool_)
    examined[rows] = False
    rejects: list[Reject] = []
    others: list[dict[str, Any]] = []
    other_rows: list[int] = []
    for row in map(int, np.flatnonzero(examined)):
        found = examine(values[row], int(kafka_ms[row]), limits)
        if isinstance(found, Fault):
            place = int(partitions[row]), int(offsets[row])
            said, at_ms = (keys[row], values[row]), int(kafka_ms[row])
            rejects.append(Reject(*place, *said, found.reason, found.detail, at_ms))
        else:
            others.append(found)
            other_rows.append(row)
    if others:
        readings = pl.concat([readings, pl.DataFrame(others, schema=_SAID)])
        rows = np.concatenate([rows, np.array(other_rows)])
        order = np.argsort(rows)
        rows, readings = rows[order], readings[order]
    readings = readings.with_columns(
        pl.Series("partition", partitions[rows], dtype=pl.Int32),
        pl.Series("offset", offsets[rows], dtype=pl.Int64),
        pl.Series("kafka_ms", kafka_ms[rows], dtype=pl.Int64),
    )
    return Decoded(readings.select(list(READING_SCHEMA)), rejects)


def _decode_orderly(
    values: Sequence[bytes | None], kafka_ms: npt.NDArray[np.int64], limits: AgeLimits
) -> tuple[Rows, pl.DataFrame]:
    """The messages that are plainly in order: which they are, and what they say."""
    chunks = [_decode_chunk(values[at : at + CHUNK], at) for at in range(0, len(values), CHUNK)]
    if not chunks:
        return np.empty(0, np.int64), pl.DataFrame(schema=_SAID)
    rows = np.concatenate([one for one, _ in chunks])
    said = pl.concat([one for _, one in chunks])
    zero = pl.col(NUMBERS) == 0.0  # -0 too, which becomes 0; polars leaves out `+ 0.0`
    said = said.with_columns(pl.when(zero).then(0.0).otherwise(pl.col(NUMBERS)).name.keep())
    said = said.with_columns(parse_timestamps(said["timestamp"]).alias("time_ms"))
    orderly = said.select(_in_range() & _in_time(kafka_ms[rows], limits)).to_series()
    for name in TEXTS:
        wrong = _wrong_texts(said[name])
        if len(wrong):
            orderly &= ~said[name].is_in(wrong.implode()).fill_null(value=False)
    orderly = orderly.fill_null(value=False)
    if not orderly.all():
        rows, said = rows[orderly.to_numpy()], said.filter(orderly)
    return rows, said.select(list(_SAID))


def _decode_chunk(values: Sequence[bytes | None], first: int) -> tuple[Rows, pl.DataFrame]:
    """What the strict decoder takes: the rows, counted from `first`, and their columns."""
    found = _decode_each(values)
    taken = [row for row, one in enumerate(found) if one is not None]
    taken = _without_doubtful(taken, values)
    messages = found if len(taken) == len(found) else [found[row] for row in taken]
    columns = [
        pl.Series(name, list(map(_GETTERS[name], messages)), dtype=kind)
        for name, kind in _COLUMNS.items()
    ]
    raw = [None if one is ABSENT else bytes(one) for one in map(_METADATA, messages)]
    metadata = pl.Series("metadata", raw, dtype=pl.Binary).cast(pl.String)
    columns.append(metadata.set(metadata == "null", None))
    return np.array(taken, np.int64) + first, pl.DataFrame(columns)


def _decode_each(values: Sequence[bytes | None]) -> list[Message | None]:
    """Each message by the strict decoder; None where it refuses."""
    found: list[Message | None] = []
    rest = iter(values)
    while len(found) < len(values):
        try:
            found.extend(map(_DECODE, rest))  # type: ignore[arg-type] # None is a TypeError
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
            found.append(None)  # what came before it was added; go on behind it
    return found


def _without_doubtful(rows: list[int], values: Sequence[bytes | None]) -> list[int]:
    """The rows without those that the strict decoder does not look at closely enough.

    Their length, the bytes of texts that it skips, and their depth. One look at all of them
    together is enough while each has the one bracket that every message has.
    """
    decoded = [value for row in rows if (value := values[row]) is not None]
    whole = b"\n".join(decoded)  # the newlines keep halves of characters apart
    brackets = np.count_nonzero(np.frombuffer(whole, np.uint8) == ord("{"))
    flat = brackets == len(rows) and b"[" not in whole
    if flat and max(map(len, decoded), default=0) <= MAX_BYTES and _is_utf8(whole):
        return rows
    return [row for row, value in zip(rows, decoded, strict=True) if _is_sure(value)]


def _is_sure(value: bytes) -> bool:
    shallow = value.count(b"{") + value.count(b"[") <= MAX_DEPTH
    return shallow and len(value) <= MAX_BYTES and _is_utf8(value)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _in_range() -> pl.Expr:
    """Numbers that are there lie in their ranges, a signal is there, metadata is an object."""
    ranges = [
        pl.col(name).is_between(one.low, one.high).fill_null(value=True)
        for name, one in PHYSICAL_RANGES.items()
    ]
    measured = pl.any_horizontal(pl.col(name).is_not_null() for name in SIGNALS)
    metadata = pl.col("metadata").str.starts_with("{").fill_null(value=True)
    return pl.all_horizontal(*ranges, measured, metadata)


def _in_time(kafka_ms: npt.NDArray[np.int64], limits: AgeLimits) -> pl.Expr:
    kafka = pl.lit(pl.Series(kafka_ms))
    age_ms = kafka - pl.col("time_ms")
    timely = age_ms.is_between(-limits.max_ahead_ms, limits.max_age_ms)
    return pl.col("time_ms").is_not_null() & (timely | (kafka == NO_KAFKA_TIME))


def _wrong_texts(texts: pl.Series) -> pl.Series:
    """The different texts of a column that a field may not hold."""
    different = texts.drop_nulls().unique()
    wrong = (different.str.len_chars() > MAX_TEXT) | different.str.contains(CONTROL)
    if texts.name == "pet_id":
        wrong |= ~different.str.contains(r"\S")
    return different.filter(wrong)
