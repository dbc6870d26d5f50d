"""`pettwin up` as a process: what it starts, how it ends, and what it leaves behind: nothing."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.settings import Settings
from pettwin_pipeline.stack.dagster_parts import webserver_answers
from pettwin_pipeline.stack.ports import answers, free_port
from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.integration.processes import (
    PATIENCE_S,
    Holding,
    Running,
    left_running,
    pettwin,
    running,
    status,
)
from pettwin_pipeline_tests.stack.programs import is_gone, wait_for

pytestmark = pytest.mark.integration
UP = "up; Ctrl-C stops everything"


def port_of(address: str) -> int:
    return int(address.rsplit(":", 1)[1])


def is_one_line(one: Running, code: int) -> bool:
    """Whether it ended as a command does that a person can mend."""
    ended = one.process.returncode == code and one.err.count("\n") == 1
    return ended and one.err.startswith("pettwin: ")


def test_the_address_in_the_state_folder_answers(tmp_path: Path) -> None:
    with running(tmp_path, "up") as up:
        up.says(UP)
        assert up.stack["pid"] == up.process.pid
        assert up.stack["broker_kind"] == "embedded"
        assert answers(port_of(up.stack["broker"]))
        assert pettwin(tmp_path, "simulate", "--minutes", "1", "--speed", "0").ends() == 0
        assert sum(status(tmp_path)["lag"].values()) > 0


def test_a_second_one_in_the_same_folder_is_refused_and_one_elsewhere_is_not(
    tmp_path: Path,
) -> None:
    with running(tmp_path / "one", "up") as one:
        one.says(UP)
        told = one.stack
        second = pettwin(tmp_path / "one", "up")
        assert is_one_line(second, 1), second.err
        assert f"already (process {one.process.pid})" in second.err
        assert one.stack == told
        with running(tmp_path / "two", "up") as two:
            two.says(UP)
            assert answers(port_of(two.stack["broker"]))
            assert two.stack["broker"] != told["broker"]
        assert answers(port_of(told["broker"]))


def test_of_two_that_start_at_once_one_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, "up") as one, running(tmp_path, "up") as other:
        wait_for(lambda: any(each.process.poll() is not None for each in (one, other)))
        (refused,) = [each for each in (one, other) if each.process.poll() is not None]
        assert is_one_line(refused, 1), refused.err
        (up,) = [each for each in (one, other) if each is not refused]
        up.says(UP)
        assert up.stack["pid"] == up.process.pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_exit_code_0(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, "up") as up:
        up.says(UP)
        assert up.stop(number) == 0
        assert up.out.endswith("stopped\n")
        assert up.err == ""
        assert left_running(tmp_path) == []
        assert not (tmp_path / "state/stack.json").exists()


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = pettwin(tmp_path, "up", "--dagster", "--port", port)
    assert is_one_line(refused, 1), refused.err
    assert f"port {port} is taken: choose another one with --port" in refused.err


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A stack with Dagster, for the tests that leave it running.

    Dagster puts a `.env` over the environment: were it so here too, nothing would be read in time.
    """
    folder = tmp_path_factory.mktemp("dagster")
    (folder / ".env").write_text("PETTWIN_BATCH_INTERVAL_S=3600\n")
    port = str(free_port())
    with running(folder, "up", "--dagster", "--port", port, PETTWIN_BATCH_INTERVAL_S="5") as up:
        up.says(UP)
        yield up
        assert up.stop(signal.SIGINT) == 0, up.err
        assert left_running(folder) == []


def is_read(folder: Path, messages: int) -> dict[str, Any]:
    """Wait until so many messages are read and committed; the status then."""
    found: dict[str, Any] = {}

    def read() -> bool:
        found.update(status(folder))
        return found["totals"].get("messages") == messages and not any(found["lag"].values())

    wait_for(read, PATIENCE_S)
    return found


