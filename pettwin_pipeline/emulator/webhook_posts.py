"""Posts the webhooks that wait in the outbox, each address on a thread of its own.

A receiver that is slow holds up what is meant for it and nothing else. On 5xx or no answer a post
is tried again, up to five times; what waits is taken up again after a restart. No redirect is
followed and no proxy asked: only the address that was allowed is spoken to.
"""

import contextlib
import http.client
import logging
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

from pettwin_pipeline.emulator.outbox import Entry
from pettwin_pipeline.emulator.resources.webhooks import VARIABLE, WEBHOOK
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.webhook_requests import NotPosted, WebhookRequest, request_of
from pettwin_pipeline.emulator.webhook_rules import WebhookRules

log = logging.getLogger(__name__)
MOST_WAITING: Final = 1_000
"""For one address; what comes beyond is failed."""
MOST_ADDRESSES: Final = 50
"""Threads at a time; webhooks beyond share the last."""
_ENDS_WITHIN_S: Final = 2.0
_SERVER_ERROR: Final = 500
_MOST_OF_ANSWER: Final = 65_536


class WebhookPosts:
    """What waits, by webhook, and the threads that post it."""

    def __init__(self, state: State, rules: WebhookRules) -> None:
        """Nothing waits.

        Args:
            state: with the outbox, the webhooks and the custom variables.
            rules: where they may be posted to.
        """
        self._state, self._rules = state, rules
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._waiting: dict[str, deque[int]] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._open: set[http.client.HTTPConnection] = set()

    def post(self, number: int) -> None:
        """Post the webhook of an entry of the outbox, soon; returns at once."""
        entry = self._state.outbox.get(number)
        if entry is None:
            return
        with self._lock:
            lane = entry["handle"]
            if lane not in self._threads and len(self._threads) >= MOST_ADDRESSES:
                lane = next(iter(self._threads))
            queue = self._waiting.setdefault(lane, deque())
            if len(queue) < MOST_WAITING:
                queue.append(number)
                if lane not in self._threads:
                    self._threads[lane] = thread = threading.Thread(
                        target=self._work, args=(lane,), name=f"webhook {lane}", daemon=True
                    )
                    thread.start()
                return
        why = f"{MOST_WAITING} notifications wait for this webhook already"
        self._state.outbox.change(number, status="failed", error=why)

    def resume(self) -> None:
        """Take up what waited when the last process ended."""
        for number in self._state.outbox.waiting():
            self.post(number)

    def close(self) -> None:
        """End, without waiting for answers; what is not posted goes on waiting."""
        self._ended.set()
        with self._lock:
            threads, connections = list(self._threads.values()), list(self._open)
        for one in connections:
            with contextlib.suppress(OSError):
                if one.sock is not None:
                    one.sock.shutdown(socket.SHUT_RDWR)
        until_s = time.monotonic() + _ENDS_WITHIN_S
        for thread in threads:
            thread.join(max(until_s - time.monotonic(), 0.0))

    def _work(self, lane: str) -> None:
        while True:
            with self._lock:
                queue = self._waiting[lane]
                if not queue or self._ended.is_set():
                    del self._threads[lane], self._waiting[lane]
                    return
                number = queue.popleft()
            try:
                self._deliver(number)
            except Exception as error:
                if self._ended.is_set():
                    return
                log.exception("a webhook could not be posted")
                why = f"{type(error).__name__}: {error}"
                self._state.outbox.change(number, status="failed", error=why)

    def _deliver(self, number: int) -> None:
        entry = self._state.outbox.get(number)
        if entry is None or entry["status"] != "waiting":
            return
        try:
            request = self._request(entry)
        except NotPosted as why:
            status = "refused" if why.refused else "failed"
            self._state.outbox.change(number, status=status, error=str(why))
            return
        for attempt in range(len(self._rules.pauses_s) + 1):
            if attempt and self._ended.wait(self._rules.pauses_s[attempt - 1]):
                return
            answered, error = self._try(request)
            if answered is None and self._ended.is_set():
                return
            told = {"to": request.place, "attempts": attempt + 1, "answered": answered}
            if answered is not None and answered < _SERVER_ERROR:
                good = answered < 300  # noqa: PLR2004 - what else is answered is final too
                status = "delivered" if good else "failed"
                self._state.outbox.change(number, **told, status=status, error=error)
                return
            self._state.outbox.change(number, **told, error=error)
        self._state.outbox.change(number, status="failed")

    def _request(self, entry: Entry) -> WebhookRequest:
        name = entry["handle"].partition("-")[2]
        webhook = self._state.storage.get(WEBHOOK, name)
        if webhook is None:
            raise NotPosted(f"there is no webhook {name}")
        custom = {one["name"]: one["value"] for one in self._state.storage.all(VARIABLE)}
        return request_of(webhook, entry["variables"], custom, self._rules)

    def _try(self, request: WebhookRequest) -> tuple[int | None, str | None]:
        """What was answered, and what went wrong."""
        connection = _connection(request, self._rules.timeout_s)
        with self._lock:
            self._open.add(connection)
        try:
            connection.request("POST", request.path, request.body, dict(request.headers))
            answer = connection.getresponse()
            answer.read(_MOST_OF_ANSWER)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return None, f"{type(error).__name__}: {error}"
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()
        bad = answer.status >= 300  # noqa: PLR2004
        return answer.status, f"answered {answer.status} {answer.reason}" if bad else None


def _connection(request: WebhookRequest, timeout_s: float) -> http.client.HTTPConnection:
    if request.secure:
        return http.client.HTTPSConnection(
            request.host, request.port, timeout=timeout_s, context=ssl.create_default_context()
        )
    return http.client.HTTPConnection(request.host, request.port, timeout=timeout_s)


@contextlib.contextmanager
def posting(state: State, rules: WebhookRules) -> Iterator[WebhookPosts]:
    """Post webhooks for as long as the block runs."""
    posts = WebhookPosts(state, rules)
    posts.resume()
    try:
        yield posts
    finally:
        posts.close()
