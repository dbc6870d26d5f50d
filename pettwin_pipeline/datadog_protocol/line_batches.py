"""Many DogStatsD lines at once: what `parse_line` says of each, at a fraction of its time.

Most lines repeat the name, type and tags of lines before. What surrounds the value is read once
and remembered; values of one series are turned into numbers together. Whatever is not plain goes
through `parse_line`, so that both ways give the same; only the order between series is lost.
"""

import math
from typing import Final

from pettwin_pipeline.datadog_protocol.datagram import (
    Item,
    Sample,
    SampleType,
    parse_line,
)

_PLAIN: Final = b"0123456789.+-eE:"
_MOST_KNOWN: Final = 50_000
"""Surroundings that are remembered; then it begins anew."""


class _Pending:
    """The values of one series that came in this batch."""

    __slots__ = ("lines", "name", "rate", "tags", "type", "values")

    def __init__(self, sample: Sample) -> None:
        self.name = sample.name
        self.type: SampleType = sample.type
        self.tags = sample.tags
        self.rate = sample.rate
        self.values: list[bytes] = []
        self.lines: list[bytes] = []


class LineReader:
    """Reads batches of lines; remembers what it has seen."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], _Pending] = {}
        self._pending: dict[tuple[str, SampleType, tuple[str, ...], float], _Pending] = {}

    def read(self, batch: bytes) -> tuple[int, list[Item]]:
        """How many lines there were, and what they say: one sample for each series and rate.

        Args:
            batch: datagrams with a line feed between.
        """
        known = self._known
        touched: list[_Pending] = []
        items: list[Item] = []
        lines = 0
        for line in batch.split(b"\n"):
            if not line:
                continue
            lines += 1
            name, _, rest = line.partition(b":")
            value, _, surroundings = rest.partition(b"|")
            pending = known.get((name, surroundings))
            if pending is None:
                line = line.removesuffix(b"\r")  # noqa: PLW2901 - as parse_datagram does
                if not line:
                    lines -= 1
                    continue
                item = parse_line(line)
                items.append(item)
                self._remember(name, surroundings, item)
                continue
            if not pending.values:
                touched.append(pending)
            pending.values.append(value)
        for one in touched:
            self._settle(one, items)
        return lines, items

    def _remember(self, name: bytes, surroundings: bytes, item: Item) -> None:
        if not isinstance(item, Sample) or item.timestamp_s is not None:
            return
        if surroundings.endswith(b"\r"):
            return
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
            self._pending.clear()
        # a gauge is its last value, whatever its rate: all of them in one list keep their order
        rate = 1.0 if item.type == "gauge" else item.rate
        series = (item.name, item.type, item.tags, rate)
        pending = self._pending.get(series)
        if pending is None:
            pending = self._pending[series] = _Pending(item)
        self._known[name, surroundings] = pending

    def _settle(self, pending: _Pending, items: list[Item]) -> None:
        values, pending.values = pending.values, []
        joined = b":".join(values)
        numbers = _numbers(joined)
        if numbers is not None:
            items.append(Sample(pending.name, pending.type, numbers, pending.tags, pending.rate))
            return
        head = f"{pending.name}:".encode()
        tail = _tail(pending)
        items += [parse_line(head + value + tail) for value in values]


def _numbers(joined: bytes) -> tuple[float, ...] | None:
    """Values with colons between as numbers; None where one of them is not plain."""
    if joined.translate(None, _PLAIN):
        return None
    try:
        numbers = tuple(map(float, joined.split(b":")))
    except ValueError:
        return None
    return numbers if math.isfinite(sum(numbers)) else None


_LETTERS: Final[dict[SampleType, bytes]] = {
    "gauge": b"g",
    "count": b"c",
    "histogram": b"h",
    "timing": b"ms",
    "distribution": b"d",
}


def _tail(pending: _Pending) -> bytes:
    """What surrounds a value, written anew: what `parse_line` reads of it is the same."""
    tags = f"|#{','.join(pending.tags)}".encode() if pending.tags else b""
    return b"|" + _LETTERS[pending.type] + f"|@{pending.rate!r}".encode() + tags
