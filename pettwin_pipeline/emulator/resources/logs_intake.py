"""Where logs come in: JSON, or lines of plain text."""

from typing import Any, Final

import msgspec

from pettwin_pipeline.datadog_protocol.payloads import parse_logs
from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.refusals import Refusal
from pettwin_pipeline.emulator.resources.log_store import TOO_OLD, keep_logs
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.errors import PayloadError

MOST_LOGS: Final = 1_000
"""Of one request."""
LARGEST_LOG: Final = 1_000_000
"""Bytes; the text of a larger one is cut."""
_FROM_QUERY: Final = ("ddsource", "ddtags", "hostname", "service")


def _body(call: Call) -> bytes:
    """JSON, whatever was sent; what the query string says holds for every log that does not."""
    given = {name: text for name in _FROM_QUERY if (text := call.asked(name))}
    if "json" not in call.headers.get("content-type", "json"):
        lines = call.raw.decode("utf-8", "replace").splitlines()
        return msgspec.json.encode([{**given, "message": line} for line in lines if line])
    if not given:
        return call.raw
    told: Any = call.json()
    logs = told if isinstance(told, list) else [told]
    return msgspec.json.encode([{**given, **one} for one in logs if isinstance(one, dict)])


def _keep(state: State, call: Call) -> None:
    try:
        logs = parse_logs(_body(call))
    except PayloadError as error:
        raise Refusal(error.status, str(error)) from None
    if len(logs) > MOST_LOGS:
        raise Refusal(413, f"Payload too large: more than {MOST_LOGS} logs")
    cut = tuple(
        msgspec.structs.replace(one, message=one.message[:LARGEST_LOG])
        if len(one.message) > LARGEST_LOG
        else one
        for one in logs
    )
    for old in keep_logs(state, cut):
        state.received.note(call.path, TOO_OLD, old.message, state.clock.now_s())


def _v2(state: State, call: Call) -> Answer:
    _keep(state, call)
    return Answer({}, 202)


def _v1(state: State, call: Call) -> Answer:
    _keep(state, call)
    return Answer({})


ROUTES: Final = (
    Route("POST", "/api/v2/logs", _v2, "api"),
    Route("POST", "/v1/input", _v1, "api"),
)
