"""The HTTP intake: a server that keeps requests and answers what it is told; points for it."""

import json
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from pettwin_pipeline.adapters.datadog_api import DatadogApiTransport, Limits
from pettwin_pipeline.metrics.points import Point

SERIES = "/api/v2/series"
DISTRIBUTIONS = "/api/v1/distribution_points"
KEY = "0123456789abcdef0123456789abcdef"
CONSTANT = ("env:test", "service:pettwin-pipeline", "version:1.2.3")
NOW_S = 1_700_000_000.9
SECOND = 1_700_000_000
CONSUMED = (("consumer_group", "g"), ("topic", "t"))


@dataclass(frozen=True)
class Answer:
    """What the server says to one request."""

    status: int = 202
    body: bytes = b'{"errors":[]}'
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False
    """It never answers."""
    cuts: bool = False
    """It reads the request and closes the connection."""


@dataclass(frozen=True)
class Request:
    """What arrived."""

    path: str
    headers: Mapping[str, str]
    unpacked: bytes

    @property
    def series(self) -> list[dict[str, Any]]:
        """The rows of the body."""
        content = json.loads(self.unpacked)
        assert list(content) == ["series"]
        return list(content["series"])


class Intake:
    """A server on a free port of the loopback interface.

    Answers are given in turn, those `to` a path before the others; when there are none left every
    request is accepted.
    """

    def __init__(self, *answers: Answer, to: Mapping[str, Answer] | None = None) -> None:
        self._answers = list(answers)
        self._to = dict(to or {})
        self._let_go = threading.Event()
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def address(self) -> str:
        """http://host:port."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def rows(self, path: str) -> list[dict[str, Any]]:
        """All rows that were posted to a path."""
        return [row for one in self.requests if one.path == path for row in one.series]

    def _next(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            if request.path in self._to:
                return self._to[request.path]
            return self._answers.pop(0) if self._answers else Answer()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        intake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "deflate":
                    body = zlib.decompress(body)
                answer = intake._next(Request(self.path, dict(self.headers), body))
                if answer.hangs:
                    intake._let_go.wait(30)
                if answer.hangs or answer.cuts:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for key, value in answer.headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def timestamps(self) -> list[int]:
        """The seconds of all series."""
        return [row["points"][0]["timestamp"] for row in self.rows(SERIES)]


class Clock:
    """A clock that goes on only when somebody waits."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self.waits.append(seconds)
        self.now_s += seconds


def to(
    address: str,
    clock: Clock | None = None,
    limits: Limits | None = None,
    key: str = KEY,
    **more: str,
) -> DatadogApiTransport:
    """The transport to an intake, on a clock of its own."""
    clock = clock or Clock()
    return DatadogApiTransport(
        SecretStr(key),
        address=address,
        constant_tags=CONSTANT,
        limits=limits or Limits(),
        sleep=clock.sleep,
        monotonic=lambda: clock.now_s,
        **more,  # type: ignore[arg-type]
    )


def consumed(number: float, timestamp_s: int | None = None) -> Point:
    """A count."""
    return Point("kafka.messages.consumed", "count", (number,), CONSUMED, timestamp_s=timestamp_s)


def latencies(*values: float, rate: float = 1.0) -> Point:
    """Values of a distribution."""
    tags = (("topic", "t"),)
    return Point("kafka.produce.latency", "distribution", values, tags, sample_rate=rate)


def cpu(percent: float) -> Point:
    """A gauge."""
    return Point("pipeline.process.cpu", "gauge", (percent,), (("component", "daemon"),))
