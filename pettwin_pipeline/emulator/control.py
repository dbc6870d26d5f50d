"""Its own plane, `/_local/`: health, reset, clock, faults, and the requests as they came.

Nothing here exists at Datadog.
"""

from dataclasses import asdict
from typing import Any, Final

from pettwin_pipeline.emulator.buckets import settle
from pettwin_pipeline.emulator.clock import at, iso, parse_moment
from pettwin_pipeline.emulator.exchange import NO_CONTENT, Answer, Call, Route
from pettwin_pipeline.emulator.faults import parse_fault
from pettwin_pipeline.emulator.refusals import bad_request
from pettwin_pipeline.emulator.state import State

NOT_DATADOG: Final = "a local stand-in, not Datadog and not affiliated with it"
_MOST_OF_OUTBOX: Final = 1_000
LARGEST_S: Final = 253_402_300_799.0
"""The end of the year 9999."""


def _health(state: State, call: Call) -> Answer:
    del call
    settle(state)
    kept = state.storage.counts() | state.timeline.counts()
    told = {"kept": kept, "points": state.points.told(), "requests": state.requests.seen}
    return Answer({"status": "ok", "is": NOT_DATADOG, **told})


def _unread(state: State, call: Call) -> Answer:
    """What came and was not stored, with its reasons; and how much was received."""
    del call
    return Answer(state.received.told())


def _reset(state: State, call: Call) -> Answer:
    del call
    with state.schedule.moving(every=False) as evaluated:
        state.reset()
    return Answer(status=204, after=evaluated)


def _read_clock(state: State, call: Call) -> Answer:
    del call
    clock = state.clock
    told = {"now": iso(clock.now()), "ahead_s": clock.ahead_s, "stands": clock.stands}
    return Answer({**told, "evaluated_to": iso(at(state.schedule.evaluated_to_s))})


def _set_clock(state: State, call: Call) -> Answer:
    """`{"at": "2026-01-01T00:00:00Z"}` or `{"advance_s": 60}`, with `"stand": true` to stop it.

    Answers once the monitors are evaluated: after an advance of every minute between, where it was
    set of the newest alone.
    """
    told = call.document()
    stand = told.get("stand", False)
    advance, moment = told.get("advance_s", 0), told.get("at")
    if not isinstance(advance, int | float) or not isinstance(stand, bool):
        raise bad_request("advance_s should be a number of seconds, stand true or false")
    at_s = state.clock.now_s() if moment is None else _moment(moment)
    at_s += advance
    if not 0 <= at_s <= LARGEST_S:
        raise bad_request("the clock goes from 1970 to 9999")
    with state.schedule.moving(every=moment is None) as evaluated:
        state.clock.set(at_s, stand=stand or (state.clock.stands and "stand" not in told))
    return Answer(lambda: _read_clock(state, call).body, after=evaluated)


def _moment(told: Any) -> float:
    if isinstance(told, int | float) and not isinstance(told, bool):
        return float(told)
    try:
        return parse_moment(str(told)).timestamp()
    except ValueError:
        raise bad_request("at should be a time: 2026-01-01T00:00:00Z, or seconds") from None


def _reset_clock(state: State, call: Call) -> Answer:
    with state.schedule.moving(every=False) as evaluated:
        state.clock.reset()
    return Answer(lambda: _read_clock(state, call).body, after=evaluated)


def _evaluation(state: State, call: Call) -> Answer:
    """How the last round of monitors went, and which cannot be evaluated and why."""
    del call
    to = iso(at(state.schedule.evaluated_to_s))
    return Answer({"evaluated_to": to, **state.rounds.told()})


def _outbox(state: State, call: Call) -> Answer:
    """The newest notifications; `kind`, `handle`, `status` narrow, `before` is the next page."""
    given = {name: call.asked(name) for name in ("kind", "handle", "status")}
    count = min(call.asked_int("count", 100, 1), _MOST_OF_OUTBOX)
    before = call.asked_int("before", 0) or None
    found = state.outbox.newest(count, before=before, **given)
    shown = [{name: one[name] for name in one if name != "variables"} for one in found]
    return Answer({"counts": state.outbox.counts(), "notifications": shown})


def _clear_outbox(state: State, call: Call) -> Answer:
    del call
    state.outbox.clear()
    return NO_CONTENT


def _list_faults(state: State, call: Call) -> Answer:
    del call
    return Answer({"faults": [asdict(fault) for fault in state.faults.on()]})


def _add_fault(state: State, call: Call) -> Answer:
    state.faults.add(parse_fault(call.document()))
    return _list_faults(state, call)


def _clear_faults(state: State, call: Call) -> Answer:
    del call
    state.faults.clear()
    return NO_CONTENT


def _list_requests(state: State, call: Call) -> Answer:
    newest = state.requests.newest(call.asked_int("count", 100), call.asked("prefix") or "")
    return Answer({"seen": state.requests.seen, "requests": newest})


def _clear_requests(state: State, call: Call) -> Answer:
    del call
    state.requests.clear()
    return NO_CONTENT


ROUTES: Final = (
    Route("GET", "/_local/health", _health, "none"),
    Route("GET", "/_local/unread", _unread, "none"),
    Route("POST", "/_local/reset", _reset, "none"),
    Route("GET", "/_local/clock", _read_clock, "none"),
    Route("PUT", "/_local/clock", _set_clock, "none"),
    Route("DELETE", "/_local/clock", _reset_clock, "none"),
    Route("GET", "/_local/evaluation", _evaluation, "none"),
    Route("GET", "/_local/outbox", _outbox, "none"),
    Route("DELETE", "/_local/outbox", _clear_outbox, "none"),
    Route("GET", "/_local/faults", _list_faults, "none"),
    Route("POST", "/_local/faults", _add_fault, "none"),
    Route("DELETE", "/_local/faults", _clear_faults, "none"),
    Route("GET", "/_local/requests", _list_requests, "none"),
    Route("DELETE", "/_local/requests", _clear_requests, "none"),
)
