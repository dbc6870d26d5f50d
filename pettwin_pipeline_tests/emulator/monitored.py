"""A local Datadog on a clock that stands: points in, minutes forward, states and notices out."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.asking import ask

START_S = 1_900_000_800
"""A full hour of the year 2030."""


@dataclass
class Scene:
    """One local Datadog whose clock stands at `at_s`."""

    local: LocalDatadog
    at_s: int = START_S

    def __post_init__(self) -> None:
        self.clock(at=self.at_s, stand=True)

    def clock(self, **told: Any) -> Any:
        """Move the clock; what `/_local/clock` says once the monitors are evaluated."""
        answer = ask(self.local, "PUT", "/_local/clock", told)
        assert answer.status == 200, answer.content
        return answer.json

    def advance(self, seconds: int) -> None:
        """Go on by so much; every minute between is evaluated."""
        self.at_s += seconds
        self.clock(advance_s=seconds)

    def gauge(self, value: float, *tags: str, name: str = "heat", at_s: int | None = None) -> None:
        """One point, now or at a time."""
        self.points([value], *tags, name=name, at_s=at_s)

    def points(
        self,
        values: list[float],
        *tags: str,
        name: str = "heat",
        at_s: int | None = None,
        kind: int = 3,
        every_s: int = 60,
    ) -> None:
        """Points of a series, the last of them now or at `at_s`; `kind` 3 is a gauge, 1 a count."""
        last_s = self.at_s if at_s is None else at_s
        first_s = last_s - (len(values) - 1) * every_s
        points = [
            {"timestamp": first_s + place * every_s, "value": value}
            for place, value in enumerate(values)
        ]
        series = [{"metric": name, "type": kind, "points": points, "tags": list(tags)}]
        answer = ask(self.local, "POST", "/api/v2/series", {"series": series})
        assert answer.status == 202, answer.content

    def check(self, status: int, *tags: str, name: str = "up", message: str = "") -> None:
        """One run of a service check, now."""
        run = {"check": name, "status": status, "tags": list(tags), "message": message}
        run |= {"host_name": "", "timestamp": self.at_s}
        assert ask(self.local, "POST", "/api/v1/check_run", run).status == 202

    def monitor(self, query: str, kind: str = "query alert", **more: Any) -> int:
        """A new monitor; its id. Options that a test does not speak of are those of the API."""
        body = {"type": kind, "query": query, "name": "Too hot", "message": "m", **more}
        answer = ask(self.local, "POST", "/api/v1/monitor", body)
        assert answer.status == 200, answer.content
        return int(answer.json["id"])

    def read(self, monitor_id: int) -> Any:
        """A monitor with all of its groups."""
        path = f"/api/v1/monitor/{monitor_id}?group_states=all"
        return ask(self.local, "GET", path).json

    def state(self, monitor_id: int) -> str:
        """Its overall state."""
        return str(self.read(monitor_id)["overall_state"])

    def groups(self, monitor_id: int) -> dict[str, str]:
        """The state of each group."""
        groups = self.read(monitor_id)["state"]["groups"]
        return {name: one["status"] for name, one in groups.items()}

    def events(self, query: str = "source:alert") -> list[Any]:
        """What monitors wrote, oldest first, of the last two days."""
        told = {"filter": {"query": query, "from": "now-2d", "to": "now"}, "sort": "timestamp"}
        body = {**told, "page": {"limit": 1000}}
        return list(ask(self.local, "POST", "/api/v2/events/search", body).json["data"])

    def titles(self, query: str = "source:alert") -> list[str]:
        """Their titles."""
        return [one["attributes"]["attributes"]["title"] for one in self.events(query)]

    def outbox(self, **asked: str) -> list[Any]:
        """The notifications, oldest first."""
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        found = ask(self.local, "GET", f"/_local/outbox?count=1000&{query}").json["notifications"]
        return list(reversed(found))

    def told(self, **asked: str) -> list[str]:
        """The titles of the notifications."""
        return [one["title"] for one in self.outbox(**asked)]


@dataclass
class Receiver:
    """Takes webhooks, and answers what it is told to."""

    address: str
    answers: list[int] = field(default_factory=list)
    """Of the next requests; 200 when there is none."""
    slow: threading.Event | None = None
    """Waited for before each answer."""
    requests: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    """Path, headers by lower-case name, body."""
    came: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int) -> list[tuple[str, Mapping[str, str], bytes]]:
        """Once so many requests have come; fails when they do not."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.requests) >= count, 20), self.requests
            return list(self.requests)

    def json(self, count: int) -> Any:
        """The body of that request, the first is 1."""
        return json.loads(self.wait_for(count)[count - 1][2])


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver of webhooks on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with receiver.came:
                headers = {name.lower(): text for name, text in self.headers.items()}
                receiver.requests.append((self.path, headers, body))
                receiver.came.notify_all()
            if receiver.slow is not None:
                receiver.slow.wait(20)
            self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
