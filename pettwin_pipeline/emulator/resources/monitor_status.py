"""The states of monitors as their resources show them: overall, and group by group."""

from typing import Any, Final

from pettwin_pipeline.datadog_protocol.frames import Group
from pettwin_pipeline.datadog_protocol.monitor_options import Status
from pettwin_pipeline.emulator.clock import at, iso
from pettwin_pipeline.emulator.evaluating.records import KeptGroup
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

TOTAL: Final = "*"
"""The name of the one group of a monitor without a group-by."""


def with_status(state: State, monitor: Document) -> Document:
    """The monitor as it is kept, with what its evaluations made of it."""
    record = state.monitor_states.get(monitor["id"])
    if record is None:
        return monitor
    since_s, triggered_s = record.overall_since_s, record.triggered_s
    told: Document = {
        "overall_state": str(record.overall),
        "overall_state_modified": None if since_s is None else iso(at(since_s)),
    }
    if triggered_s is not None:
        told["last_triggered_ts"] = int(triggered_s)
    return monitor | told


def groups_of(state: State, monitor: Document) -> dict[Group, KeptGroup]:
    """Its groups, by their tags."""
    record = state.monitor_states.get(monitor["id"])
    return record.groups if record else {}


def name_of(group: Group) -> str:
    """As the API names a group: `host:a,env:b`."""
    return ",".join(group) or TOTAL


def shown_groups(state: State, monitor: Document, asked: str) -> Document:
    """`state.groups` of a monitor; `asked` is `all`, or states with commas between."""
    wanted = {one.strip().lower() for one in asked.split(",")}
    return {
        name_of(group): _shown(group, kept)
        for group, kept in sorted(groups_of(state, monitor).items())
        if "all" in wanted or _word(kept.state.status) in wanted
    }


def _word(status: Status) -> str:
    return "no data" if status is Status.UNKNOWN else status.lower()


def _shown(group: Group, kept: KeptGroup) -> dict[str, Any]:
    times = {
        "last_nodata_ts": kept.nodata_s,
        "last_notified_ts": kept.notified_s,
        "last_resolved_ts": kept.resolved_s,
        "last_triggered_ts": kept.triggered_s,
    }
    told: dict[str, Any] = {"name": name_of(group), "status": str(kept.state.status)}
    told |= {name: int(at_s) for name, at_s in times.items() if at_s is not None}
    return told
