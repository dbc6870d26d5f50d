"""DogStatsD where something is wrong: clocks that jump, limits, a full disk, a killed process."""

import os
import signal
import socket
import sqlite3
import time

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettwin_pipeline.emulator.dogstatsd import take_datagrams
from pettwin_pipeline.emulator.received import TOO_MANY_SERIES
from pettwin_pipeline.emulator.server import LocalDatadog, running_local_datadog
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.emulator.statsd import (
    START_S,
    after,
    await_datagrams,
    row,
    send,
    stand,
    unread,
)
from pettwin_pipeline_tests.stack.programs import is_gone, wait_for


def test_a_clock_that_is_set_back_leaves_nothing_stuck(standing: LocalDatadog) -> None:
    send(standing, "a:1|g")
    stand(standing, START_S - 7200)
    send(standing, "a:2|g")
    stand(standing, START_S - 7190)
    assert row(standing, "avg:a{*}", START_S - 7200, START_S - 7190) == {-7200: 2}
    assert row(standing, "avg:a{*}", START_S, START_S + 10) == {0: 1}


def test_a_clock_that_is_set_far_forward_leaves_nothing_stuck(standing: LocalDatadog) -> None:
    send(standing, "a:1|c")
    stand(standing, START_S + 10 * 365 * 86_400)
    assert row(standing, "sum:a{*}.as_count()", START_S, START_S + 10) == {0: 1}


def test_beyond_the_limit_of_series_samples_are_refused_and_counted(
    standing: LocalDatadog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pettwin_pipeline.emulator.received.MOST_SERIES", 100)
    send(standing, *("\n".join(f"a:1|c|#n:{n}" for n in range(k, k + 50)) for k in (0, 50, 100)))
    assert unread(standing) == {TOO_MANY_SERIES: 50}
    send(standing, "a:1|c|#n:7")
    assert unread(standing) == {TOO_MANY_SERIES: 50}
    assert row(after(standing), "sum:a{*}.as_count()", START_S, START_S + 10) == {0: 101}


def test_series_that_the_store_refuses_are_counted_once_and_report_no_zeros(
    standing: LocalDatadog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing.state.points._index, "_most", 2)
    send(standing, "a:1|c|#n:1\na:1|c|#n:2\na:1|c|#n:3\nb:1|g")
    after(standing, 60)
    assert row(standing, "sum:a{*}.as_count()", START_S, START_S + 10) == {0: 2}
    assert unread(standing) == {TOO_MANY_SERIES: 2}
    after(standing, 60)
    assert row(standing, "sum:a{*}.as_count()", START_S + 20, START_S + 30) == {20: 0}
    assert unread(standing) == {TOO_MANY_SERIES: 2}


def test_points_that_cannot_be_written_are_tried_again(
    standing: LocalDatadog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    send(standing, "a:15|c")

    def full(*_: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(standing.state.points._file, "write", full)
    after(standing)
    assert row(standing, "sum:a{*}.as_count()", START_S, START_S + 10) == {}
    assert "disk is full" in caplog.text
    monkeypatch.undo()
    assert row(standing, "sum:a{*}.as_count()", START_S, START_S + 10) == {0: 15}
    assert unread(standing) == {}


def test_a_share_of_the_lines_is_lost_while_that_fault_is_on(standing: LocalDatadog) -> None:
    fault = {"kind": "drop_dogstatsd", "share": 0.25}
    assert ask(standing, "POST", "/_local/faults", fault, {}).status == 200
    send(standing, *["a:1|c"] * 1000)
    lost = 1000 - standing.state.received.counted("lines")
    assert 150 < lost < 350
    assert ask(standing, "GET", "/api/v1/validate").status == 200, "it is no fault of requests"
    assert ask(standing, "DELETE", "/_local/faults", headers={}).status == 204
    send(standing, *["a:1|c"] * 100)
    assert standing.state.received.counted("lines") == 1100 - lost


def test_when_the_process_that_empties_the_socket_is_killed_another_one_goes_on(
    standing: LocalDatadog,
) -> None:
    (drain,) = (
        one
        for one in psutil.Process().children()
        if any(part.endswith("drain.py") for part in one.cmdline())
    )
    send(standing, "a:1|c")
    os.kill(drain.pid, signal.SIGKILL)
    wait_for(lambda: is_gone(drain.pid))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(100):
            sender.sendto(b"a:1|c", ("127.0.0.1", standing.dogstatsd_port))
            time.sleep(0.001)
    await_datagrams(standing, 101)
    assert row(after(standing), "sum:a{*}.as_count()", START_S, START_S + 10) == {0: 101}


def test_no_process_is_left_when_it_ends() -> None:
    with running_local_datadog() as local:
        send(local, "a:1|c")
    assert not [
        one
        for one in psutil.Process().children()
        if any(part.endswith("drain.py") for part in one.cmdline())
    ]


LINES = st.one_of(
    st.binary(max_size=60),
    st.builds(
        "{}:{}|{}{}".format,
        st.sampled_from(["a", "b.c", "é", "d" * 300]),
        st.one_of(
            st.floats().map(repr),
            st.sampled_from(["1e308:1e308", "-1e308:1e308:1e308", "5e-324", "x", "1:2:3"]),
        ),
        st.sampled_from(["c", "g", "h", "ms", "d", "s", "x"]),
        st.sampled_from(["", "|@1e-300", "|@0.5", "|#a:b,c", f"|T{START_S}", "|#" + "t," * 99]),
    ).map(str.encode),
    st.builds(
        "_e{{{},{}}}:{}".format, st.integers(0, 9), st.integers(0, 9), st.text(max_size=20)
    ).map(lambda text: text.encode("utf-8", "replace")),
    st.builds(
        "_sc|{}|{}|{}".format,
        st.text(max_size=5),
        st.integers(0, 5),
        st.sampled_from(["", "d:1", "d:x", f"d:{START_S}", "#a:b", "m:text"]),
    ).map(lambda text: text.encode("utf-8", "replace")),
)


@given(st.lists(st.lists(LINES, max_size=6).map(b"\n".join), max_size=6))
@settings(max_examples=150, deadline=None)
def test_any_datagram_is_stored_or_refused_with_a_reason(datagrams: list[bytes]) -> None:
    state = State.opened(seed=1)
    state.clock.set(START_S, stand=True)
    for one in datagrams:
        take_datagrams(state, one)
    state.clock.advance(10)
    take_datagrams(state, b"")
    told = state.received.told()
    refused = sum(told["not_stored"].values())
    kept = state.timeline.counts()
    received = told["received"]
    assert received["events"] == kept.get("event", 0)
    assert received["checks"] == kept.get("check", 0)
    lines = sum(len([x for x in one.split(b"\n") if x.rstrip(b"\r")]) for one in datagrams)
    assert received["lines"] >= lines
    if lines and not refused:
        assert state.points.metrics() or kept
    state.close()
