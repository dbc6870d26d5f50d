"""Where metrics, checks and logs come in over HTTP.

A body is taken or refused as a whole; points in it that are too old or too new are left out, and
shown under `/_local/unread`. That their metric exists is remembered all the same.
"""

from collections.abc import Callable
from typing import Final

from pettwin_pipeline.datadog_protocol.aggregation import sent_points
from pettwin_pipeline.datadog_protocol.payloads import (
    Taken,
    parse_check_runs,
    parse_distributions,
    parse_series_v1,
    parse_series_v2,
)
from pettwin_pipeline.emulator.buckets import keep_points
from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.refusals import Refusal
from pettwin_pipeline.emulator.resources.check_store import keep_checks
from pettwin_pipeline.emulator.resources.metric_metadata import keep_unit
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.errors import PayloadError

_ACCEPTED: Final = Answer({"status": "ok"}, 202)
_ACCEPTED_V2: Final = Answer({"errors": []}, 202)


def _parsed(call: Call, parse: Callable[[bytes, float], Taken], now_s: float) -> Taken:
    try:
        return parse(call.raw, now_s)
    except PayloadError as error:
        call.checked()  # where the documented form says more exactly what is wrong
        raise Refusal(error.status, str(error)) from None


def _keep(state: State, call: Call, parse: Callable[[bytes, float], Taken]) -> None:
    now_s = state.clock.now_s()
    taken = _parsed(call, parse, now_s)
    keep_points(state, sent_points(taken.series), call.path)
    for one in taken.emptied:
        state.points.saw(one.name, one.type, one.tags, int(now_s))
    for one in taken.series:
        if one.unit:
            keep_unit(state, one.name, one.unit)
    for refused in taken.refused:
        state.received.note(call.path, refused.reason, refused.what, now_s)


def _series_v1(state: State, call: Call) -> Answer:
    _keep(state, call, parse_series_v1)
    return _ACCEPTED


def _series_v2(state: State, call: Call) -> Answer:
    _keep(state, call, parse_series_v2)
    return _ACCEPTED_V2


def _distribution_points(state: State, call: Call) -> Answer:
    _keep(state, call, parse_distributions)
    return _ACCEPTED


def _check_run(state: State, call: Call) -> Answer:
    try:
        runs = parse_check_runs(call.raw, state.clock.now_s())
    except PayloadError as error:
        raise Refusal(error.status, str(error)) from None
    keep_checks(state, runs)
    return _ACCEPTED


ROUTES: Final = (
    Route("POST", "/api/v1/series", _series_v1, "api"),
    Route("POST", "/api/v2/series", _series_v2, "api"),
    Route("POST", "/api/v1/distribution_points", _distribution_points, "api"),
    Route("POST", "/api/v1/check_run", _check_run, "api"),
)
