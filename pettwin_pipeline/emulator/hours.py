"""An hour of one metric: its points in flat arrays, the same rolled up to 300 s, and their bytes.

What is kept together is read together: a query asks for all series of a metric. Pure: bytes and
arrays in, arrays and bytes out. A packed hour is zstandard over msgpack of columns; numbers have
their bytes transposed, so that what is alike in them lies side by side.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from pettwin_pipeline.datadog_protocol.rolling import Floats
from pettwin_pipeline.datadog_protocol.sketches import decode_sketch, encode_sketch, merged

HOUR_S: Final = 3600
SLOT_S: Final = 300
"""Of what is rolled up beforehand: a day's query asks for buckets of this length."""
SLOTS: Final = HOUR_S // SLOT_S
_LEVEL: Final = 3

Keys: TypeAlias = npt.NDArray[np.uint32]
Places: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Points of an hour, by series and then by time; one a second at most.

    Args:
        keys: of the series, ascending.
        rows: of each point, which of the keys it belongs to.
        offsets: of each point, seconds since the hour began.
        values: of each point.
    """

    keys: Keys
    rows: Places
    offsets: Places
    values: Floats

    @property
    def bytes(self) -> int:
        """In memory."""
        return 4 * len(self.keys) + 16 * len(self.values)


@dataclass(frozen=True, slots=True)
class Slots:
    """An hour in slots of 300 s, those that have points, by series and then by time.

    Args:
        keys: of the series, ascending.
        rows: of each slot, which of the keys it belongs to.
        offsets: of each slot, seconds since the hour began.
        figures: [count, total, low, high, last][slot].
    """

    keys: Keys
    rows: Places
    offsets: Places
    figures: Floats

    @property
    def bytes(self) -> int:
        """In memory."""
        return 4 * len(self.keys) + 8 * len(self.rows) + 8 * self.figures.size


Sketches: TypeAlias = dict[int, list[tuple[int, bytes]]]
"""By series: (seconds since the hour began, encoded sketch), by time."""


def gathered(parts: list[tuple[int, Places, Floats]]) -> Numbers:
    """Numbers of (key, offsets, values) of several series, whose keys ascend."""
    counts = np.array([len(offsets) for _, offsets, _ in parts], dtype=np.int64)
    return Numbers(
        np.array([key for key, _, _ in parts], dtype=np.uint32),
        np.repeat(np.arange(len(parts), dtype=np.int32), counts),
        np.concatenate([offsets for _, offsets, _ in parts]) if parts else np.empty(0, np.int32),
        np.concatenate([values for _, _, values in parts]) if parts else np.empty(0),
    )


def overlaid(older: Numbers, newer: Numbers) -> Numbers:
    """Both together; of a series and second that both have, the newer holds."""
    keys = np.union1d(older.keys, newer.keys).astype(np.uint32)
    rows = np.concatenate(
        [np.searchsorted(keys, one.keys)[one.rows] for one in (older, newer)]
    ).astype(np.int64)
    offsets = np.concatenate([older.offsets, newer.offsets])
    values = np.concatenate([older.values, newer.values])
    place = rows * HOUR_S + offsets
    order = np.argsort(place, kind="stable")
    place = place[order]
    last = np.append(place[1:] != place[:-1], True)[: len(place)]
    kept = order[last]
    return Numbers(keys, rows[kept].astype(np.int32), offsets[kept], values[kept])


def slots_of(numbers: Numbers) -> Slots:
    """Rolled up to 300 s."""
    place = numbers.rows.astype(np.int64) * SLOTS + numbers.offsets // SLOT_S
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    ends = np.append(starts[1:], len(place))[: len(starts)]
    values = numbers.values
    figures = np.empty((5, len(starts)))
    if len(starts):
        figures[0] = ends - starts
        with np.errstate(over="ignore"):
            figures[1] = np.add.reduceat(values, starts)
        figures[2] = np.minimum.reduceat(values, starts)
        figures[3] = np.maximum.reduceat(values, starts)
        figures[4] = values[ends - 1]
    rows, slots = np.divmod(place[starts], SLOTS)
    offsets = (slots * SLOT_S).astype(np.int32)
    return Slots(numbers.keys, rows.astype(np.int32), offsets, figures)


def sketch_slots(sketches: Sketches) -> Sketches:
    """Sketches of 10 s merged to 300 s."""
    found: Sketches = {}
    for key, kept in sketches.items():
        by_slot: dict[int, list[bytes]] = {}
        for offset, encoded in kept:
            by_slot.setdefault(offset // SLOT_S * SLOT_S, []).append(encoded)
        found[key] = [
            (offset, some[0] if len(some) == 1 else encode_sketch(merged(map(decode_sketch, some))))
            for offset, some in sorted(by_slot.items())
        ]
    return found


def pack_numbers(numbers: Numbers) -> bytes:
    """For the file."""
    counts = np.bincount(numbers.rows, minlength=len(numbers.keys)).astype("<u2")
    return _packed(
        numbers.keys.astype("<u4").tobytes(),
        counts.tobytes(),
        numbers.offsets.astype("<u2").tobytes(),
        _transposed(numbers.values),
    )


def unpack_numbers(packed: bytes) -> Numbers:
    """The way back."""
    keys, counts, offsets, values = _unpacked(packed)
    return Numbers(
        *_series(keys, counts),
        np.frombuffer(offsets, "<u2").astype(np.int32),
        _restored(values),
    )


def pack_slots(slots: Slots) -> bytes:
    """For the file."""
    counts = np.bincount(slots.rows, minlength=len(slots.keys)).astype("<u2")
    return _packed(
        slots.keys.astype("<u4").tobytes(),
        counts.tobytes(),
        (slots.offsets // SLOT_S).astype("u1").tobytes(),
        _transposed(slots.figures.ravel()),
    )


def unpack_slots(packed: bytes) -> Slots:
    """The way back."""
    keys, counts, offsets, figures = _unpacked(packed)
    return Slots(
        *_series(keys, counts),
        np.frombuffer(offsets, "u1").astype(np.int32) * SLOT_S,
        _restored(figures).reshape(5, -1),
    )


def pack_sketches(sketches: Sketches) -> bytes:
    """For the file."""
    return _packed(sketches)


def unpack_sketches(packed: bytes) -> Sketches:
    """The way back."""
    (told,) = _unpacked(packed)
    return {key: [(offset, encoded) for offset, encoded in kept] for key, kept in told.items()}


def _packed(*columns: Any) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL).compress(msgspec.msgpack.encode(columns))


def _unpacked(packed: bytes) -> Any:
    plain = zstandard.ZstdDecompressor().decompress(packed)
    return msgspec.msgpack.decode(plain, strict=False)


def _series(keys: bytes, counts: bytes) -> tuple[Keys, Places]:
    known = np.frombuffer(keys, "<u4").astype(np.uint32)
    rows = np.repeat(np.arange(len(known), dtype=np.int32), np.frombuffer(counts, "<u2"))
    return known, rows


def _transposed(values: Floats) -> bytes:
    return values.astype("<f8").view("u1").reshape(-1, 8).T.tobytes()


def _restored(raw: bytes) -> Floats:
    columns = np.frombuffer(raw, "u1").reshape(8, -1)
    return np.ascontiguousarray(columns.T).view("<f8").ravel().astype(np.float64, copy=False)
