"""From what was found to the next record of a monitor, and what happened on the way. Pure.

Groups are dropped some time after their last data. A group that never had data has no state.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from pettwin_pipeline.datadog_protocol.frames import Group
from pettwin_pipeline.datadog_protocol.monitor_options import Status
from pettwin_pipeline.datadog_protocol.monitor_states import (
    RECOVERIES,
    Change,
    Finding,
    GroupState,
    Transition,
    is_forgotten,
    step,
)
from pettwin_pipeline.datadog_protocol.monitor_syntax import Composite
from pettwin_pipeline.emulator.evaluating.findings import Findings
from pettwin_pipeline.emulator.evaluating.records import KeptGroup, MonitorRecord, worst_of
from pettwin_pipeline.emulator.evaluating.silences import Silence
from pettwin_pipeline.emulator.evaluating.watched import Watched

_NO_DATA = frozenset({Status.NO_DATA, Status.UNKNOWN})
_NOTHING = Finding(None)


class EndOfSilence(Protocol):
    """Whether it is told that silences are over."""

    def __call__(self, keys: Sequence[str], status: Status) -> bool:
        """For a group in a state that they covered until now."""
        ...


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to a group of a monitor.

    Args:
        watched: the monitor.
        group: which.
        transition: what happened.
        first_triggered_s: when it left OK.
        last_triggered_s: when it alerted or warned last.
        check_message: of the latest run.
        parts: of a composite.
    """

    watched: Watched
    group: Group
    transition: Transition
    first_triggered_s: float | None
    last_triggered_s: float | None
    check_message: str = ""
    parts: "dict[str, float]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stepped:
    """A monitor after an evaluation."""

    record: MonitorRecord
    happened: list[Happening]


def stepped(
    watched: Watched,
    before: MonitorRecord | None,
    found: Findings,
    at_s: float,
    *,
    silences: Sequence[Silence],
    tells_of_end: EndOfSilence,
) -> Stepped:
    """The next record.

    Args:
        watched: the monitor.
        before: its last record; None at first.
        found: by this evaluation.
        at_s: when it was.
        silences: for the monitor, whatever the group.
        tells_of_end: of silences that are over.
    """
    kept = _still_its(watched, before)
    happened: list[Happening] = []
    groups: dict[Group, KeptGroup] = {}
    for group in dict.fromkeys([*kept, *found.groups]):
        finding = found.groups.get(group, _NOTHING)
        old = kept.get(group)
        if isinstance(watched.query, Composite) and group not in found.groups:
            continue  # the groups of its monitors are its own
        if old is None and finding.value is None and finding.status in {None, *_NO_DATA}:
            continue
        tags = {*group, *watched.scope_tags}
        active = [one for one in silences if one.holds(tags)]
        state, transition = _step(
            watched, old, finding, at_s, active=active, tells_of_end=tells_of_end
        )
        if group in found.data_s and state.data_s is not None:
            state = replace(state, data_s=found.data_s[group])
        if _is_dropped(watched, group, state, at_s):
            continue
        message = found.messages.get(group, "")
        groups[group] = _kept(old, state, transition, active, message)
        if transition is not None:
            parts = dict(found.parts.get(group, {}))
            happened.append(
                _happening(watched, group, transition, old=old, new=groups[group], parts=parts)
            )
    return Stepped(_record(watched, before, groups, at_s), happened)


def _still_its(watched: Watched, before: MonitorRecord | None) -> dict[Group, KeptGroup]:
    """The groups of before; none where the monitor groups by something else now."""
    if before is None or before.kind != watched.document["type"] or before.keys != watched.keys:
        return {}
    return before.groups


def _step(
    watched: Watched,
    old: KeptGroup | None,
    finding: Finding,
    at_s: float,
    *,
    active: Sequence[Silence],
    tells_of_end: EndOfSilence,
) -> tuple[GroupState, Transition | None]:
    before = old.state if old else None
    state, transition = step(
        before,
        finding,
        watched.comparison,
        watched.options,
        at_s,
        counts=watched.counts,
        muted=bool(active),
    )
    if transition is None or not transition.notifies:
        return state, transition
    silenced = transition.change is Change.DOWNTIME_ENDED and not (
        old is None or tells_of_end(old.muted_by, state.status)
    )
    first_recovery = transition.change in RECOVERIES and any(
        one.mutes_first_recovery for one in active
    )
    if silenced or first_recovery:
        transition = replace(transition, notifies=False)
        told_s = before.told_s if before else None
        state = replace(state, told_s=None if state.status is Status.OK else told_s)
    return state, transition


def _is_dropped(watched: Watched, group: Group, state: GroupState, at_s: float) -> bool:
    if not group:
        return False
    if watched.forgotten_s is None:
        return is_forgotten(state, at_s, of_check=True)
    last_s = state.seen_s if state.data_s is None else state.data_s
    return at_s - last_s >= watched.forgotten_s


def _kept(
    old: KeptGroup | None,
    state: GroupState,
    transition: Transition | None,
    active: Iterable[Silence],
    message: str,
) -> KeptGroup:
    muted_by = tuple(one.key for one in active)
    if transition is None:
        if old is None:
            return KeptGroup(state, muted_by=muted_by, check_message=message)
        return msgspec.structs.replace(
            old, state=state, muted_by=muted_by, check_message=message or old.check_message
        )
    kept = old or KeptGroup(state)
    at_s, moved = transition.at_s, transition.before is not transition.after
    return KeptGroup(
        state,
        at_s if moved and state.status in {Status.ALERT, Status.WARN} else kept.triggered_s,
        at_s if moved and state.status is Status.OK else kept.resolved_s,
        at_s if moved and state.status in _NO_DATA else kept.nodata_s,
        at_s if transition.notifies else kept.notified_s,
        muted_by,
        message or kept.check_message,
    )


def _happening(
    watched: Watched,
    group: Group,
    transition: Transition,
    *,
    old: KeptGroup | None,
    new: KeptGroup,
    parts: dict[str, float],
) -> Happening:
    started = new.state.first_triggered_s
    if started is None and old is not None:
        started = old.state.first_triggered_s
    return Happening(watched, group, transition, started, new.triggered_s, new.check_message, parts)


def _record(
    watched: Watched, before: MonitorRecord | None, groups: dict[Group, KeptGroup], at_s: float
) -> MonitorRecord:
    overall = worst_of(groups.values())
    since_s = before.overall_since_s if before else None
    if overall is not (before.overall if before else Status.NO_DATA):
        since_s = at_s
    return MonitorRecord(watched.document["type"], watched.keys, at_s, groups, overall, since_s)
