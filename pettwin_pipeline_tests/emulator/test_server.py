"""Starting and stopping: in a test, and alone in the foreground."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pettwin_pipeline.cli import run
from pettwin_pipeline.emulator.datagrams import DEFAULT_PORT as DOGSTATSD_PORT
from pettwin_pipeline.emulator.datagrams import udp_socket
from pettwin_pipeline.emulator.server import (
    DEFAULT_PORT,
    LocalDatadog,
    listening_socket,
    running_local_datadog,
)
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.settings import Settings
from pettwin_pipeline_tests.commands.place import PREFIXES
from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.emulator.statsd import START_S, row, send, stand
from pettwin_pipeline_tests.stack.programs import wait_for


def test_two_run_side_by_side_on_ports_of_their_own() -> None:
    with running_local_datadog() as one, running_local_datadog() as other:
        assert one.address != other.address
        ask(one, "POST", "/api/v1/dashboard/lists/manual", {"name": "mine"})
        assert ask(other, "GET", "/api/v1/dashboard/lists/manual").json["dashboard_lists"] == []


def test_another_port_is_taken_where_the_wished_one_is_not_free() -> None:
    with listening_socket() as taken:
        port = taken.getsockname()[1]
        with running_local_datadog(port=port) as local:
            assert not local.address.endswith(f":{port}")


def test_with_a_seed_the_ids_are_the_same_again() -> None:
    made = []
    for _ in range(2):
        with running_local_datadog(seed=3) as local:
            body = {"title": "x", "layout_type": "ordered", "widgets": []}
            made.append(ask(local, "POST", "/api/v1/dashboard", body).json["id"])
    assert made[0] == made[1]


@contextmanager
def alone(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """`pettwin up --only datadog`, which has said where it is."""
    env = {name: text for name, text in os.environ.items() if not name.startswith(PREFIXES)}
    program = subprocess.Popen(
        [sys.executable, "-m", "pettwin_pipeline.cli", "up", "--only", "datadog"],
        env={**env, "PETTWIN_STATE_DIR": str(folder)},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for((folder / "stack.json").exists)
        yield program
    finally:
        program.kill()
        program.wait()


def address_in(folder: Path) -> str:
    told = json.loads((folder / "stack.json").read_text())
    return str(told["addresses"]["datadog"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_alone_it_answers_until_a_signal_and_leaves_nothing_that_says_it_runs(
    tmp_path: Path, number: signal.Signals
) -> None:
    with alone(tmp_path) as program:
        local = LocalDatadog(address_in(tmp_path), State.opened(), 0)
        assert ask(local, "GET", "/_local/health", headers={}).status == 200
        program.send_signal(number)
        said, _ = program.communicate(timeout=20)
        assert program.returncode == 0, said
        assert "not affiliated" in said
        assert said.splitlines()[-1] == "stopped"
    assert not (tmp_path / "stack.json").exists()
    assert (tmp_path / "datadog.sqlite").exists()


def test_alone_it_takes_another_port_where_its_own_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", DEFAULT_PORT))
            taken.listen()
        except OSError:  # somebody else has it: as good
            pass
        with alone(tmp_path):
            assert not address_in(tmp_path).endswith(f":{DEFAULT_PORT}")


def test_alone_it_takes_another_udp_port_where_its_own_is_taken(tmp_path: Path) -> None:
    with udp_socket(DOGSTATSD_PORT) as taken, alone(tmp_path):
        told = json.loads((tmp_path / "stack.json").read_text())["addresses"]["dogstatsd"]
        # that one, or any where somebody else had it
        assert not told.endswith(f":{taken.getsockname()[1]}")


def test_a_unix_socket_is_for_the_local_datadog_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--dogstatsd-socket", "x"]) == 2
    assert "--only datadog" in capsys.readouterr().err


def test_while_it_runs_alone_there_is_no_broker_to_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in os.environ:
        if name.startswith(PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PETTWIN_STATE_DIR", str(tmp_path))
    with alone(tmp_path):
        services = {one.name: one.state for one in Settings.load().services()}
        assert services["kafka"] == "none"
        assert run(["up", "--only", "datadog"]) == 1
        assert "a stack runs in" in capsys.readouterr().err


def test_alone_means_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--only", "datadog", "--dagster"]) == 2
    assert "runs nothing else" in capsys.readouterr().err


def test_answers_do_not_wait_for_acknowledgements() -> None:
    with listening_socket() as listener:
        assert listener.proto == socket.IPPROTO_TCP  # what asyncio looks at before TCP_NODELAY


def test_what_was_kept_survives_a_kill_and_the_open_bucket_alone_is_lost(tmp_path: Path) -> None:
    def sent(told: dict[str, str], line: str) -> None:
        host, _, port = told["dogstatsd"].partition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(line.encode(), (host, int(port)))

    def addresses() -> dict[str, str]:
        found: dict[str, str] = json.loads((tmp_path / "stack.json").read_text())["addresses"]
        return found

    def lines(local: LocalDatadog) -> int:
        return int(ask(local, "GET", "/_local/unread").json["received"]["lines"])

    with alone(tmp_path) as program:
        local = LocalDatadog(address_in(tmp_path), State.opened(), 0)
        ask(local, "PUT", "/_local/clock", {"at": START_S, "stand": True})
        sent(addresses(), "kept:15|c\nd:1:2|d")
        body = {"title": "t", "text": "x", "date_happened": START_S}
        assert ask(local, "POST", "/api/v1/events", body).status == 202
        wait_for(lambda: lines(local) == 2)
        ask(local, "PUT", "/_local/clock", {"advance_s": 10})
        # a tick later the bucket is in the file, though nobody has asked
        wait_for(lambda: "kept" in metrics_in(tmp_path / "datadog.points.sqlite"))
        sent(addresses(), "lost:1|c")
        wait_for(lambda: lines(local) == 3)
        program.kill()
        program.wait()
    (tmp_path / "stack.json").unlink()
    with running_local_datadog(path=tmp_path / "datadog.sqlite") as again:
        stand(again, START_S + 3600)
        assert row(again, "sum:kept{*}.as_count()", START_S, START_S + 10) == {0: 15}
        assert row(again, "sum:d{*}", START_S, START_S + 10) == {0: 3}
        assert row(again, "sum:lost{*}.as_count()", START_S, START_S + 60) == {}
        events = ask(again, "GET", f"/api/v1/events?start={START_S - 1}&end={START_S + 1}")
        assert [one["title"] for one in events.json["events"]] == ["t"]


def metrics_in(file: Path) -> set[str]:
    """The names in a file that another process writes."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as base:
        return {name for (name,) in base.execute("select metric from series")}


def test_what_is_in_the_open_bucket_is_kept_when_it_is_stopped(tmp_path: Path) -> None:
    file = tmp_path / "datadog.sqlite"
    with running_local_datadog(path=file) as local:
        stand(local)
        send(local, "a:15|c")
    with running_local_datadog(path=file) as again:
        stand(again, START_S + 3600)
        assert row(again, "sum:a{*}.as_count()", START_S, START_S + 10) == {0: 15}
