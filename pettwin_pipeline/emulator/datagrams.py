"""Sockets for DogStatsD, emptied by a process of their own (`drain`), and a thread that reads it.

Knows sockets, processes and threads; what the bytes say is the business of whoever takes them.
"""

import contextlib
import logging
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pettwin_pipeline.emulator import drain
from pettwin_pipeline.errors import StackError

log = logging.getLogger(__name__)
LOOPBACK: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8125
_WISHED_BUFFER: Final = 8 * 1024 * 1024
_SO_RCVBUFFORCE: Final = 33 if sys.platform == "linux" else socket.SO_RCVBUF
"""For those who may: beyond the limit of the kernel (socket(7)). Python has no name for it."""
_READ_BYTES: Final = 1024 * 1024
_PAUSE_S: Final = 0.005
"""Between two reads: what came meanwhile is read together."""
_RESTART_PAUSE_S: Final = 0.1
_STOPS_WITHIN_S: Final = 5.0

Take = Callable[[bytes, int, int], None]
"""Takes datagrams with a line feed between, their number, and how many were thrown away."""


def _widen(one: socket.socket) -> None:
    """Ask for a large buffer: what the kernel grants, usually 208 KiB, is some ten milliseconds."""
    for option in (socket.SO_RCVBUF, _SO_RCVBUFFORCE):
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, option, _WISHED_BUFFER)


def udp_socket(port: int = 0) -> socket.socket:
    """A socket on loopback: on the port, or on a free one if it is taken, or 0."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    _widen(bound)
    try:
        bound.bind((LOOPBACK, port))
    except OSError:
        bound.close()
        if port == 0:
            raise
        return udp_socket(0)
    return bound


def same_port_of_ipv6(port: int) -> socket.socket | None:
    """A socket on the loopback of IPv6, for clients to whom localhost is that first; if it is free.

    Over UDP nobody would tell them that they talk to the wrong one.
    """
    try:
        bound = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    except OSError:
        return None
    _widen(bound)
    try:
        bound.bind(("::1", port))
    except OSError:
        bound.close()
        return None
    return bound


def dropped_by_kernel(port: int, table: Path = Path("/proc/net/udp")) -> int | None:
    """How many datagrams to a UDP port of loopback the kernel had no room for; None: it is silent.

    Args:
        port: bound on loopback.
        table: of the kernel: the last column of a line counts what was dropped.
    """
    wanted = f":{port:04X}"
    try:
        lines = table.read_text("ascii").splitlines()[1:]
    except OSError:
        return None
    found = [line.split() for line in lines]
    return next((int(one[-1]) for one in found if len(one) > 1 and one[1].endswith(wanted)), None)


def unix_socket(path: Path) -> socket.socket:
    """A datagram socket at the path; what is left there of a process that ended is removed.

    Raises:
        StackError: something else is there, or the path cannot be used.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    _widen(bound)
    try:
        if path.is_socket():
            path.unlink()
        bound.bind(str(path))
    except OSError as error:
        bound.close()
        raise StackError(f"DogStatsD cannot listen at {path}: {error}") from None
    return bound


class DatagramReader:
    """Reads sockets from when it is made until it is closed.

    The process that empties them is started again if somebody kills it: the sockets are held here
    too, and what came meanwhile waits in them.

    Args:
        sources: bound datagram sockets; theirs is the reader's from now on.
        take: called in a thread of the reader, one call after another.
    """

    def __init__(self, sources: list[socket.socket], take: Take) -> None:
        self._sources = sources
        self._take = take
        self._closing = False
        self._ours, self._process = self._started()
        self._thread = threading.Thread(target=self._run, name="dogstatsd", daemon=True)
        self._thread.start()

    def _started(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        ours, theirs = socket.socketpair()
        _widen(ours)
        numbers = [one.fileno() for one in self._sources]
        with theirs:
            # -I -S: only the standard library is looked for, it starts in hundredths of a second
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(drain.__file__), *map(str, numbers)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                pass_fds=numbers,
                env={"PATH": os.environ.get("PATH", "")},
            )
        return ours, process

    def close(self) -> None:
        """Read what is there still, then end."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_WR)
        self._thread.join(_STOPS_WITHIN_S)
        if self._thread.is_alive():
            self._process.kill()
            self._thread.join()
        self._process.wait()
        self._ours.close()
        for one in self._sources:
            one.close()

    def _run(self) -> None:
        self._read()
        while not self._closing:
            log.warning("the process that empties the DogStatsD sockets ended; another one starts")
            self._process.wait()
            self._ours.close()
            time.sleep(_RESTART_PAUSE_S)
            self._ours, self._process = self._started()
            self._read()

    def _read(self) -> None:
        waiting = bytearray()
        while piece := self._received():
            waiting += piece
            self._hand_on(waiting)
            time.sleep(_PAUSE_S)

    def _received(self) -> bytes:
        try:
            return self._ours.recv(_READ_BYTES)
        except ConnectionError:
            return b""

    def _hand_on(self, waiting: bytearray) -> None:
        """Every whole frame."""
        head: struct.Struct = drain.HEAD
        place = datagrams = lost = 0
        parts: list[bytes] = []
        while len(waiting) - place >= head.size:
            size, number = head.unpack_from(waiting, place)
            if len(waiting) - place - head.size < size:
                break
            start = place + head.size
            place = start + size
            if number & drain.LOST:
                lost += number & ~drain.LOST
            else:
                parts.append(bytes(waiting[start:place]))
                datagrams += number
        del waiting[:place]
        if parts or lost:
            try:
                self._take(b"\n".join(parts), datagrams, lost)
            except Exception:
                log.exception("%s datagrams could not be taken", datagrams)
