"""Sockets of datagrams: bound where there is room, and what the kernel says of them."""

import socket
import time
from pathlib import Path

import pytest

from pettwin_pipeline.emulator.datagrams import DatagramReader, dropped_by_kernel, udp_socket
from pettwin_pipeline_tests.stack.programs import wait_for


def test_a_port_that_is_taken_becomes_a_free_one() -> None:
    with udp_socket() as first, udp_socket(first.getsockname()[1]) as second:
        assert second.getsockname()[1] not in {0, first.getsockname()[1]}


def test_what_the_kernel_dropped_is_told() -> None:
    with udp_socket() as full, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        port = full.getsockname()[1]
        if dropped_by_kernel(port) is None:
            pytest.skip("this kernel does not tell")
        for _ in range(100):
            sender.sendto(b"x" * 1000, ("127.0.0.1", port))
        assert 0 < (dropped_by_kernel(port) or 0) < 100


def test_a_kernel_that_does_not_tell_is_silence(tmp_path: Path) -> None:
    assert dropped_by_kernel(1, tmp_path / "none") is None
    (tmp_path / "empty").write_text("sl local_address drops\n\n")
    assert dropped_by_kernel(1, tmp_path / "empty") is None


def test_datagrams_come_in_their_order_and_the_last_ones_before_the_end() -> None:
    taken: list[bytes] = []
    counts: list[int] = []

    def take(batch: bytes, datagrams: int, lost: int) -> None:
        assert lost == 0
        taken.extend(batch.split(b"\n"))
        counts.append(datagrams)

    source = udp_socket()
    port = source.getsockname()[1]
    reader = DatagramReader([source], take)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(500):
            sender.sendto(b"%d" % number, ("127.0.0.1", port))
        wait_for(lambda: len(taken) > 0)
        for number in range(500, 1000):
            sender.sendto(b"%d" % number, ("127.0.0.1", port))
    reader.close()
    assert taken == [b"%d" % number for number in range(1000)]
    assert sum(counts) == 1000


def test_one_that_takes_slowly_loses_nothing() -> None:
    taken: list[int] = []

    def take(batch: bytes, datagrams: int, lost: int) -> None:
        del batch
        assert lost == 0
        time.sleep(0.05)
        taken.append(datagrams)

    source = udp_socket()
    port = source.getsockname()[1]
    reader = DatagramReader([source], take)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for place in range(4000):
            sender.sendto(b"x" * 1000, ("127.0.0.1", port))
            if place % 50 == 0:
                time.sleep(0.001)
    reader.close()
    assert sum(taken) == 4000


def test_one_that_fails_on_a_batch_takes_the_next_one(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[bytes] = []

    def take(batch: bytes, datagrams: int, lost: int) -> None:
        assert (datagrams, lost) == (1, 0)
        if batch == b"bad":
            raise RuntimeError("cannot take this")
        taken.append(batch)

    source = udp_socket()
    port = source.getsockname()[1]
    reader = DatagramReader([source], take)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"bad", ("127.0.0.1", port))
        wait_for(lambda: "cannot take this" in caplog.text)
        sender.sendto(b"good", ("127.0.0.1", port))
        wait_for(lambda: taken == [b"good"])
    reader.close()
