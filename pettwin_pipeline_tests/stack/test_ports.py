import socket

from pettwin_pipeline.stack.ports import LOOPBACK, answers, free_port, free_ports


def test_free_ports_are_all_different() -> None:
    assert len(set(free_ports(50))) == 50


def test_a_port_answers_only_while_somebody_listens() -> None:
    with socket.create_server((LOOPBACK, 0)) as listening:
        port = listening.getsockname()[1]
        assert answers(port)
    assert not answers(port)


def test_nobody_listens_on_a_free_port() -> None:
    assert not answers(free_port())
