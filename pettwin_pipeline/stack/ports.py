"""Ports on loopback: free ones to hand out, and whether somebody answers on one.

Knows sockets and nothing of who will use them.
"""

import contextlib
import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens at the moment, all different.

    They are let go before they are returned, so another process may take one first: rare, and
    then what was to listen there does not start and says why.
    """
    with contextlib.ExitStack() as held:
        ports = []
        for _ in range(count):
            one = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            one.bind((LOOPBACK, 0))
            ports.append(int(one.getsockname()[1]))
        return ports


def free_port() -> int:
    """One port on which nobody listens at the moment; see `free_ports`."""
    return free_ports(1)[0]


def answers(port: int, timeout_s: float = 1.0) -> bool:
    """Whether a connection to the port is accepted."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True


def unless_taken(port: int) -> int:
    """The port, or a free one where somebody has it."""
    return port if _can_bind(port, socket.SOCK_STREAM) else free_port()


def free_udp_port(port: int) -> int:
    """The UDP port, or a free one where somebody has it, or it is 0."""
    return port if port and _can_bind(port, socket.SOCK_DGRAM) else _any_udp_port()


def _can_bind(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as one:
        if kind == socket.SOCK_STREAM:  # what was closed a moment ago does not count as taken
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _any_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])
