"""How requests are answered side by side."""

import asyncio
import json
import threading
from typing import Any

from pettwin_pipeline.emulator.application import Application
from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.refusals import refuse
from pettwin_pipeline.emulator.state import State


async def get(application: Application, path: str) -> tuple[int, Any]:
    """Status and JSON of an answer, without a socket."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1")]
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "query_string": b""}
    await application(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_who_takes_long_and_is_apart_keeps_nobody_waiting() -> None:
    reached = threading.Event()

    def slow(_: State, __: Call) -> Answer:
        assert reached.wait(10), "nobody else was answered"
        return Answer({"slow": True})

    def quick(_: State, __: Call) -> Answer:
        reached.set()
        return Answer({"quick": True})

    routes = [Route("GET", "/slow", slow, "none", apart=True), Route("GET", "/q", quick, "none")]
    application = Application(State.opened(), routes)

    async def both() -> list[Any]:
        return [*await asyncio.gather(get(application, "/slow"), get(application, "/q"))]

    assert asyncio.run(both()) == [(200, {"slow": True}), (200, {"quick": True})]


def test_a_refusal_and_a_failure_apart_are_told_as_any() -> None:
    def refused(_: State, __: Call) -> Answer:
        refuse("no")

    def failing(_: State, __: Call) -> Answer:
        raise RuntimeError("broken")

    routes = [
        Route("GET", "/refused", refused, "none", apart=True),
        Route("GET", "/failing", failing, "none", apart=True),
    ]
    application = Application(State.opened(), routes)
    assert asyncio.run(get(application, "/refused")) == (400, {"errors": ["no"]})
    status, told = asyncio.run(get(application, "/failing"))
    assert (status, told["errors"]) == (500, ["Internal error of the local Datadog"])