def simulate(folder: Path) -> int:
    """Send some readings; how many were acknowledged."""
    sent = pettwin(folder, "simulate", "--pets", "5", "--minutes", "20", "--speed", "0")
    assert sent.ends() == 0, sent.err
    return int(sent.out.split()[0].replace(",", ""))


def messages_read(folder: Path) -> int:
    return int(status(folder)["totals"].get("messages", 0))


def test_the_pages_answer_at_the_address_that_is_told(dagster: Running) -> None:
    address = dagster.stack["addresses"]["dagster"]
    assert f"Dagster: {address}" in dagster.out
    assert webserver_answers(port_of(address))


def test_what_is_simulated_is_read_and_committed_by_the_real_sensor(dagster: Running) -> None:
    before = messages_read(dagster.folder)
    sent = simulate(dagster.folder)
    found = is_read(dagster.folder, before + sent)
    assert {one["status"] for one in found["ranges"]} == {"done"}
    assert found["totals"]["readings"] == before + sent
    assert found["last_error"] is None


def consumed(up: Running) -> float:
    """How many messages the local Datadog was told of."""
    now = int(time.time())
    query = "sum:kafka.messages.consumed{*}.as_count().rollup(sum, 3600)"
    asked = urlencode({"from": now // 3600 * 3600 - 3600, "to": now, "query": query})
    local = LocalDatadog(up.stack["addresses"]["datadog"], State.opened(), 0)
    series = ask(local, "GET", f"/api/v1/query?{asked}").json["series"]
    return float(sum(value for one in series for _, value in one["pointlist"]))


def test_what_the_runs_counted_can_be_queried_in_the_local_datadog_also_after_it_was_killed(
    dagster: Running,
) -> None:
    is_read(dagster.folder, messages_read(dagster.folder) + simulate(dagster.folder))
    wait_for(lambda: consumed(dagster) == messages_read(dagster.folder), PATIENCE_S)
    before = consumed(dagster)
    killed = dagster.stack["children"]["datadog"]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: dagster.stack["children"].get("datadog", killed) != killed, PATIENCE_S)
    dagster.says("datadog is up again")
    assert consumed(dagster) == before
    is_read(dagster.folder, messages_read(dagster.folder) + simulate(dagster.folder))
    wait_for(lambda: consumed(dagster) == messages_read(dagster.folder), PATIENCE_S)


@pytest.mark.parametrize("part", ["dagster-code", "dagster-daemon"])
def test_a_part_that_is_killed_is_started_again_and_reading_goes_on(
    dagster: Running, part: str
) -> None:
    before = messages_read(dagster.folder)
    killed = dagster.stack["children"][part]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: dagster.stack["children"].get(part, killed) != killed, PATIENCE_S)
    is_read(dagster.folder, before + simulate(dagster.folder))
    dagster.says(f"{part} died (killed by SIGKILL)")


def code_server(up: Running) -> int:
    """Its process id; 0 while it is dead."""
    with suppress(FileNotFoundError):  # it is stopping
        return int(up.stack["children"].get("dagster-code", 0))
    return 0


def test_a_part_that_dies_again_and_again_ends_it_with_the_reason_and_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    with running(tmp_path, "up", "--dagster", "--port", str(free_port())) as up:
        up.says(UP)
        children = set(up.stack["children"].values())
        killed: list[int] = []

        def gave_up() -> bool:
            if up.process.poll() is None and (pid := code_server(up)) not in (0, *killed):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            return up.process.poll() is not None

        wait_for(gave_up, PATIENCE_S)
        assert up.process.returncode == 1
        assert len(killed) == 6
        told = "pettwin: dagster-code died 6 times within 60 s, at last: killed by SIGKILL; "
        assert up.err.startswith(told + "the last lines of ")
        assert "--- dagster-code starts" in up.err
        assert all(is_gone(pid) for pid in children)
    assert left_running(tmp_path) == []
    assert not (tmp_path / "state/stack.json").exists()


