"""Empties sockets of datagrams as fast as they fill: a program of its own, started by `datagrams`.

The kernel holds a few hundred datagrams; a process that also evaluates and answers looks away for
longer than they last. This one does nothing else. It imports little and knows nothing of what it
carries; its standard input is a socket to the process that does.

    python drain.py FD [FD ...]        each a bound datagram socket; frames go to standard input

A frame is two numbers, bytes and datagrams (4 bytes each, big endian), then the datagrams with a
line feed between. Memory is bounded: what waits beyond that is thrown away, and how many they were
is told in a frame without bytes, with `LOST` added. It ends when the other process does.
"""

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import time
from collections import deque

LARGEST_DATAGRAM = 262_144
FRAME_BYTES = 262_144
MOST_WAITING_BYTES = 256_000_000
MOST_AT_ONCE = 4_096
PAUSE_S = 0.001
"""After each round: datagrams gather, and are then handed on together."""
HEAD = struct.Struct(">II")
LOST = 0x8000_0000


class Outlet:
    """What waits to be handed on."""

    def __init__(self, to: socket.socket) -> None:
        """Nothing waits."""
        to.setblocking(False)
        self._to = to
        self._frames: deque[memoryview] = deque()
        self.bytes = 0
        self._lost = 0

    def add(self, datagrams: list[bytes]) -> None:
        """Hand datagrams on, in frames."""
        part: list[bytes] = []
        size = 0
        for one in datagrams:
            part.append(one)
            size += len(one) + 1
            if size >= FRAME_BYTES:
                self._put(part)
                part, size = [], 0
        if part:
            self._put(part)

    def _put(self, part: list[bytes]) -> None:
        content = b"\n".join(part)
        if self.bytes + len(content) > MOST_WAITING_BYTES:
            self._lost += len(part)
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            self._queue(HEAD.pack(0, LOST | lost))
        self._queue(HEAD.pack(len(content), len(part)) + content)

    def _queue(self, frame: bytes) -> None:
        self._frames.append(memoryview(frame))
        self.bytes += len(frame)

    def send(self) -> None:
        """As much as is taken now."""
        while self._frames:
            frame = self._frames[0]
            try:
                sent = self._to.send(frame)
            except BlockingIOError:
                return
            self.bytes -= sent
            if sent < len(frame):
                self._frames[0] = frame[sent:]
                return
            self._frames.popleft()


BUFFER = bytearray(LARGEST_DATAGRAM)
VIEW = memoryview(BUFFER)


def received(source: socket.socket) -> list[bytes]:
    """What the kernel holds, up to a number."""
    found: list[bytes] = []
    take, view = source.recv_into, VIEW
    try:
        for _ in range(MOST_AT_ONCE):
            # into one buffer: making one of this size for each datagram takes longer than reading
            size = take(view, 0, socket.MSG_DONTWAIT)
            found.append(bytes(view[:size]))
    except BlockingIOError:
        pass
    except ConnectionError:  # an answer of the kernel to a datagram that was never sent by us
        pass
    return found


def run(numbers: list[int]) -> None:
    """Until the other process is gone."""
    sources = {number: socket.socket(fileno=number) for number in numbers}
    other = socket.socket(fileno=0)
    outlet = Outlet(other)
    watch = select.poll()
    for number in sources:
        watch.register(number, select.POLLIN)
    while True:
        watch.register(0, select.POLLIN | (select.POLLOUT if outlet.bytes else 0))
        for number, event in watch.poll():
            if number in sources:
                outlet.add(received(sources[number]))
            elif event & (select.POLLHUP | select.POLLERR) or (
                event & select.POLLIN and not other.recv(1)
            ):
                finish(outlet, other, list(sources.values()))
                return
        outlet.send()
        time.sleep(PAUSE_S)


def finish(outlet: Outlet, other: socket.socket, sources: list[socket.socket]) -> None:
    """Hand on what the kernel still holds."""
    for source in sources:
        outlet.add(received(source))
        source.close()
    other.setblocking(True)
    outlet.send()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the business of the other process
    with contextlib.suppress(OSError):  # who may, goes first: it needs little and cannot wait
        os.nice(-10)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        run([int(text) for text in sys.argv[1:]])
