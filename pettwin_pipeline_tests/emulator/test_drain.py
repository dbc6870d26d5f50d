"""The program that empties sockets: what it hands on, and what it says of what it cannot."""

import socket
from collections.abc import Iterator

import pytest

from pettwin_pipeline.emulator import drain
from pettwin_pipeline.emulator.drain import HEAD, LOST, Outlet


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Its end, and the other one."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(5)
        yield ours, theirs


def frames(theirs: socket.socket, outlet: Outlet) -> list[tuple[int, bytes]]:
    """Everything that waits: number and content."""
    raw = b""
    while outlet.bytes:
        outlet.send()
        raw += theirs.recv(1_000_000)
    found = []
    while raw:
        size, number = HEAD.unpack_from(raw)
        found.append((number, raw[HEAD.size : HEAD.size + size]))
        raw = raw[HEAD.size + size :]
    return found


def test_datagrams_are_handed_on_together(pair: tuple[socket.socket, socket.socket]) -> None:
    outlet = Outlet(pair[0])
    outlet.add([b"a:1|c", b"b:1|c"])
    outlet.add([b"", b"c:1|c"])
    outlet.add([])
    assert frames(pair[1], outlet) == [(2, b"a:1|c\nb:1|c"), (2, b"\nc:1|c")]


def test_many_are_cut_into_frames(pair: tuple[socket.socket, socket.socket]) -> None:
    outlet = Outlet(pair[0])
    outlet.add([b"x" * 100_000] * 7)
    found = frames(pair[1], outlet)
    assert [number for number, _ in found] == [3, 3, 1]
    assert sum(content.count(b"x") for _, content in found) == 700_000


def test_what_waits_beyond_the_limit_is_thrown_away_and_told(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "MOST_WAITING_BYTES", 100)
    outlet = Outlet(pair[0])
    for _ in range(5):
        outlet.add([b"x" * 39])
    assert frames(pair[1], outlet) == [(1, b"x" * 39), (1, b"x" * 39)]
    outlet.add([b"y"])
    assert frames(pair[1], outlet) == [(LOST | 3, b""), (1, b"y")]
