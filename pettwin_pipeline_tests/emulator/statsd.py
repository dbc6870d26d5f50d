"""Sending DogStatsD to a local Datadog whose clock stands, and asking what came of it."""

import socket
from urllib.parse import urlencode

from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.stack.programs import wait_for

START_S = 1_800_000_000
"""On a full hour."""


def stand(local: LocalDatadog, at_s: float = START_S) -> None:
    """Stop the clock there."""
    local.state.clock.set(at_s, stand=True)


def after(local: LocalDatadog, seconds: float = 10) -> LocalDatadog:
    """The same, later."""
    local.state.clock.advance(seconds)
    return local


def send(local: LocalDatadog, *datagrams: str | bytes) -> None:
    """Send datagrams, and wait until they were read."""
    before = local.state.received.counted("datagrams")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for one in datagrams:
            raw = one if isinstance(one, bytes) else one.encode()
            sender.sendto(raw, ("127.0.0.1", local.dogstatsd_port))
    await_datagrams(local, before + len(datagrams))


def await_datagrams(local: LocalDatadog, number: int) -> None:
    """Until so many were read in all."""
    wait_for(lambda: local.state.received.counted("datagrams") >= number)


def asked(
    local: LocalDatadog, query: str, from_s: int = START_S, to_s: int = START_S + 60
) -> dict[str, dict[int, float]]:
    """What a query finds: by scope, seconds after the start and value."""
    path = urlencode({"from": from_s, "to": to_s, "query": query})
    answer = ask(local, "GET", f"/api/v1/query?{path}")
    assert answer.status == 200, answer.content
    return {
        one["scope"]: {int(at / 1000) - START_S: value for at, value in one["pointlist"]}
        for one in answer.json["series"]
    }


def row(
    local: LocalDatadog, query: str, from_s: int = START_S, to_s: int = START_S + 60
) -> dict[int, float]:
    """The same of a query that finds one series, or none."""
    found = asked(local, query, from_s, to_s)
    assert len(found) <= 1, found
    return next(iter(found.values()), {})


def unread(local: LocalDatadog) -> dict[str, int]:
    """What was not stored: reasons and numbers."""
    reasons: dict[str, int] = ask(local, "GET", "/_local/unread", headers={}).json["not_stored"]
    return reasons
