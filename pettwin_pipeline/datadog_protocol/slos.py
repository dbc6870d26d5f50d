"""Service level objectives: status, error budget, burn rate. Percentages are 0 to 100."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pettwin_pipeline.datadog_protocol.monitor_syntax import Comparison
from pettwin_pipeline.datadog_protocol.rolling import Floats

_WHOLE: Final = 100.0


@dataclass(frozen=True, slots=True)
class Events:
    """What was counted over a window."""

    good: float
    total: float

    @property
    def status(self) -> float | None:
        """Percent of them that were good; None where there were none."""
        return self.good / self.total * _WHOLE if self.total else None

    @property
    def error_rate(self) -> float:
        """The share, 0 to 1, that was not good; 0 where there were none."""
        return 1 - self.good / self.total if self.total else 0.0


def of_good_and_bad(good: float, bad: float) -> Events:
    """For an SLO that counts what went wrong."""
    return Events(good, good + bad)


def slice_uptime(values: Floats, comparison: Comparison) -> Events:
    """Slices [bucket] for which the condition holds; one without data counts as up."""
    up = sum(1 for value in values.tolist() if value != value or comparison.holds(value))  # noqa: PLR0124 - NaN
    return Events(float(up), float(len(values)))


def overall_uptime(groups: Sequence[Sequence[bool]]) -> Events:
    """[group][slice]: a slice is up when all groups are."""
    slices = [all(one) for one in zip(*groups, strict=True)]
    return Events(float(sum(slices)), float(len(slices)))


def budget_left(status: float, target: float) -> float:
    """Percent of the error budget that is left; below zero once it is overdrawn."""
    return _WHOLE * (status - target) / (_WHOLE - target)


def budget_consumed(status: float, target: float) -> float:
    """Percent of the error budget that is gone: what an error budget alert is compared with."""
    return _WHOLE - budget_left(status, target)


def burn_rate(error_rate: float, target: float) -> float:
    """How many times faster than allowed the budget is used; `error_rate` is 0 to 1."""
    return error_rate / (1 - target / _WHOLE)


def most_burn_rate(target: float) -> float:
    """When everything fails: a threshold above it can never be reached."""
    return 1 / (1 - target / _WHOLE)


def burning(long: Events, short: Events, target: float) -> float | None:
    """The burn rate of an alert: both windows must reach it, so the lower of the two.

    None where nothing happened in the long window.
    """
    if not long.total:
        return None
    return min(burn_rate(long.error_rate, target), burn_rate(short.error_rate, target))
