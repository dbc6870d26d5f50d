"""Which downtimes hold for a monitor now. Read by monitors; written by `downtimes_v1` and `_v2`."""

from collections.abc import Iterator
from typing import Any, Final

from pettwin_pipeline.emulator.clock import parse_moment
from pettwin_pipeline.emulator.resources.downtime_times import is_active_v2
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

V1: Final = "downtime_v1"
V2: Final = "downtime"


def concerns(monitor: Document, monitor_id: int | None, tags: list[str] | None) -> bool:
    """Whether a downtime for a monitor, or for those with tags, is for this one."""
    if monitor_id is not None:
        return bool(monitor["id"] == monitor_id)
    return bool(tags) and (tags == ["*"] or set(tags or ()) <= set(monitor["tags"]))


def _running_v1(state: State, monitor: Document) -> Iterator[Document]:
    now_s = state.clock.now_s()
    for one in state.storage.all(V1):
        over = one["canceled"] is not None or (one["end"] is not None and one["end"] <= now_s)
        if not over and concerns(monitor, one["monitor_id"], one["monitor_tags"]):
            yield one


def running_v2(state: State, monitor: Document) -> Iterator[Document]:
    """The downtimes (v2) that are active for a monitor."""
    for one in state.storage.all(V2):
        target = one["monitor_identifier"]
        if is_active_v2(one, state.clock.now_s()) and concerns(
            monitor, target.get("monitor_id"), target.get("monitor_tags")
        ):
            yield one


def matching_downtimes(state: State, monitor: Document) -> list[Document]:
    """As a monitor that is read with its downtimes shows them."""
    old = [
        {
            "id": one["id"],
            "active": one["start"] <= state.clock.now_s(),
            "monitor_id": one["monitor_id"],
            "start": one["start"],
            "end": one["end"],
            "scope": one["scope"],
            "groups": ["total"],
        }
        for one in _running_v1(state, monitor)
    ]
    new = [
        {
            "id": one["number"],
            "active": True,
            "monitor_id": one["monitor_identifier"].get("monitor_id"),
            "start": _seconds(
                (one["schedule"].get("current_downtime") or one["schedule"])["start"]
            ),
            "end": _seconds((one["schedule"].get("current_downtime") or one["schedule"])["end"]),
            "scope": [one["scope"]],
            "groups": ["total"],
        }
        for one in running_v2(state, monitor)
    ]
    return [*old, *new]


def _seconds(moment: Any) -> int | None:
    return None if moment is None else int(parse_moment(moment).timestamp())


def silenced_by_downtimes(state: State, monitor: Document) -> dict[str, Any]:
    """`options.silenced` as downtimes of this monitor alone make it: scope -> end, or null."""
    found: dict[str, Any] = {}
    for one in matching_downtimes(state, monitor):
        if one["monitor_id"] == monitor["id"] and one["active"]:
            found[",".join(one["scope"])] = one["end"]
    return found
