"""The latest runs of service checks, in memory: a round reads only what came since the last one."""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pettwin_pipeline.datadog_protocol import identifiers
from pettwin_pipeline.datadog_protocol.datagram import ServiceCheck
from pettwin_pipeline.datadog_protocol.monitor_options import CHECK_GROUP_FORGOTTEN_S
from pettwin_pipeline.emulator.timeline import Timeline

MOST_RUNS: Final = 200
"""So many of one series of runs: a query looks at the latest 100, and some may lie ahead."""

Tags = tuple[str, ...]


@dataclass(slots=True)
class _Check:
    read_to: int = 0
    series: dict[Tags, list[tuple[int, int, ServiceCheck]]] = field(default_factory=dict)
    """By tags and host: (second, number, run), in order."""


class LatestRuns:
    """Runs by check and tags. For one thread."""

    def __init__(self, timeline: Timeline) -> None:
        """Nothing is read yet."""
        self._timeline = timeline
        self._checks: dict[str, _Check] = {}

    def clear(self) -> None:
        """Forget everything, to read it again."""
        self._checks.clear()

    def of(self, name: str, until_s: float, most: int) -> list[ServiceCheck]:
        """The runs of a check up to a time, newest first.

        Args:
            name: of the check.
            until_s: the latest; those of the last 48 hours before it.
            most: so many of each set of tags; those tell the host as a tag too.
        """
        check = self._checks.setdefault(name, _Check())
        self._read(name, check)
        oldest_s = until_s - CHECK_GROUP_FORGOTTEN_S
        for tags in [tags for tags, some in check.series.items() if some[-1][0] < oldest_s]:
            del check.series[tags]
        found = [run for some in check.series.values() for run in _latest(some, until_s, most)]
        found.sort(key=lambda one: one[:2], reverse=True)
        return [run for _, _, run in found]

    def _read(self, name: str, check: _Check) -> None:
        for number, one in self._timeline.arrived("check", name, check.read_to):
            host = [f"host:{one['host']}"] if one["host"] else []
            tags = identifiers.tags([*one["tags"], *host])
            run = ServiceCheck(name, one["status"], tags, one["at_s"], None, one["message"])
            some = check.series.setdefault(tags, [])
            insort(some, (one["at_s"], number, run), key=lambda place: place[:2])
            if len(some) > MOST_RUNS:
                del some[0]
            check.read_to = number


def _latest(
    some: list[tuple[int, int, ServiceCheck]], until_s: float, most: int
) -> Iterator[tuple[int, int, ServiceCheck]]:
    for one in reversed(some):
        if one[0] > until_s:
            continue
        if most <= 0 or one[0] < until_s - CHECK_GROUP_FORGOTTEN_S:
            return
        most -= 1
        yield one
