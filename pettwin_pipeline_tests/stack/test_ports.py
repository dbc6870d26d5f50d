import socket

from pettwin_pipeline.stack.ports import (
    LOOPBACK,
    answers,
    free_port,
    free_ports,
    free_udp_port,
    unless_taken,
)


def test_free_ports_are_all_different() -> None:
    assert len(set(free_ports(50))) == 50


def test_a_port_answers_only_while_somebody_listens() -> None:
    with socket.create_server((LOOPBACK, 0)) as listening:
        port = listening.getsockname()[1]
        assert answers(port)
    assert not answers(port)


def test_nobody_listens_on_a_free_port() -> None:
    assert not answers(free_port())


def test_a_port_is_used_unless_somebody_has_it() -> None:
    port = free_port()
    assert unless_taken(port) == port
    with socket.create_server((LOOPBACK, port)):
        assert unless_taken(port) != port


def test_the_same_of_udp() -> None:
    port = free_udp_port(0)
    assert free_udp_port(port) == port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((LOOPBACK, port))
        assert free_udp_port(port) != port
