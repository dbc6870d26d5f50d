"""How long a monitor was up: its groups' changes of state to seconds. Pure.

A group is down in Alert and up otherwise; before its first state nothing is known of it.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from pettwin_pipeline.datadog_protocol.frames import Group
from pettwin_pipeline.datadog_protocol.monitor_options import Status
from pettwin_pipeline.datadog_protocol.slos import Events
from pettwin_pipeline.emulator.evaluating.monitor_states import StatusChange

Span: TypeAlias = tuple[float, float]
"""From and to, unix seconds."""
_DOWN: Final = frozenset({Status.ALERT})


def downs_of(
    changes: Sequence[StatusChange], until_s: float
) -> dict[Group, tuple[float, list[Span]]]:
    """By group: since when it is known, and when it was down.

    Args:
        changes: oldest first.
        until_s: where the last one ends.
    """
    found: dict[Group, tuple[float, list[Span]]] = {}
    last: dict[Group, StatusChange] = {}
    for one in changes:
        before = last.get(one.group)
        if before is None:
            found[one.group] = (one.at_s, [])
        elif before.status in _DOWN:
            found[one.group][1].append((before.at_s, one.at_s))
        last[one.group] = one
    for group, one in last.items():
        if one.status in _DOWN:
            found[group][1].append((one.at_s, until_s))
    return found


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that do not touch, in order."""
    found: list[Span] = []
    for begins, ends in sorted(one for one in spans if one[0] < one[1]):
        if found and begins <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ends))
        else:
            found.append((begins, ends))
    return found


def without(spans: Iterable[Span], holes: Sequence[Span]) -> list[Span]:
    """Spans less the time of others."""
    left = joined(spans)
    for begins, ends in holes:
        left = [
            part
            for start, stop in left
            for part in ((start, min(stop, begins)), (max(start, ends), stop))
            if part[0] < part[1]
        ]
    return left


def seconds(spans: Iterable[Span]) -> float:
    """How long they are together."""
    return sum(ends - begins for begins, ends in spans)


def up_seconds(groups: Iterable[tuple[float, list[Span]]], looked_at: Sequence[Span]) -> Events:
    """Seconds in which every group was up, of those of which something is known.

    Args:
        groups: since when each is known and when it was down.
        looked_at: spans that count.
    """
    several = list(groups)
    if not several:
        return Events(0.0, 0.0)
    first = min(since for since, _ in several)
    known = without(looked_at, [(float("-inf"), first)])
    down = joined(span for _, downs in several for span in downs)
    return Events(seconds(without(known, down)), seconds(known))
