"""What a metric is: its name, type, unit, tags and the bounded set of values of each tag.

The words of the catalogue; `definitions` holds its entries, `points` the values that are measured.
Knows no transport. A value is frozen and checked when built: an unbounded tag cannot be declared.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Final, Literal

Kind = Literal["count", "gauge", "distribution"]
Together = Literal["sum", "max", "mean"]

OTHER: Final = "other"
"""The value of a tag that stands for all values beyond its set."""

CONSTANT_TAGS: Final = ("env", "service", "version", "host")
"""Tags that a transport adds to every point: no metric may declare them."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_NOT_IN_A_TAG: Final = re.compile(r"[^\w\-:/.]")
_LONGEST_NAME: Final = 200
_LONGEST_VALUE: Final = 150


def tag_value(text: str) -> str:
    """`text` as Datadog stores a tag value: lower case, `_` for what is not allowed, cut in length.

    Letters, digits and `_ - : / .` are allowed. An empty text becomes `other`.
    """
    return _NOT_IN_A_TAG.sub("_", text.strip().lower())[:_LONGEST_VALUE] or OTHER


@dataclass(frozen=True, slots=True)
class OneOf:
    """A closed set of values. Any other value is an error, or `other` where `folds`."""

    values: tuple[str, ...]
    folds: bool = False
    optional: bool = False
    """The tag may be left out, as error.type is where nothing failed."""
    follows: str | None = None
    """Another tag of the same metric that decides this one: a pet has one species."""

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise ValueError(f"a closed set of values without repeats, not {self.values}")
        if wrong := [value for value in self.values if value != tag_value(value)]:
            raise ValueError(f"not the way Datadog writes tag values: {wrong}")

    def holds(self, value: str) -> bool:
        """Whether a point may carry `value`."""
        return value in self.values or (self.folds and value == OTHER)

    @property
    def named(self) -> int:
        """How many values there are, `other` aside; a tag that is left out counts as one."""
        return len(self.values) + self.optional

    @property
    def beyond(self) -> int:
        """1 where `other` is one more."""
        return int(self.folds and OTHER not in self.values)

    def describe(self) -> str:
        """The set, for people."""
        return ", ".join((*self.values, OTHER) if self.beyond else self.values)


@dataclass(frozen=True, slots=True)
class AtMost:
    """Values that are not known here, at most `limit` of them; what comes beyond is `other`.

    `source` says where they come from, for people. `other` counts as one more, whatever the source:
    nobody keeps a definition or a setting from growing.
    """

    limit: int
    source: Literal["settings", "definitions", "data"]
    optional: bool = False
    follows: str | None = None

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"at least one value, not {self.limit}")

    def holds(self, value: str) -> bool:
        """Whether `value` is written as Datadog stores it; the recorder counts the distinct."""
        return value == tag_value(value)

    @property
    def named(self) -> int:
        """How many values there are, `other` aside; a tag that is left out counts as one."""
        return self.limit + self.optional

    @property
    def beyond(self) -> int:
        """`other` is one more."""
        return 1

    def describe(self) -> str:
        """The set, for people."""
        plural = "" if self.limit == 1 else "s"
        return f"at most {self.limit} value{plural} from the {self.source}, then {OTHER}"


TagValues = OneOf | AtMost


@dataclass(frozen=True, slots=True)
class Metric:
    """One entry of the catalogue.

    Attributes:
        name: as it is queried, without a namespace.
        kind: events are counts, states are gauges, latencies and readings are distributions.
        unit: in Datadog's words, singular; empty where there is none.
        tags: the set of values of each tag.
        meaning: one line, for whoever queries it.
        percentiles: whether p50..p99 are to be enabled; only a distribution has them.
        together: what a gauge says of all those that share `other`: the lag of partitions adds up,
            of ages the highest counts. Counts add up and distributions join by nature.
    """

    name: str
    kind: Kind
    unit: str
    tags: Mapping[str, TagValues]
    meaning: str
    percentiles: bool = False
    together: Together = "max"

    def __post_init__(self) -> None:
        for text in (self.name, *self.tags):
            if not _NAME.fullmatch(text) or len(text) > _LONGEST_NAME:
                raise ValueError(f"{self.name}: {text!r} is not a name that Datadog keeps as it is")
        if reserved := set(self.tags) & set(CONSTANT_TAGS):
            raise ValueError(f"{self.name}: {sorted(reserved)} are added by the transport")
        if self.percentiles and self.kind != "distribution":
            raise ValueError(f"{self.name}: a {self.kind} has no percentiles")
        for key, values in self.tags.items():
            parent = self.tags.get(values.follows) if values.follows else None
            if values.follows and (parent is None or parent.follows):
                raise ValueError(f"{self.name}: {key} follows {values.follows}, which does not do")
        object.__setattr__(self, "tags", MappingProxyType(dict(self.tags)))


def series_of(metric: Metric) -> int:
    """The most series of a metric: the product of the sizes of its sets of values.

    A tag that follows another adds nothing, but for the other's `other`: the pets that are folded
    into pet_id:other may be of every species.
    """
    total = 1
    for key, values in metric.tags.items():
        if values.follows:
            continue
        followers = [tag for tag in metric.tags.values() if tag.follows == key]
        total *= values.named + values.beyond * prod(tag.named + tag.beyond for tag in followers)
    return total


def estimate_series(metrics: Iterable[Metric]) -> int:
    """The most series of all `metrics`, for one host and one env, service and version."""
    return sum(series_of(metric) for metric in metrics)
