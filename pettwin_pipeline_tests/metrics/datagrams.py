"""The other end of DogStatsD: sockets that are read, and lines taken apart and checked.

Written from the protocol's description, not from our code: a codec that both ends share hides its
own mistakes. https://docs.datadoghq.com/developers/dogstatsd/datagram_shell
"""

import socket
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pettwin_pipeline.metrics.definitions import METRICS

LETTERS = {"c": "count", "g": "gauge", "d": "distribution"}
_END = b"the test has seen enough"


@dataclass(frozen=True)
class Line:
    """One metric of a datagram."""

    name: str
    values: tuple[float, ...]
    letter: str
    rate: float
    tags: tuple[str, ...]
    timestamp_s: int | None

    @property
    def tag_values(self) -> dict[str, str]:
        """The tags by key."""
        return dict(tag.split(":", 1) for tag in self.tags)

    @property
    def weighted_values(self) -> float:
        """How many measured values the line stands for, as an Agent counts them."""
        return len(self.values) * int(1 / self.rate)


def parse_line(text: str) -> Line:
    """`name:1:2|d|@0.5|#key:value,key:value|c:container|T1700000000`."""
    head, letter, *fields = text.split("|")
    name, *values = head.split(":")
    by_mark = {field[:1]: field[1:] for field in fields}
    assert len(by_mark) == len(fields), f"a field is there twice: {text}"
    assert set(by_mark) <= set("@#ceT"), f"an unknown field: {text}"
    return Line(
        name,
        tuple(map(float, values)),
        letter,
        float(by_mark.get("@", "1")),
        tuple(by_mark["#"].split(",")) if "#" in by_mark else (),
        int(by_mark["T"]) if "T" in by_mark else None,
    )


def check_line(line: Line, constant: Iterable[str], namespace: str = "") -> None:
    """Assert that a line is what the catalogue declares, with each constant tag once."""
    assert line.name.startswith(namespace)
    metric = METRICS[line.name.removeprefix(namespace)]
    assert LETTERS[line.letter] == metric.kind, line
    assert line.values
    assert line.letter == "d" or len(line.values) == 1, line
    assert len(set(line.tags)) == len(line.tags), f"a tag is there twice: {line}"
    for tag in constant:
        assert tag in line.tags, line
    declared = set(line.tags) - set(constant)
    assert len(declared) == len(line.tags) - len(list(constant))
    for key, value in (tag.split(":", 1) for tag in declared):
        assert metric.tags[key].holds(value), line
    given = {tag.split(":", 1)[0] for tag in declared}
    assert {key for key, values in metric.tags.items() if not values.optional} <= given, line


class Listener:
    """A datagram socket that is read in a thread until `lines()` is asked for."""

    def __init__(self, family: int, address: str | tuple[str, int]) -> None:
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        self._socket.bind(address)
        self.datagrams: list[bytes] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @classmethod
    def udp(cls) -> "Listener":
        """On a free port of the loopback interface."""
        return cls(socket.AF_INET, ("127.0.0.1", 0))

    @classmethod
    def unix(cls, path: Path) -> "Listener":
        """At a path."""
        return cls(socket.AF_UNIX, str(path))

    @property
    def port(self) -> int:
        """The UDP port."""
        return int(self._socket.getsockname()[1])

    def _read(self) -> None:
        while (datagram := self._socket.recv(65_536)) != _END:
            self.datagrams.append(datagram)

    def _end(self) -> None:
        """Send the last datagram: on one host they arrive in the order of sending."""
        with socket.socket(self._socket.family, socket.SOCK_DGRAM) as end:
            while self._thread.is_alive():
                end.sendto(_END, self._socket.getsockname())
                self._thread.join(1.0)

    def lines(self) -> list[Line]:
        """Every line that arrived before now; the socket is read no longer."""
        self._end()
        return [parse_line(text) for text in texts(self.datagrams)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        self._socket.close()


def texts(datagrams: Sequence[bytes]) -> list[str]:
    """The lines of datagrams; each ends with a newline or the datagram."""
    return [text for one in datagrams for text in one.decode().split("\n") if text]
