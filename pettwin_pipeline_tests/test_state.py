import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from pettwin_pipeline.errors import UnknownFormatError
from pettwin_pipeline.state import Stack, StateFolder, find_state_root


def own_stack(**given: Any) -> Stack:
    return replace(Stack(os.getpid(), "127.0.0.1:9092", "embedded", "epoch-1"), **given)


@contextmanager
def other_process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for the end of its input."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield process


def test_what_runs_is_read_as_it_was_written(state_folder: StateFolder) -> None:
    stack = own_stack(children={"code": 17}, addresses={"dagster": "http://127.0.0.1:3000"})
    state_folder.write_stack(stack)
    assert state_folder.read_stack() == stack
    assert [path.name for path in state_folder.root.iterdir()] == ["stack.json"]


def test_a_later_stack_replaces_the_earlier(state_folder: StateFolder) -> None:
    state_folder.write_stack(own_stack())
    state_folder.write_stack(own_stack(children={"code": 18}))
    found = state_folder.read_stack()
    assert found is not None
    assert found.children == {"code": 18}


def test_without_a_file_nothing_runs(state_folder: StateFolder) -> None:
    assert state_folder.read_stack() is None
    state_folder.remove_stack()
    state_folder.write_stack(own_stack())
    state_folder.remove_stack()
    assert state_folder.read_stack() is None


def test_a_stack_of_another_process_runs_until_that_ends(state_folder: StateFolder) -> None:
    with other_process() as process:
        started_s = psutil.Process(process.pid).create_time()
        state_folder.write_stack(own_stack(pid=process.pid, started_s=started_s))
        found = state_folder.read_stack()
        assert found is not None
        assert found.pid == process.pid
    assert state_folder.read_stack() is None


def test_a_killed_stack_that_nobody_waited_for_does_not_run(state_folder: StateFolder) -> None:
    with other_process() as process:
        started_s = psutil.Process(process.pid).create_time()
        state_folder.write_stack(own_stack(pid=process.pid, started_s=started_s))
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays as a zombie
        assert state_folder.read_stack() is None


def test_another_process_that_got_the_number_of_an_ended_stack_is_not_taken_for_it(
    state_folder: StateFolder,
) -> None:
    with other_process() as process:
        began_s = psutil.Process(process.pid).create_time()
        state_folder.write_stack(own_stack(pid=process.pid, started_s=began_s - 60))
        assert state_folder.read_stack() is None


def test_a_stack_knows_when_its_own_process_began() -> None:
    assert own_stack().started_s == pytest.approx(psutil.Process().create_time(), abs=0.1)
    assert own_stack().runs


def test_the_format_of_another_release_is_an_error_that_names_file_and_formats(
    state_folder: StateFolder,
) -> None:
    state_folder.write_stack(own_stack(format=2))
    with pytest.raises(UnknownFormatError, match="format 2, this release knows 1") as caught:
        state_folder.read_stack()
    assert str(state_folder.stack_file) in str(caught.value)
    assert "remove the file" in str(caught.value)


def told(**given: Any) -> bytes:
    """A stack.json in which something is different."""
    return json.dumps(asdict(own_stack()) | given).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"pid": 1',
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"format": 1}',
        told(new_field=1),
        told(pid="12"),
        told(pid=-1),
        told(pid=0),
    ],
    ids=["empty", "half", "bytes", "list", "null", "bare", "more", "text pid", "group", "group 0"],
)
def test_a_file_that_is_not_ours_is_an_error_that_says_how_to_mend_it(
    state_folder: StateFolder, content: bytes
) -> None:
    state_folder.root.mkdir()
    state_folder.stack_file.write_bytes(content)
    with pytest.raises(UnknownFormatError, match="remove the file") as caught:
        state_folder.read_stack()
    assert "\n" not in str(caught.value)


def test_a_process_number_that_no_process_can_have_does_not_run(state_folder: StateFolder) -> None:
    state_folder.write_stack(own_stack(pid=2**31 - 1))
    assert state_folder.read_stack() is None


def test_two_folders_know_nothing_of_each_other(tmp_path: Path) -> None:
    one, other = StateFolder(tmp_path / "one"), StateFolder(tmp_path / "other")
    one.write_stack(own_stack(broker="127.0.0.1:1"))
    assert other.read_stack() is None
    other.write_stack(own_stack(broker="127.0.0.1:2"))
    assert [folder.read_stack() for folder in (one, other)] == [
        own_stack(broker="127.0.0.1:1"),
        own_stack(broker="127.0.0.1:2"),
    ]
    places = [{f.stack_file, f.ledger_file, f.dagster_home, f.data, f.logs} for f in (one, other)]
    assert places[0].isdisjoint(places[1])
    assert len(places[0]) == 5


def test_the_state_folder_is_found_upwards(tmp_path: Path) -> None:
    project, users = tmp_path / "project", tmp_path / "users"
    (project / "a" / "b").mkdir(parents=True)
    assert find_state_root(project / "a" / "b", users) == users
    (project / "workspace.yaml").touch()
    assert find_state_root(project / "a" / "b", users) == project / ".pettwin"
    (project / "a" / "workspace.yaml").mkdir()  # a folder of this name is no workspace
    assert find_state_root(project / "a" / "b", users) == project / ".pettwin"
