import json
import os
import signal
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from pettwin_pipeline.errors import StackError
from pettwin_pipeline.stack.dagster_parts import DagsterHome, webserver_answers, write_dagster_home
from pettwin_pipeline.stack.ports import free_port
from pettwin_pipeline.stack.supervisor import Part, Supervisor
from pettwin_pipeline_tests.stack.programs import is_gone, wait_for

TINY = "pettwin_pipeline_tests.stack.tiny_definitions"
ROOT = Path(__file__).resolve().parents[2]


def parts_by_name(home: DagsterHome) -> dict[str, Part]:
    parts = home.parts(home.home / "logs", {"PETTWIN_STATE_DIR": "here"}, ui_port=3000)
    return {part.name: part for part in parts}


def test_dagster_takes_the_settings_that_are_written(tmp_path: Path) -> None:
    from dagster import DagsterInstance

    home = write_dagster_home(tmp_path / "it's home").home
    with DagsterInstance.from_config(str(home)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert type(instance.run_coordinator).__name__ == "SyncInMemoryRunCoordinator"
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_max_runtime_seconds == 3600
        assert Path(instance.storage_directory()).is_relative_to(home)
        assert (home / "history" / "runs.db").is_file()


def test_old_ticks_are_thrown_away_and_failures_are_kept_longest(tmp_path: Path) -> None:
    from dagster import DagsterInstance
    from dagster._core.definitions.run_request import InstigatorType

    with DagsterInstance.from_config(str(write_dagster_home(tmp_path).home)) as instance:
        for kind in InstigatorType:
            days = {k.value: n for k, n in instance.get_tick_retention_settings(kind).items()}
            assert min(days.values()) >= 1, "-1 would be for ever"
            assert days["FAILURE"] == max(days.values())


def test_daemon_and_webserver_share_the_one_code_server(tmp_path: Path) -> None:
    home = write_dagster_home(tmp_path, "my.definitions", code_port=4321)
    text = home.workspace.read_text()
    assert "host: 127.0.0.1" in text
    assert "port: 4321" in text
    parts = parts_by_name(home)
    assert list(parts) == ["dagster-code", "dagster-daemon", "dagster-webserver"]
    code = " ".join(parts["dagster-code"].command)
    assert "--host 127.0.0.1 --port 4321 -m my.definitions" in code
    for name in ("dagster-daemon", "dagster-webserver"):
        assert str(home.workspace) in parts[name].command
    assert "-h 127.0.0.1 -p 3000" in " ".join(parts["dagster-webserver"].command)


def test_every_part_is_told_the_home_and_the_given_environment(tmp_path: Path) -> None:
    home = write_dagster_home(tmp_path)
    for part in parts_by_name(home).values():
        assert part.env["DAGSTER_HOME"] == str(tmp_path.resolve())
        assert part.env["PETTWIN_STATE_DIR"] == "here"


def test_without_a_port_for_the_pages_there_is_no_webserver(tmp_path: Path) -> None:
    parts = write_dagster_home(tmp_path).parts(tmp_path, {})
    assert [part.name for part in parts] == ["dagster-code", "dagster-daemon"]


def test_nothing_answers_where_no_webserver_runs() -> None:
    assert not webserver_answers(free_port())


@dataclass(frozen=True)
class Running:
    """The three parts, with the notes of the tiny definitions."""

    supervisor: Supervisor
    said: list[str]
    notes: Path
    ui_port: int

    def wait_for_file(self, name: str) -> None:
        """Until the tiny definitions have noted `name`."""
        self.wait_for_sign((self.notes / name).exists)

    def wait_for_sign(self, sign: Callable[[], bool]) -> None:
        """Until `sign` holds, while the parts are supervised."""

        def look() -> bool:
            self.supervisor.check()
            return sign()

        wait_for(look, patience_s=90)

    def kill(self, name: str) -> int:
        """Kill a part and wait until the next one is up."""
        pid = self.supervisor.pids()[name]
        os.kill(pid, signal.SIGKILL)
        self.wait_for_sign(lambda: f"{name} is up again" in self.said)
        return pid

    def ticks(self) -> list[int]:
        """Process ids of the code servers that evaluated the sensor, one a tick."""
        path = self.notes / "ticks"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def run_statuses(self) -> list[str]:
        """Of all runs, as the webserver knows them."""
        query = "{ runsOrError { ... on Runs { results { status } } } }"
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ui_port}/graphql",
            json.dumps({"query": query}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  the same
            runs = json.load(answer)["data"]["runsOrError"]["results"]
        return [run["status"] for run in runs]


def tiny_environment(notes: Path) -> dict[str, str]:
    return {"NOTES": str(notes), "PYTHONPATH": str(ROOT)}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    home = write_dagster_home(tmp_path / "home", TINY)
    ui_port = free_port()
    said: list[str] = []
    parts = home.parts(tmp_path / "logs", tiny_environment(tmp_path), ui_port)
    with Supervisor(parts, say=said.append) as supervisor:
        supervisor.start()
        yield Running(supervisor, said, tmp_path, ui_port)


@pytest.mark.integration
def test_a_run_survives_its_code_server_and_the_daemon_finds_the_next_one(
    running: Running,
) -> None:
    running.wait_for_file("began")
    dead = running.kill("dagster-code")
    assert set(running.ticks()) == {dead}
    assert running.run_statuses() == ["STARTED"]
    (running.notes / "go").touch()
    running.wait_for_file("ended")
    running.wait_for_sign(lambda: running.run_statuses() == ["SUCCESS"])
    code_server = running.supervisor.pids()["dagster-code"]
    running.wait_for_sign(lambda: code_server in running.ticks())


@pytest.mark.integration
def test_ticks_go_on_after_the_daemon_was_killed_and_a_stop_leaves_no_process(
    running: Running,
) -> None:
    (running.notes / "go").touch()
    running.wait_for_file("ended")
    running.kill("dagster-daemon")
    before = len(running.ticks())
    running.wait_for_sign(lambda: len(running.ticks()) > before)
    pids = list(running.supervisor.pids().values())
    family = [child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)]
    running.supervisor.close()
    assert all(is_gone(pid) for pid in [*pids, *family])
    assert not webserver_answers(running.ui_port)


@pytest.mark.integration
def test_definitions_that_do_not_load_are_said_at_once(tmp_path: Path) -> None:
    home = write_dagster_home(tmp_path / "home", "no_such_module")
    with (
        Supervisor(home.parts(tmp_path / "logs", {})) as supervisor,
        pytest.raises(StackError, match=r"(?s)dagster-code could not be .*no_such_module"),
    ):
        supervisor.start()
