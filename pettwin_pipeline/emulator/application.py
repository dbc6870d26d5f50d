"""The HTTP side: routes in, answers out. Knows starlette; the resources do not.

Handlers run one after another on the event loop: each is short, and what they keep is then
consistent without locks. What may take long and only reads is `apart`, on a thread of its own.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.routing import Match, Router
from starlette.routing import Route as StarletteRoute
from starlette.types import Receive, Scope, Send

from pettwin_pipeline.emulator.bodies import limits_of, read_body
from pettwin_pipeline.emulator.clock import iso
from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.faults import refusal_of
from pettwin_pipeline.emulator.gate import LOOPBACK_NAMES, check_keys, check_place
from pettwin_pipeline.emulator.kept_requests import (
    KeptRequest,
    shown_body,
    without_keys,
    without_secrets,
)
from pettwin_pipeline.emulator.refusals import Refusal, not_found
from pettwin_pipeline.emulator.state import State

log = logging.getLogger(__name__)
_SAFE_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


class Application:
    """The ASGI application of one local Datadog."""

    def __init__(
        self, state: State, routes: Iterable[Route], names: Collection[str] = LOOPBACK_NAMES
    ) -> None:
        """An application over a state.

        Args:
            state: what it owns.
            routes: what it answers; of two that fit, the first.
            names: host names under which it may be asked.
        """
        self._state = state
        self._names = names
        self._routes = [(_matcher(route), route) for route in routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope)
        headers = {name.lower(): text for name, text in request.headers.items()}
        call = Call(request.method, scope["path"], {}, _query(request), headers)
        try:
            answer, call = await self._answer(scope, receive, call, request)
        except Refusal as refusal:
            answer = Answer(refusal.body, refusal.status, refusal.headers)
        except RecursionError:
            answer = Answer({"errors": ["Invalid JSON structure: it is nested too deeply"]}, 400)
        except Exception:
            log.exception("%s %s", call.method, call.path)
            answer = Answer({"errors": ["Internal error of the local Datadog"]}, 500)
        limits = self._state.rate_limits.headers(call.path, self._state.clock.now_s())
        self._keep(call, request, answer)
        await _send(send, call, answer, limits)

    async def _answer(
        self, scope: Scope, receive: Receive, call: Call, request: Request
    ) -> tuple[Answer, Call]:
        raw = await read_body(receive, dict(call.headers), limits_of(call.path))
        call = replace(call, raw=raw)
        try:
            check_place(call, request.headers.get("host", ""), self._names)
            route, names = self._find(scope, call)
            check_keys(call, route.keys, self._state.keys)
            await self._meet_fault(call)
            call = replace(call, names=names, operation=route.operation)
            if route.apart:
                return await asyncio.to_thread(_handled, route, self._state, call), call
            answer = route.handler(self._state, call)
            if answer.after is not None:
                await asyncio.wrap_future(answer.after)
                body = answer.body() if callable(answer.body) else answer.body
                answer = replace(answer, body=body, after=None)
            return _with_bytes(answer), call
        except Refusal as refusal:
            return Answer(refusal.body, refusal.status, refusal.headers), call

    def _find(self, scope: Scope, call: Call) -> tuple[Route, dict[str, str]]:
        other_method = False
        for matcher, route in self._routes:
            match, found = matcher.matches(scope)
            if match is Match.FULL:
                return route, found["path_params"]
            other_method |= match is Match.PARTIAL
        if other_method:
            raise Refusal(405, "Method not allowed")
        raise not_found(f"{call.path} is not served by the local Datadog")

    async def _meet_fault(self, call: Call) -> None:
        fault = self._state.faults.take(call.path)
        if fault is None:
            return
        refusal = refusal_of(fault)
        if refusal is not None:
            raise refusal
        await asyncio.sleep(fault.seconds)

    def _keep(self, call: Call, request: Request, answer: Answer) -> None:
        if call.path.startswith("/_local/"):
            return
        kept = KeptRequest(
            at=iso(self._state.clock.now()),
            method=call.method,
            path=call.path,
            query=without_keys(request.scope["query_string"].decode("latin-1")),
            headers=without_secrets(dict(call.headers)),
            body=shown_body(call.path, call.raw),
            body_bytes=len(call.raw),
            status=answer.status,
        )
        self._state.requests.keep(kept)


def _handled(route: Route, state: State, call: Call) -> Answer:
    return _with_bytes(route.handler(state, call))


def _with_bytes(answer: Answer) -> Answer:
    """Encoded early: what is nested too deeply is refused, not a failure later on."""
    return replace(answer, body=answer.encoded())


def _matcher(route: Route) -> StarletteRoute:
    return StarletteRoute(route.path, Router(), methods=[route.method])


def _query(request: Request) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, text in request.query_params.multi_items():
        found[name] = (*found.get(name, ()), text)
    return found


async def _send(send: Send, call: Call, answer: Answer, more: dict[str, str]) -> None:
    body = answer.encoded()
    headers: list[tuple[bytes, bytes]] = [*_SAFE_HEADERS]
    if answer.status != 204:  # noqa: PLR2004
        headers.append((b"content-type", answer.media.encode()))
        headers.append((b"content-length", str(len(body)).encode()))
    told: dict[str, Any] = more | dict(answer.headers)
    headers += [(name.encode(), str(text).encode()) for name, text in told.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    sent = b"" if call.method == "HEAD" else body
    await send({"type": "http.response.body", "body": sent})
