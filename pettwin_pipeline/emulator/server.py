"""Starts and stops a local Datadog: in a thread for tests, in the foreground for people.

Knows uvicorn and sockets; what is answered is in `application`.
"""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn

from pettwin_pipeline.emulator.application import Application
from pettwin_pipeline.emulator.datagrams import DEFAULT_PORT as DOGSTATSD_PORT
from pettwin_pipeline.emulator.dogstatsd import listening
from pettwin_pipeline.emulator.evaluating.evaluator import evaluating
from pettwin_pipeline.emulator.resources import ROUTES
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.webhook_posts import posting
from pettwin_pipeline.emulator.webhook_rules import WebhookRules
from pettwin_pipeline.errors import StackError

LOOPBACK: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8282
_STARTS_WITHIN_S: Final = 10.0
_STOPS_WITHIN_S: Final = 5
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class LocalDatadog:
    """One that runs."""

    address: str
    """http://host:port, without a path."""
    state: State
    dogstatsd_port: int
    """UDP, on the same host."""
    dogstatsd_socket: Path | None = None
    """Of a unix socket, where one was asked for."""

    @property
    def dogstatsd(self) -> str:
        """host:port of UDP."""
        return f"{LOOPBACK}:{self.dogstatsd_port}"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where it listens: ports that are wished for, and the path of a unix socket."""

    http: int
    dogstatsd: int
    dogstatsd_socket: Path | None


def listening_socket(port: int = 0) -> socket.socket:
    """A socket that listens on loopback: on the port, or on a free one if it is taken, or 0."""
    # asyncio switches Nagle's algorithm off only where the protocol is named; with it, every answer
    # waits 40 ms for the client's acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        if port == 0:
            raise
        return listening_socket(0)
    return listener


def _server(state: State) -> uvicorn.Server:
    config = uvicorn.Config(
        Application(state, ROUTES),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        ws="none",
        timeout_graceful_shutdown=_STOPS_WITHIN_S,
    )
    return uvicorn.Server(config)


@contextlib.contextmanager
def running_local_datadog(
    *,
    path: Path | None = None,
    seed: int | None = None,
    port: int = 0,
    dogstatsd_port: int = 0,
    dogstatsd_socket: Path | None = None,
    webhooks: WebhookRules | None = None,
) -> Iterator[LocalDatadog]:
    """A local Datadog in a thread, for as long as the block runs; ready when the block begins.

    Args:
        path: of the file that keeps its state; none: in memory.
        seed: of its ids; none: they differ each time.
        port: 0, or one that is taken: a free one.
        dogstatsd_port: of UDP, in the same way.
        dogstatsd_socket: path of a unix socket for DogStatsD besides.
        webhooks: where notifications may be posted to; none: loopback.

    Raises:
        UnknownFormatError: another release wrote the file.
        StackError: it does not start.
    """
    ports = Ports(port, dogstatsd_port, dogstatsd_socket)
    with _parts(path, seed, ports, webhooks) as (listener, local):
        server = _server(local.state)
        ready = threading.Event()
        thread = threading.Thread(
            target=asyncio.run, args=(_serve(server, listener, ready.set),), name="local-datadog"
        )
        thread.start()
        try:
            if not ready.wait(_STARTS_WITHIN_S):
                raise StackError("the local Datadog did not start")
            yield local
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def _parts(
    path: Path | None, seed: int | None, ports: Ports, webhooks: WebhookRules | None
) -> Iterator[tuple[socket.socket, LocalDatadog]]:
    """The state, DogStatsD that fills it, monitors that watch it; everything but HTTP."""
    state = State.opened(path, seed=seed)
    with (
        contextlib.closing(state),
        listening_socket(ports.http) as listener,
        posting(state, webhooks or WebhookRules()) as posts,
        evaluating(state, _address(listener), posts.post),
        listening(state, ports.dogstatsd, ports.dogstatsd_socket) as (udp_port, socket_path),
    ):
        yield listener, LocalDatadog(_address(listener), state, udp_port, socket_path)


async def _serve(
    server: uvicorn.Server, listener: socket.socket, ready: Callable[[], None]
) -> None:
    """Serve without touching the signals of the process."""
    config = server.config
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    ready()
    await server.main_loop()
    await server.shutdown(sockets=[listener])


def _address(listener: socket.socket) -> str:
    return f"http://{LOOPBACK}:{listener.getsockname()[1]}"


def serve_in_foreground(
    path: Path,
    port: int,
    ready: Callable[[LocalDatadog], None],
    *,
    seed: int | None = None,
    dogstatsd_port: int = DOGSTATSD_PORT,
    dogstatsd_socket: Path | None = None,
    webhooks: WebhookRules | None = None,
) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP.

    Args:
        path: of the file that keeps its state.
        port: wished for; a free one if it is taken.
        ready: told where it is once it answers.
        seed: of its ids.
        dogstatsd_port: wished for, of UDP.
        dogstatsd_socket: path of a unix socket for DogStatsD besides.
        webhooks: where notifications may be posted to; none: loopback.

    Raises:
        UnknownFormatError: another release wrote the file.
        StackError: DogStatsD cannot listen at the path.
    """
    ports = Ports(port, dogstatsd_port, dogstatsd_socket)
    with _parts(path, seed, ports, webhooks) as (listener, local):
        server = _server(local.state)
        with _ending_on_signals(server):
            asyncio.run(_serve(server, listener, lambda: ready(local)))


@contextlib.contextmanager
def _ending_on_signals(server: uvicorn.Server) -> Iterator[None]:
    """Not uvicorn's way: it raises the signal once more when it has ended."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        server.should_exit = True

    before = {number: signal.signal(number, end) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