def test_definitions_that_do_not_load_end_it_with_the_reason(tmp_path: Path) -> None:
    arguments = ("up", "--dagster", "--port", str(free_port()))
    up = Holding(tmp_path, *arguments)  # its definitions need HELD_RUNS
    assert up.ends() == 1
    assert up.err.startswith("pettwin: dagster-code could not be started: exit code 1; ")
    assert "KeyError: 'HELD_RUNS'" in up.err
    assert left_running(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_one_that_is_killed_leaves_no_child_and_the_next_one_starts(
    kafka: str, tmp_path: Path
) -> None:
    arguments = ("up", "--dagster", "--broker", "kafka", "--port", str(free_port()))
    with running(tmp_path, *arguments) as up:
        up.says(UP)
        children = up.stack["children"]
        assert len(children) == 5
        up.process.kill()
        up.ends()
        wait_for(lambda: all(is_gone(pid) for pid in children.values()))
        wait_for(lambda: left_running(tmp_path) == [])
    with running(tmp_path, "up") as again:
        again.says(UP)
        assert again.stack["pid"] == again.process.pid


@pytest.fixture(scope="module")
def kafka_up(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A stack with a real Apache Kafka; `kafka` skips where there can be none."""
    folder = tmp_path_factory.mktemp("kafka-up")
    with running(folder, "up", "--broker", "kafka") as up:
        up.says(UP)
        yield up
        assert up.stop() == 0
        assert left_running(folder) == []


def test_a_real_kafka_has_the_topics(kafka_up: Running) -> None:
    assert kafka_up.stack["broker_kind"] == "kafka"
    settings = Settings.load({"KAFKA_BOOTSTRAP_SERVERS": kafka_up.stack["broker"]})
    with Kafka(settings) as client:
        partitions = [len(client.partitions(topic)) for topic in settings.topics]
    assert partitions == [4, 1, 1, 1]
    made = pettwin(kafka_up.folder, "topics", "create")
    assert made.process.returncode == 0
    assert made.out.count(": was there\n") == 4


def test_a_kafka_that_is_killed_is_started_again_with_what_it_had(kafka_up: Running) -> None:
    sent = simulate(kafka_up.folder)
    killed = kafka_up.stack["children"]["kafka"]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: "kafka is up again" in kafka_up.out, PATIENCE_S)
    assert kafka_up.stack["children"]["kafka"] != killed
    assert sum(status(kafka_up.folder)["lag"].values()) == sent


@pytest.mark.parametrize("arguments", [("up",), ("simulate",), ("replay",), ("status",)])
def test_a_missing_topic_is_one_line_that_says_how_to_make_it(
    kafka_up: Running, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    named = {"KAFKA_BOOTSTRAP_SERVERS": kafka_up.stack["broker"], "KAFKA_TOPIC": "other"}
    refused = pettwin(tmp_path, *arguments, **named)
    assert is_one_line(refused, 2), refused.err
    assert "topic other does not exist" in refused.err
    assert "`pettwin topics create`" in refused.err


@pytest.mark.parametrize(
    ("verb", "protocol", "told"),
    [
        ("up", "SASL_PLAINTEXT", "refuses"),
        ("simulate", "SASL_PLAINTEXT", "refuses"),
        ("up", "SASL_SSL", "is KAFKA_SECURITY_PROTOCOL that of this listener?"),
    ],
)
def test_credentials_that_the_broker_does_not_take_are_one_line(
    kafka_up: Running, tmp_path: Path, verb: str, protocol: str, told: str
) -> None:
    named = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_up.stack["broker"],
        "KAFKA_SECURITY_PROTOCOL": protocol,
        "KAFKA_SASL_USERNAME": "me",
        "KAFKA_SASL_PASSWORD": "not-for-your-eyes",
        "KAFKA_TIMEOUT_S": "3",
    }
    refused = pettwin(tmp_path, verb, **named)
    assert is_one_line(refused, 2), refused.err
    assert told in refused.err
    assert "not-for-your-eyes" not in refused.err + refused.out
    assert UP not in refused.out
