"""Muting monitors, one or all: older than downtimes, still spoken by clients.

A muted monitor carries its scopes in `options.silenced`, with the second of their end or null. All
at once are muted by a downtime for everything.
"""

from typing import Any, Final

from pettwin_pipeline.emulator.exchange import NO_CONTENT, Answer, Call, Route
from pettwin_pipeline.emulator.refusals import bad_request, refuse
from pettwin_pipeline.emulator.resources import monitors
from pettwin_pipeline.emulator.resources.downtime_matches import V1
from pettwin_pipeline.emulator.resources.downtimes_v1 import cancel_downtime, new_downtime
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document


def _told(call: Call) -> Document:
    body = call.document() if call.raw.strip() else {}
    asked = {name: call.asked(name) for name in ("scope", "end", "all_scopes")}
    return {name: value for name, value in asked.items() if value is not None} | body


def _changed(state: State, monitor: Document, silenced: dict[str, Any]) -> Answer:
    monitor["options"] = {**monitor["options"], "silenced": silenced}
    state.storage.put(monitors.KIND, monitor["id"], monitor)
    return Answer(monitor)


def _mute(state: State, call: Call) -> Answer:
    monitor, told = monitors.find_monitor(state, call.names["monitor_id"]), _told(call)
    scope, end = told.get("scope") or "*", told.get("end")
    try:
        end_s = None if end is None else int(end)
    except (TypeError, ValueError):
        raise bad_request("The value provided for parameter 'end' is invalid") from None
    if end_s is not None and end_s <= state.clock.now_s():
        refuse("The value provided for parameter 'end' is invalid: it is in the past")
    silenced = monitor["options"]["silenced"]
    if scope in silenced:
        refuse(f"Monitor is already muted for scope {scope}")
    return _changed(state, monitor, {**silenced, str(scope): end_s})


def _unmute(state: State, call: Call) -> Answer:
    monitor, told = monitors.find_monitor(state, call.names["monitor_id"]), _told(call)
    silenced = dict(monitor["options"]["silenced"])
    if told.get("all_scopes") in {True, "true"} or told.get("scope") is None:
        silenced.clear()
    else:
        silenced.pop(str(told["scope"]), None)
    return _changed(state, monitor, silenced)


def _for_everything(state: State) -> Document | None:
    for one in state.storage.all(V1):
        alone = one["scope"] == ["*"] and one["monitor_tags"] == ["*"] and not one["monitor_id"]
        if alone and one["canceled"] is None and one["end"] is None:
            return one
    return None


def _mute_all(state: State, call: Call) -> Answer:
    del call
    running = _for_everything(state) or new_downtime(state, {"scope": ["*"]})
    return Answer({"active": True, **running})


def _unmute_all(state: State, call: Call) -> Answer:
    del call
    running = _for_everything(state)
    if running is not None:
        cancel_downtime(state, running)
    return NO_CONTENT


ROUTES: Final = (
    Route("POST", "/api/v1/monitor/mute_all", _mute_all),
    Route("POST", "/api/v1/monitor/unmute_all", _unmute_all),
    Route("POST", "/api/v1/monitor/{monitor_id}/mute", _mute),
    Route("POST", "/api/v1/monitor/{monitor_id}/unmute", _unmute),
)
