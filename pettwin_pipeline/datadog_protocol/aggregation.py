"""What the Agent does with samples: ten seconds of a series become one point.

A bucket carries its start. Gauge: the last value. Count: the sum, stored per second (15 in ten
seconds is 1.5), and 0 for 300 s after the last one. Set: how many different ones. Histogram and
timing: five series `.avg .count .median .95percentile .max`. Distribution: a sketch. A gauge or a
count with a timestamp of its own is not aggregated. Knows no clock: the caller says the time.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from pettwin_pipeline.datadog_protocol.datagram import Sample, SetSample
from pettwin_pipeline.datadog_protocol.payloads import SentPoints
from pettwin_pipeline.datadog_protocol.sketches import Sketch, SketchBuilder, exact_sum

Series: TypeAlias = tuple[str, tuple[str, ...]]
"""Name and tags."""
StoredType: TypeAlias = Literal["gauge", "rate", "count", "distribution"]

FLUSH_S: Final = 10
COUNTER_EXPIRY_S: Final = 300
_MEDIAN: Final = 50
_HIGH: Final = 95
_HEAVIEST: Final = 10**15


class StoredPoint(msgspec.Struct, frozen=True):
    """A point as it is kept.

    Args:
        name: of the metric.
        tags: sorted.
        type: a count of DogStatsD is a rate here, one of HTTP a count.
        start_s: unix time where its stretch begins.
        value: a number, or the sketch of a distribution.
        interval_s: how long the stretch is; None where nobody said.
    """

    name: str
    tags: tuple[str, ...]
    type: StoredType
    start_s: int
    value: float | Sketch
    interval_s: int | None = FLUSH_S


class _Bucket:
    """What came within ten seconds, by series."""

    def __init__(self) -> None:
        self.gauges: dict[Series, float] = {}
        self.counts: dict[Series, float] = {}
        self.sets: dict[Series, set[str]] = {}
        self.histograms: dict[Series, list[tuple[float, float]]] = {}
        self.distributions: dict[Series, SketchBuilder] = {}


class Aggregator:
    """Takes samples, gives points once their ten seconds are over."""

    def __init__(self) -> None:
        self._buckets: dict[int, _Bucket] = {}
        self._timed: list[StoredPoint] = []
        self._last_counted: dict[Series, int] = {}
        self._flushed_to: int | None = None

    def add(self, sample: Sample | SetSample, now_s: float) -> None:
        """A sample that came now. One that comes into a flushed bucket belongs to the open one."""
        start = int(now_s // FLUSH_S) * FLUSH_S
        if self._flushed_to is not None and start < self._flushed_to:
            start = self._flushed_to
        bucket = self._buckets.get(start)
        if bucket is None:
            bucket = self._buckets[start] = _Bucket()
        series = (sample.name, sample.tags)
        if isinstance(sample, SetSample):
            bucket.sets.setdefault(series, set()).add(sample.member)
        elif sample.timestamp_s is not None:
            self._timed += _timed(sample, sample.timestamp_s)
        else:
            _add(bucket, series, sample)

    def flush(self, now_s: float) -> list[StoredPoint]:
        """The points of every bucket that is over, by time, name and tags; each is given once."""
        open_from = int(now_s // FLUSH_S) * FLUSH_S
        timed, self._timed = self._timed, []
        points = sorted(timed, key=_place)
        for start in self._starts_until(open_from):
            bucket = self._buckets.pop(start, None) or _Bucket()
            points += sorted(self._points(start, bucket), key=_place)
        self._flushed_to = max(open_from, self._flushed_to or open_from)
        return points

    def forget(self, series: Iterable[Series]) -> None:
        """Report no zeros of these counters any more: nobody keeps them."""
        for one in series:
            self._last_counted.pop(one, None)

    def _starts_until(self, open_from: int) -> list[int]:
        """Buckets that are over; silent ones too, as long as counters report zeros."""
        starts = {start for start in self._buckets if start < open_from}
        first = min([*starts, *([] if self._flushed_to is None else [self._flushed_to])], default=0)
        if self._last_counted or starts:
            last_needed = max([*starts, *self._last_counted.values()], default=0) + COUNTER_EXPIRY_S
            starts |= set(range(first, min(open_from, last_needed + 1), FLUSH_S))
        return sorted(starts)

    def _points(self, start: int, bucket: _Bucket) -> Iterator[StoredPoint]:
        for (name, tags), value in bucket.gauges.items():
            yield StoredPoint(name, tags, "gauge", start, value)
        for (name, tags), members in bucket.sets.items():
            yield StoredPoint(name, tags, "gauge", start, float(len(members)))
        for (name, tags), value in self._counts(start, bucket):
            yield StoredPoint(name, tags, "rate", start, value / FLUSH_S)
        for (name, tags), weighed in bucket.histograms.items():
            yield from _histogram(name, tags, start, weighed)
        for (name, tags), builder in bucket.distributions.items():
            yield StoredPoint(name, tags, "distribution", start, builder.build())

    def _counts(self, start: int, bucket: _Bucket) -> list[tuple[Series, float]]:
        for series in bucket.counts:
            self._last_counted[series] = start
        silent = {
            series: last
            for series, last in self._last_counted.items()
            if start - last > COUNTER_EXPIRY_S
        }
        for series in silent:
            del self._last_counted[series]
        return [(series, bucket.counts.get(series, 0.0)) for series in self._last_counted]


def sketch_points(sent: Iterable[SentPoints]) -> list[StoredPoint]:
    """Distribution points of HTTP as sketches of ten seconds, by their own times."""
    builders: dict[tuple[str, tuple[str, ...], int], SketchBuilder] = {}
    for one in sent:
        for when, value in one.points:
            place = (one.name, one.tags, when // FLUSH_S * FLUSH_S)
            builders.setdefault(place, SketchBuilder()).add(value)
    return [
        StoredPoint(name, tags, "distribution", start, builder.build())
        for (name, tags, start), builder in sorted(builders.items())
    ]


def sent_points(sent: Iterable[SentPoints]) -> Iterator[StoredPoint]:
    """Points of HTTP as they are kept: as they were sent, those of distributions as sketches."""
    sketched: list[SentPoints] = []
    for one in sent:
        if one.type == "distribution":
            sketched.append(one)
            continue
        for when, value in one.points:
            yield StoredPoint(one.name, one.tags, one.type, when, value, one.interval_s)
    yield from sketch_points(sketched)


def _add(bucket: _Bucket, series: Series, sample: Sample) -> None:
    match sample.type:
        case "count":
            total = sum(sample.values) if len(sample.values) > 1 else sample.values[0]
            bucket.counts[series] = bucket.counts.get(series, 0.0) + total / sample.rate
        case "gauge":
            bucket.gauges[series] = sample.values[-1]
        case "distribution":
            builder = bucket.distributions.get(series)
            if builder is None:
                builder = bucket.distributions[series] = SketchBuilder()
            weight = _weight(sample.rate)
            for value in sample.values:
                builder.add(value, weight)
        case _:
            weight = _weight(sample.rate)
            weighed = bucket.histograms.setdefault(series, [])
            weighed += [(value, weight) for value in sample.values]


def _weight(rate: float) -> float:
    """How many values one that was sampled stands for; a whole number that can be added up."""
    return float(min(int(1 / rate), _HEAVIEST))


def _timed(sample: Sample, timestamp_s: int) -> Iterator[StoredPoint]:
    if sample.type == "count":
        per_second = exact_sum(sample.values) / sample.rate / FLUSH_S
        yield StoredPoint(sample.name, sample.tags, "rate", timestamp_s, per_second)
    else:
        last = sample.values[-1]
        yield StoredPoint(sample.name, sample.tags, "gauge", timestamp_s, last, None)


def _histogram(
    name: str, tags: tuple[str, ...], start: int, weighed: list[tuple[float, float]]
) -> Iterator[StoredPoint]:
    ordered = sorted(weighed)
    count = exact_sum(weight for _, weight in ordered)
    total = exact_sum(value * weight for value, weight in ordered)
    for ending, value in (
        ("avg", total / count),
        ("median", _ranked(ordered, count, _MEDIAN)),
        ("95percentile", _ranked(ordered, count, _HIGH)),
        ("max", ordered[-1][0]),
    ):
        yield StoredPoint(f"{name}.{ending}", tags, "gauge", start, value)
    yield StoredPoint(f"{name}.count", tags, "rate", start, count / FLUSH_S)


def _ranked(ordered: list[tuple[float, float]], count: float, percent: int) -> float:
    """The value of that rank, no mean of two: the Agent's median of 1, 2, 3, 4 is 2."""
    target = (percent * int(count) - 1) // 100
    seen = 0.0
    for value, weight in ordered:
        seen += weight
        if seen > target:
            return value
    return ordered[-1][0]


def _place(point: StoredPoint) -> tuple[int, str, tuple[str, ...]]:
    return point.start_s, point.name, point.tags
