"""The local Datadog as a part of the stack."""

import socket
from collections.abc import Iterator

import pytest

from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.stack.local_datadog import LocalDatadogPart, local_datadog_part, main
from pettwin_pipeline.stack.ports import LOOPBACK, free_port, free_udp_port
from pettwin_pipeline.stack.supervisor import Supervisor
from pettwin_pipeline.state import StateFolder
from pettwin_pipeline_tests.emulator.asking import ask


@pytest.fixture
def running(state_folder: StateFolder) -> Iterator[LocalDatadogPart]:
    """One that answers."""
    datadog = local_datadog_part(state_folder)
    with Supervisor([datadog.part]) as supervisor:
        supervisor.start()
        yield datadog


def test_it_answers_where_the_state_file_will_say(running: LocalDatadogPart) -> None:
    local = LocalDatadog(running.addresses["datadog"], State.opened(), 0)
    assert ask(local, "GET", "/_local/health", headers={}).json["status"] == "ok"
    host, _, port = running.addresses["dogstatsd"].partition(":")
    assert host == LOOPBACK
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        pytest.raises(OSError, match="use"),
    ):
        one.bind((LOOPBACK, int(port)))


def test_it_takes_other_ports_where_its_own_are_taken(
    running: LocalDatadogPart, state_folder: StateFolder
) -> None:
    other = local_datadog_part(state_folder)
    for name in ("datadog", "dogstatsd"):
        assert other.addresses[name] != running.addresses[name]


def test_a_port_that_was_taken_meanwhile_is_an_error_and_not_another_address(
    state_folder: StateFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    file = str(state_folder.datadog_file)
    with socket.create_server((LOOPBACK, port)):
        assert main([file, str(port), str(free_udp_port(0))]) == 1
    assert f"port {port} or" in capfd.readouterr().out
