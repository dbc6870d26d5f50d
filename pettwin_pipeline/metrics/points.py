"""Points: what is measured, checked against the catalogue when it is built.

A `Recorder` collects the points of a stage, folds what goes beyond a tag's set, and hands them over
to a transport or, encoded, to the next stage. Knows no transport, clock or environment.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from pettwin_pipeline.errors import UndeclaredPointError, UnknownFormatError
from pettwin_pipeline.metrics.catalogue import (
    OTHER,
    AtMost,
    Kind,
    TagValues,
    Together,
    tag_value,
)
from pettwin_pipeline.metrics.declared import Tags, check_series
from pettwin_pipeline.metrics.definitions import METRICS
from pettwin_pipeline.metrics.tag_sets import WATCHED_PETS
from pettwin_pipeline.metrics.thinning import rate_of, thin

POINTS_FORMAT: Final = 1
_TOGETHER: Final[Mapping[Together, Callable[[Sequence[float]], float]]] = {
    "sum": math.fsum,
    "max": max,
    "mean": lambda values: math.fsum(values) / len(values),
}
_Given = frozenset[tuple[str, str]]
"""The tags of a gauge as recorded, before they were folded."""
_ALONE: Final[_Given] = frozenset()
_NO_TAGS: Final[Mapping[str, str | int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Point:
    """Values of one series at one time.

    Attributes:
        values: one value of a count or gauge, one or more of a distribution; finite.
        tags: (key, value) sorted by key, as the catalogue declares them.
        sample_rate: each value of a distribution stands for 1/sample_rate values.
        timestamp_s: seconds since 1970 UTC; None where the time of sending does.

    Raises:
        UndeclaredPointError: the point is not one that the catalogue allows.
    """

    name: str
    kind: Kind
    values: tuple[float, ...]
    tags: Tags
    sample_rate: float = 1.0
    timestamp_s: int | None = None

    def __post_init__(self) -> None:
        check_series(self.name, self.kind, self.tags)
        if problem := self._problem():
            raise UndeclaredPointError(f"{self.name}: {problem}")

    def _problem(self) -> str | None:
        if not self.values:
            return "a point has at least one value"
        if not all(map(math.isfinite, self.values)):
            return "a value is a finite number"
        if self.kind != "distribution" and (len(self.values) > 1 or self.sample_rate != 1.0):
            return f"a {self.kind} has one value, unsampled, not {len(self.values)}"
        if self.kind == "count" and self.values[0] < 0:
            return f"a count is not negative, not {self.values[0]}"
        if not 0.0 < self.sample_rate <= 1.0:
            return f"a sample rate is above 0 and at most 1, not {self.sample_rate}"
        return None

    @property
    def weight(self) -> int:
        """How many measured values each of `values` stands for."""
        return round(1.0 / self.sample_rate)


class WatchList:
    """The pets that have gauges of their own: the first `limit` by id, the others are `other`."""

    def __init__(self, pet_ids: Iterable[str], limit: int = WATCHED_PETS) -> None:
        listed = sorted(set(pet_ids))
        self.named: frozenset[str] = frozenset(listed[:limit])
        """Pets with a tag value of their own."""
        self.listed: frozenset[str] = frozenset(listed)
        """All pets on the list: the ones to record."""

    @property
    def overflow(self) -> int:
        """How many pets of the list share `other`."""
        return len(self.listed) - len(self.named)

    def tag(self, pet_id: str) -> str:
        """The value of the tag pet_id for this pet."""
        return tag_value(pet_id) if pet_id in self.named else OTHER


class Recorder:
    """Collects points until they are drained. For one thread.

    Counts of a series are summed, of a gauge the last value is kept, distributions are concatenated
    and thinned (`thin`). A value beyond a tag's set is recorded under `other` and counted in
    telemetry.tags.limited; gauges that share `other` are taken together as the metric says. Which
    values an AtMost tag has seen is remembered for the recorder's life, but pet_id is honoured for
    the pets of the watch list alone. Memory grows with the values of distributions until the next
    drain.
    """

    def __init__(self, watch_list: WatchList | None = None) -> None:
        self._watch_list = watch_list or WatchList(())
        self._counts: dict[tuple[str, Tags], float] = {}
        self._gauges: dict[tuple[str, Tags], dict[_Given, float]] = {}
        self._distributions: dict[tuple[str, Tags], list[npt.NDArray[np.float64]]] = {}
        self._seen: dict[tuple[str, str], set[str]] = defaultdict(set)

    def watch(self, watch_list: WatchList) -> None:
        """Honour pet_id for the pets of this list from now on."""
        self._watch_list = watch_list

    def count(
        self,
        name: str,
        n: float = 1,
        *,
        tags: Mapping[str, str | int] = _NO_TAGS,
        **more: str | int,
    ) -> None:
        """Add `n` events; none leave no point, a zero would make a metric exist.

        Tags whose keys are no Python names go into the mapping `tags`.

        Raises:
            UndeclaredPointError: as `Point`; so do the other two.
        """
        series = self._series(name, "count", {**tags, **more})
        if not (math.isfinite(n) and n >= 0):
            raise UndeclaredPointError(f"{name}: a count is finite and not negative, not {n}")
        if n:
            self._counts[series] = self._counts.get(series, 0.0) + n

    def gauge(
        self,
        name: str,
        value: float,
        *,
        tags: Mapping[str, str | int] = _NO_TAGS,
        **more: str | int,
    ) -> None:
        """Keep the last value of a state."""
        given = {**tags, **more}
        series = self._series(name, "gauge", given)
        if not math.isfinite(value):
            raise UndeclaredPointError(f"{name}: a value is a finite number, not {value}")
        shared = OTHER in dict(series[1]).values()
        key = frozenset((key, str(text)) for key, text in given.items()) if shared else _ALONE
        self._gauges.setdefault(series, {})[key] = float(value)

    def distribution(
        self,
        name: str,
        values: Iterable[float] | npt.NDArray[np.float64],
        *,
        tags: Mapping[str, str | int] = _NO_TAGS,
        **more: str | int,
    ) -> None:
        """Add measured values; none at all is fine."""
        series = self._series(name, "distribution", {**tags, **more})
        if not isinstance(values, np.ndarray):
            values = np.fromiter(values, dtype=np.float64)
        if not np.isfinite(values).all():
            raise UndeclaredPointError(f"{name}: a value is a finite number")
        if len(values):
            self._distributions.setdefault(series, []).append(values.astype(np.float64))

    def drain(self) -> list[Point]:
        """All points since the last drain, and forget them."""
        points = [Point(name, "count", (n,), tags) for (name, tags), n in self._counts.items()]
        for (name, tags), states in self._gauges.items():
            value = _TOGETHER[METRICS[name].together](list(states.values()))
            points.append(Point(name, "gauge", (value,), tags))
        for (name, tags), parts in self._distributions.items():
            for weight, values in thin(np.concatenate(parts)):
                kept = tuple(values.tolist())
                points.append(Point(name, "distribution", kept, tags, rate_of(weight)))
        self._counts.clear()
        self._gauges.clear()
        self._distributions.clear()
        return points

    def _series(self, name: str, kind: Kind, given: Mapping[str, str | int]) -> tuple[str, Tags]:
        metric = METRICS.get(name)
        declared = metric.tags if metric else {}
        tags = tuple(
            sorted(
                (key, self._fold(name, key, str(v), declared.get(key))) for key, v in given.items()
            )
        )
        check_series(name, kind, tags)
        return name, tags

    def _fold(self, name: str, key: str, value: str, allowed: TagValues | None) -> str:
        if allowed is None:
            return value
        folded = self._limit(name, key, value, allowed)
        if folded == OTHER != value:
            self.count("telemetry.tags.limited", family=key)
        return folded

    def _limit(self, name: str, key: str, value: str, allowed: TagValues) -> str:
        if not isinstance(allowed, AtMost):
            return OTHER if allowed.folds and value not in allowed.values else value
        if key == "pet_id":
            return self._watch_list.tag(value)
        written = tag_value(value)
        seen = self._seen[name, key]
        if written == OTHER or (written not in seen and len(seen) >= allowed.limit):
            return OTHER
        seen.add(written)
        return written


class _Kept(msgspec.Struct, frozen=True):
    format: int
    points: list[Point]


class _Header(msgspec.Struct, frozen=True):
    format: int


def encode_points(points: Iterable[Point]) -> bytes:
    """Points as JSON, for a file that the next stage reads with `parse_points`."""
    return msgspec.json.encode(_Kept(POINTS_FORMAT, list(points)))


def parse_points(content: bytes) -> list[Point]:
    """The points of `encode_points`, checked again.

    Raises:
        UnknownFormatError: the content is of another release or no points at all.
        UndeclaredPointError: a point that the catalogue no longer declares.
    """
    try:
        found = msgspec.json.decode(content, type=_Header).format
        if found == POINTS_FORMAT:
            return msgspec.json.decode(content, type=_Kept).points
    except msgspec.DecodeError as error:
        raise UnknownFormatError(f"not points: {error}; remove the file") from None
    raise UnknownFormatError(f"points have format {found}, this release knows {POINTS_FORMAT}")
