"""`pettwin demo` as a process: its numbers against counts of our own, and what it leaves behind."""

import json
import re
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlencode

import polars as pl
import pytest

from pettwin_pipeline.commands.demo import BROKEN, MARK
from pettwin_pipeline.emulator.server import running_local_datadog
from pettwin_pipeline.readings.heartbeats import parse_sessions, recorded_readings
from pettwin_pipeline.stack.dagster_parts import webserver_answers
from pettwin_pipeline.stack.ports import free_port
from pettwin_pipeline.stack.recordings import dog_heartbeats
from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.integration.processes import left_running, pettwin, running
from pettwin_pipeline_tests.metrics.datagrams import Listener

pytestmark = pytest.mark.integration
LAST_LINE = re.compile(
    r"demo: what went in came out: ([\d,]+) readings scored, (\d+) rejects, (\d+) alerts, lag 0"
)


class RealAddress:
    """What the settings name as Kafka, as Datadog and as its Agent: nobody should ever call."""

    def __init__(self, server: socket.socket, agent: Listener) -> None:
        self._server, self._agent = server, agent
        host, port = server.getsockname()
        self.settings = {
            "KAFKA_BOOTSTRAP_SERVERS": f"{host}:{port}",
            "DD_API_KEY": "not-a-key",
            "DATADOG_HOST": f"http://{host}:{port}",
            "DD_DOGSTATSD_URL": f"udp://{host}:{agent.port}",
            "PETTWIN_LEDGER_URL": "sqlite:///elsewhere.sqlite",
            "PETTWIN_WEBHOOK_URL": f"http://{host}:{port}/",
        }

    def was_called(self) -> bool:
        """Whether anybody connected, or sent a datagram."""
        with suppress(BlockingIOError):
            self._server.accept()
            return True
        return bool(self._agent.datagrams)


@pytest.fixture
def real_address() -> Iterator[RealAddress]:
    """Sockets that listen."""
    with socket.create_server(("127.0.0.1", 0)) as server, Listener.udp() as agent:
        server.setblocking(False)
        yield RealAddress(server, agent)


def count(ledger: Path, name: str) -> int:
    """The sum of what the ranges counted under a name, read without our own code."""
    with closing(sqlite3.connect(ledger)) as sql:
        rows = sql.execute("SELECT counts FROM ranges WHERE status = 'done'").fetchall()
    return sum(json.loads(text)[name] for (text,) in rows)


def count_rows(ledger: Path, table: str) -> int:
    with closing(sqlite3.connect(ledger)) as sql:
        (found,) = sql.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    return int(found)


@pytest.mark.parametrize("broker", ["embedded", "kafka"])
def test_what_went_in_came_out(
    tmp_path: Path, real_address: RealAddress, broker: str, request: pytest.FixtureRequest
) -> None:
    if broker == "kafka":
        request.getfixturevalue("kafka")  # skips where there can be none
    lines = [f"{name}={value}\n" for name, value in real_address.settings.items()]
    (tmp_path / ".env").write_text("".join([*lines, "KAFKA_TOPIC=theirs\n"]))
    arguments = ("demo", "--pets", "10", "--broker", broker)
    demo = pettwin(tmp_path, *arguments, **real_address.settings)
    assert demo.process.returncode == 0, demo.out + demo.err
    assert demo.err == ""
    last = LAST_LINE.fullmatch(demo.out.splitlines()[-1])
    assert last is not None
    readings, rejects, alerts = (int(number.replace(",", "")) for number in last.groups())
    ledger = tmp_path / "state/demo/ledger.sqlite"
    assert readings == count(ledger, "readings") > len(recorded()) > 10_000
    assert rejects == count(ledger, "rejects") == len(BROKEN)
    assert alerts == count_rows(ledger, "alerts") > 0
    assert count_rows(ledger, "gaps") == 0
    notified = (tmp_path / "state/demo/notifications.ndjson").read_text().splitlines()
    assert 0 < len(notified) == count_rows(ledger, "outbox") < alerts
    assert not real_address.was_called()
    assert left_running(tmp_path) == []
    assert [one.name for one in (tmp_path / "state").iterdir()] == ["demo"]
    assert not list(tmp_path.glob("**/elsewhere.sqlite"))
    assert not (tmp_path / "state/demo/stack.json").exists()
    assert consumed(tmp_path / "state/demo/datadog.sqlite") == readings


def consumed(file: Path) -> float:
    """What the local Datadog that ran was told of, as one that is started on its file answers."""
    now = int(time.time())
    query = "sum:kafka.messages.consumed{*}.as_count().rollup(sum, 3600)"
    asked = urlencode({"from": now // 3600 * 3600 - 3600, "to": now, "query": query})
    with running_local_datadog(path=file) as local:
        (series,) = ask(local, "GET", f"/api/v1/query?{asked}").json["series"]
    return float(sum(value for _, value in series["pointlist"]))


def recorded() -> pl.DataFrame:
    return recorded_readings(parse_sessions(dog_heartbeats()))


@pytest.mark.parametrize("when", ["starting Dagster", "sending ", "waiting until everything"])
def test_an_interrupted_demo_ends_with_an_error_and_leaves_no_process(
    tmp_path: Path, when: str
) -> None:
    with running(tmp_path, "demo", "--pets", "10") as demo:
        demo.says(when)
        assert demo.stop(signal.SIGINT) == 1
        assert demo.err == "pettwin: the demo was stopped before its end\n"
        assert "what went in came out" not in demo.out
        assert left_running(tmp_path) == []
        assert not (tmp_path / "state/demo/stack.json").exists()


def test_a_second_demo_begins_anew(tmp_path: Path) -> None:
    left = tmp_path / "state/demo"
    left.mkdir(parents=True)
    (left / MARK).touch()
    (left / "ledger.sqlite").write_text("of another release")
    with running(tmp_path, "demo", "--pets", "1") as demo:
        demo.says("messages sent")
        assert demo.stop() == 1


def test_a_folder_that_no_demo_made_is_not_emptied(tmp_path: Path) -> None:
    mine = tmp_path / "state/demo/thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("years of work")
    demo = pettwin(tmp_path, "demo", "--pets", "1")
    assert demo.process.returncode == 1
    assert "holds something that no demo left there" in demo.err
    assert mine.read_text() == "years of work"


def test_a_kept_demo_shows_its_pages_until_it_is_stopped(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, "demo", "--pets", "1", "--keep", "--port", str(port)) as demo:
        demo.says("demo: what went in came out")
        demo.says(f"Dagster: http://127.0.0.1:{port}")
        assert webserver_answers(port)
        assert demo.stop(signal.SIGINT) == 0
        assert demo.err == ""
        assert left_running(tmp_path) == []
