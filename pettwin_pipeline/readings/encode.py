"""Readings to messages: the way back of `decode`."""

from typing import Any, Final

import msgspec
import polars as pl

from pettwin_pipeline.readings.message import ABSENT, NUMBERS, TEXTS, Message
from pettwin_pipeline.readings.schema import SCHEMA_VERSION

CHUNK: Final = 2048  # readings whose messages are built at once: they stay in the cache
_TIMESTAMP: Final = "%Y-%m-%dT%H:%M:%S%.3fZ"


def encode_readings(readings: pl.DataFrame) -> list[bytes]:
    """A JSON message of each reading, in the same order: what `decode_batch` takes.

    Args:
        readings: frame with pet_id, time_ms and any of the other columns of READING_SCHEMA.
            Where a message came from (partition, offset, kafka_ms) is not part of it. A null is
            left out, and so is a NaN.
    """
    time = pl.from_epoch("time_ms", time_unit="ms").dt.strftime(_TIMESTAMP).alias("timestamp")
    columns = [pl.col(name) for name in (*TEXTS, *NUMBERS, "metadata") if name in readings.columns]
    sent = readings.select(time, *columns)
    encoder = msgspec.json.Encoder()
    messages: list[bytes] = []
    for chunk in sent.iter_slices(CHUNK):
        fields = {
            name: chunk[name].to_list()
            for name in Message.__struct_fields__
            if name in sent.columns
        }
        messages += map(encoder.encode, _build(fields, len(chunk)))
    return messages


def _build(fields: dict[str, list[Any]], readings: int) -> list[Message]:
    """The messages of readings that are given by columns."""
    names = Message.__struct_fields__
    nothing = [None] * readings
    columns = [fields.get(name, nothing) for name in names]
    columns[names.index("schema_version")] = [SCHEMA_VERSION] * readings
    columns[names.index("metadata")] = [
        ABSENT if text is None else msgspec.Raw(text.encode())
        for text in fields.get("metadata", nothing)
    ]
    return list(map(Message, *columns))
