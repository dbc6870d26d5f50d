"""What silences a group of a monitor at a time: downtimes of both versions, and mutes.

Downtimes are read once a round. They silence notifications; states go on changing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pettwin_pipeline.datadog_protocol.monitor_options import Status
from pettwin_pipeline.emulator.refusals import Refusal
from pettwin_pipeline.emulator.resources.downtime_matches import V1, V2, concerns
from pettwin_pipeline.emulator.resources.downtime_times import is_active_v1, is_active_v2
from pettwin_pipeline.emulator.resources.tag_scopes import scope_holds
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

_STATES: Final[Mapping[Status, str]] = {
    Status.ALERT: "alert",
    Status.WARN: "warn",
    Status.NO_DATA: "no data",
    Status.UNKNOWN: "no data",
}


@dataclass(frozen=True, slots=True)
class Silence:
    """A downtime that holds, or a mute.

    Args:
        key: which: `v1:`, `v2:` or `mute:` with its id or scope.
        scope: a list of tags all of which must be there, or a scope as v2 has it.
        mutes_first_recovery: of an alert that was raised before it, too.
    """

    key: str
    scope: str | Sequence[str]
    mutes_first_recovery: bool = False

    def holds(self, tags: Collection[str]) -> bool:
        """Whether it is for a group with these tags."""
        if isinstance(self.scope, str):
            try:
                return scope_holds(self.scope, tags)
            except Refusal:
                return False
        return all(one == "*" or one in tags for one in self.scope)


class Silences:
    """The downtimes of one moment."""

    def __init__(self, state: State, at_s: float) -> None:
        """Read them."""
        self._at_s = at_s
        self._all = {f"v1:{one['id']}": one for one in state.storage.all(V1)}
        self._all |= {f"v2:{one['id']}": one for one in state.storage.all(V2)}
        self._active = {key: one for key, one in self._all.items() if self._is_active(key, one)}

    def _is_active(self, key: str, downtime: Document) -> bool:
        is_active = is_active_v1 if key.startswith("v1:") else is_active_v2
        return is_active(downtime, self._at_s)

    def of(self, monitor: Document) -> list[Silence]:
        """Those for a monitor, whatever the group."""
        muted: dict[str, Any] = monitor["options"].get("silenced") or {}
        found = [
            Silence(f"mute:{scope}", [part.strip() for part in scope.split(",")])
            for scope, end_s in muted.items()
            if end_s is None or end_s > self._at_s
        ]
        for key, one in self._active.items():
            target = one.get("monitor_identifier") or one
            if concerns(monitor, target.get("monitor_id"), target.get("monitor_tags")):
                first = bool(one.get("mute_first_recovery_notification"))
                found.append(Silence(key, one["scope"], first))
        return found

    def tell_of_end(self, keys: Collection[str], status: Status) -> bool:
        """Whether it is told that silences are over, for a group that is in a state.

        A downtime says for which states, and whether also where it was cancelled. The end of a mute
        is told always, so too that of a downtime that is not known any more.
        """
        ended = [self._all.get(key) for key in keys if key not in self._active]
        return all(one is None or self._tells(one, status) for one in ended)

    def _tells(self, downtime: Document, status: Status) -> bool:
        how = "expired" if downtime["canceled"] is None else "canceled"
        return (
            how in downtime["notify_end_types"]
            and _STATES.get(status, "") in downtime["notify_end_states"]
        )
