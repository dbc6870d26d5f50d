"""The state of a composite from the states of the monitors that it names."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from pettwin_pipeline.datadog_protocol.frames import Group
from pettwin_pipeline.datadog_protocol.monitor_options import Status
from pettwin_pipeline.datadog_protocol.monitor_syntax import (
    AllOf,
    AnyOf,
    Combination,
    Composite,
    Monitor,
    Unless,
)

GroupStatuses: TypeAlias = Mapping[Group, Status]
"""The states of one monitor by its groups; `()` for one without a group-by."""

SEVERITY: Final[Mapping[Status, int]] = {
    Status.OK: 0,
    Status.NO_DATA: 1,
    Status.UNKNOWN: 1,
    Status.SKIPPED: 1,
    Status.IGNORED: 0,
    Status.WARN: 2,
    Status.ALERT: 3,
}
"""Alert, Warn and No Data count as true; the higher the more severe."""


def combined(composite: Composite, statuses: Mapping[int, Status]) -> Status:
    """The state of a composite; a monitor that is gone counts as No Data."""
    return _value(composite.combination, statuses)


def combined_groups(
    composite: Composite, statuses: Mapping[int, GroupStatuses]
) -> dict[Group, Status]:
    """By group: monitors with groups are matched by their tags, only common ones count."""
    grouped = [
        statuses[one]
        for one in composite.monitor_ids
        if one in statuses and () not in statuses[one]
    ]
    groups = _common(grouped) if grouped else [()]
    return {
        group: combined(
            composite,
            {one: _status_in(statuses.get(one, {}), group) for one in composite.monitor_ids},
        )
        for group in groups
    }


def _common(monitors: Sequence[GroupStatuses]) -> list[Group]:
    """The widest groups that every monitor has a state for."""
    candidates = sorted(
        {group for one in monitors for group in one}, key=lambda one: (-len(one), one)
    )
    found: list[Group] = []
    for group in candidates:
        in_all = all(_matching(one, group) is not None for one in monitors)
        if in_all and not any(set(group) <= set(wider) for wider in found):
            found.append(group)
    return sorted(found)


def _matching(one: GroupStatuses, group: Group) -> Group | None:
    return next((mine for mine in one if set(mine) <= set(group)), None)


def _status_in(one: GroupStatuses, group: Group) -> Status:
    match = _matching(one, group)
    return Status.NO_DATA if match is None else one[match]


def _value(part: Combination, statuses: Mapping[int, Status]) -> Status:
    match part:
        case Monitor(monitor_id=monitor_id):
            return statuses.get(monitor_id, Status.NO_DATA)
        case Unless(part=below):
            return _negated(_value(below, statuses))
        case AllOf(parts=parts):
            return _least_severe([_value(one, statuses) for one in parts])
        case AnyOf(parts=parts):
            return _most_severe(_value(one, statuses) for one in parts)


def _negated(status: Status) -> Status:
    """`!No Data` is No Data."""
    if SEVERITY[status] == SEVERITY[Status.NO_DATA]:
        return Status.NO_DATA
    return Status.ALERT if SEVERITY[status] == 0 else Status.OK


def _least_severe(several: Sequence[Status]) -> Status:
    """Of all, if all are true; OK, the least severe of them, if one is not."""
    return min(several, key=SEVERITY.__getitem__)


def _most_severe(several: Iterable[Status]) -> Status:
    return max(several, key=SEVERITY.__getitem__)
