"""Points that are not in a block yet: by series, in the order of time, one a second at most.

A second point of the same series and second takes the place of the first; a sketch is added to it.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

import numpy as np

from pettwin_pipeline.datadog_protocol.rolling import Floats, Times
from pettwin_pipeline.datadog_protocol.sketches import decode_sketch, encode_sketch, merged

HOUR_S: Final = 3600


class RecentNumbers:
    """Numbers of one series."""

    __slots__ = ("times", "values")

    def __init__(self) -> None:
        self.times = array("q")
        self.values = array("d")

    def put(self, at_s: int, value: float) -> None:
        """Keep one."""
        times = self.times
        if not times or at_s > times[-1]:
            times.append(at_s)
            self.values.append(value)
            return
        place = bisect_left(times, at_s)
        if times[place] == at_s:
            self.values[place] = value
        else:
            times.insert(place, at_s)
            self.values.insert(place, value)

    def inside(self, from_s: int, to_s: int) -> tuple[Times, Floats]:
        """Those from a second on and before another, as arrays of their own."""
        first, last = bisect_left(self.times, from_s), bisect_left(self.times, to_s)
        return (
            np.array(self.times[first:last], dtype=np.int64),
            np.array(self.values[first:last], dtype=np.float64),
        )

    def drop(self, from_s: int, to_s: int) -> bool:
        """Let go of those; whether any are left."""
        first, last = bisect_left(self.times, from_s), bisect_left(self.times, to_s)
        del self.times[first:last]
        del self.values[first:last]
        return bool(self.times)


class RecentSketches:
    """Sketches of one series, encoded."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: dict[int, bytes] = {}

    def put(self, at_s: int, encoded: bytes) -> None:
        """Keep one, together with the one that is there."""
        before = self.kept.get(at_s)
        if before is not None:
            encoded = added(before, encoded)
        self.kept[at_s] = encoded

    def inside(self, from_s: int, to_s: int) -> list[tuple[int, bytes]]:
        """Those from a second on and before another, by time."""
        return sorted((at_s, one) for at_s, one in self.kept.items() if from_s <= at_s < to_s)

    def drop(self, from_s: int, to_s: int) -> bool:
        """Let go of those; whether any are left."""
        self.kept = {at_s: one for at_s, one in self.kept.items() if not from_s <= at_s < to_s}
        return bool(self.kept)


def added(one: bytes, other: bytes) -> bytes:
    """Two encoded sketches as one."""
    return encode_sketch(merged([decode_sketch(one), decode_sketch(other)]))


def hours_of(times: Iterable[int]) -> set[int]:
    """The hours, as numbers since 1970, in which the times lie."""
    return {at_s // HOUR_S for at_s in times}
