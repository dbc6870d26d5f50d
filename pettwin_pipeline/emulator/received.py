"""What DogStatsD brings: lines to samples, samples to points of ten seconds; and what was not read.

Knows no sockets and no stores. Safe to use from several threads. The clock may jump: forward, and
what was open is over; back, and what was open is closed first.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from pettwin_pipeline.datadog_protocol.aggregation import FLUSH_S, Aggregator, StoredPoint
from pettwin_pipeline.datadog_protocol.datagram import (
    Event,
    Reject,
    Sample,
    ServiceCheck,
    SetSample,
)
from pettwin_pipeline.datadog_protocol.identifiers import CLIENT_TELEMETRY
from pettwin_pipeline.datadog_protocol.line_batches import LineReader
from pettwin_pipeline.datadog_protocol.payloads import (
    MOST_AHEAD_S,
    OLDEST_POINT_S,
    TOO_NEW,
    TOO_OLD,
)

MOST_SHOWN: Final = 200
MOST_SERIES: Final = 100_000
"""Of one bucket."""
TOO_MANY_SERIES: Final = "too many series"
NOT_WRITTEN: Final = "the file could not be written for too long"
MOST_WAITING: Final = 1_000_000
"""Points that wait for the file."""
_SHOWN: Final = 256


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that came and was not stored."""

    at_s: float
    by: str
    """`dogstatsd`, or the path that it was posted to."""
    reason: str
    what: str
    """Its beginning."""


class Received:
    """Counters, the newest of what was not read, and the open bucket."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.settling = threading.Lock()
        """Held from when points are taken from here until they are stored: nobody misses them."""
        self.kernel_drops: Callable[[], int | None] = lambda: None
        """Datagrams that the kernel had no room for; set by whoever listens."""
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._reader = LineReader()
            self._aggregator = Aggregator()
            self._series: set[tuple[str, tuple[str, ...]]] = set()
            self._seen_s = self._flushed_s = 0.0
            self._closed: list[StoredPoint] = []
            self._newest: deque[Unread] = deque(maxlen=MOST_SHOWN)
            self._reasons: Counter[str] = Counter()
            self._counts: Counter[str] = Counter()

    def take(self, batch: bytes, now_s: float) -> list[Event | ServiceCheck]:
        """Take datagrams with a line feed between; what is no metric is given back."""
        others: list[Event | ServiceCheck] = []
        with self._lock:
            self._look_at_clock(now_s)
            lines, items = self._reader.read(batch)
            self._counts["lines"] += lines
            for item in items:
                if isinstance(item, Sample | SetSample):
                    self._add(item, now_s)
                elif isinstance(item, Reject):
                    self._note("dogstatsd", item.reason, item.line, now_s)
                else:
                    others.append(item)
            self._counts["events"] += sum(isinstance(one, Event) for one in others)
            self._counts["checks"] += sum(isinstance(one, ServiceCheck) for one in others)
        return others

    def took(self, datagrams: int, lost: int = 0) -> None:
        """Count datagrams once all that they brought is kept.

        Args:
            datagrams: how many they were.
            lost: how many more were thrown away before they could be read.
        """
        with self._lock:
            self._counts.update(datagrams=datagrams, datagrams_thrown_away=lost)

    def _add(self, sample: Sample | SetSample, now_s: float) -> None:
        values = 1 if isinstance(sample, SetSample) else len(sample.values)
        apart = sample.name.startswith(CLIENT_TELEMETRY)
        self._counts["samples_of_the_client" if apart else "samples"] += values
        if isinstance(sample, Sample) and sample.timestamp_s is not None:
            if reason := _out_of_time(sample.timestamp_s, now_s):
                self._note("dogstatsd", reason, sample.name.encode(), now_s)
                return
        elif (series := (sample.name, sample.tags)) not in self._series:
            if len(self._series) >= MOST_SERIES:
                self._note("dogstatsd", TOO_MANY_SERIES, sample.name.encode(), now_s, values)
                return
            self._series.add(series)
        self._aggregator.add(sample, now_s)

    def over(self, now_s: float) -> list[StoredPoint]:
        """The points of buckets that are over; each is given once."""
        with self._lock:
            self._look_at_clock(now_s)
            closed, self._closed = self._closed, []
            if int(now_s // FLUSH_S) > int(self._flushed_s // FLUSH_S):
                self._flushed_s = now_s
                self._series.clear()
                closed += self._aggregator.flush(now_s)
            return closed

    def give_back(self, points: list[StoredPoint], now_s: float) -> None:
        """Points could not be written: they come with the next ones, up to a number of them."""
        with self._lock:
            self._closed += points
            for point in self._closed[: max(len(self._closed) - MOST_WAITING, 0)]:
                self._note("dogstatsd", NOT_WRITTEN, point.name.encode(), now_s)
            self._closed = self._closed[-MOST_WAITING:]

    def forget(self, points: Iterable[StoredPoint]) -> None:
        """Points were refused: their series report nothing any more until a sample comes."""
        with self._lock:
            self._aggregator.forget((one.name, one.tags) for one in points)

    def all(self, now_s: float) -> list[StoredPoint]:
        """The points of the open bucket too: nothing more will come."""
        closed = self.over(now_s)
        with self._lock:
            return closed + self._aggregator.flush(now_s + FLUSH_S)

    def _look_at_clock(self, now_s: float) -> None:
        """Close what is open where the clock was set back: its buckets would wait for long."""
        if now_s < self._seen_s - FLUSH_S:
            self._closed += self._aggregator.flush(self._seen_s + FLUSH_S)
            self._aggregator = Aggregator()
            self._series.clear()
            self._flushed_s = 0.0
        self._seen_s = now_s

    def note(self, by: str, reason: str, what: str, now_s: float, number: int = 1) -> None:
        """Remember what was not stored.

        Args:
            by: the path that it was posted to.
            reason: why.
            what: its name, or its beginning.
            now_s: unix time.
            number: how many of the kind.
        """
        with self._lock:
            self._note(by, reason, what.encode(), now_s, number)

    def _note(self, by: str, reason: str, what: bytes, now_s: float, number: int = 1) -> None:
        self._reasons[reason] += number
        shown = what[:_SHOWN].decode("utf-8", "replace")
        self._newest.append(Unread(now_s, by, str(reason), shown))

    def told(self) -> dict[str, Any]:
        """Counters, reasons, and the newest 200 of what was not stored, newest first."""
        with self._lock:
            return {
                "received": {
                    **{name: self._counts[name] for name in _COUNTED},
                    "datagrams_dropped_by_the_kernel": self.kernel_drops(),
                },
                "not_stored": {str(why): n for why, n in self._reasons.most_common()},
                "newest": [asdict(one) for one in reversed(self._newest)],
            }

    def counted(self, name: str) -> int:
        """One of the counters: `lines`, `datagrams`, `samples` and so on."""
        return self._counts[name]


_COUNTED: Final = (
    "datagrams",
    "datagrams_thrown_away",
    "lines",
    "samples",
    "samples_of_the_client",
    "events",
    "checks",
)


def _out_of_time(at_s: int, now_s: float) -> str | None:
    if at_s > now_s + MOST_AHEAD_S:
        return TOO_NEW
    return TOO_OLD if at_s < now_s - OLDEST_POINT_S else None
