"""Who may run a stack in a folder; the stack itself is in `integration/test_up.py`."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pettwin_pipeline.commands.up import claimed
from pettwin_pipeline.errors import StackError
from pettwin_pipeline.state import Stack, StateFolder
from pettwin_pipeline_tests.stack.programs import wait_for

CLAIMS = """
import sys, time
from pathlib import Path
from pettwin_pipeline.commands.up import claimed
from pettwin_pipeline.state import StateFolder
folder = Path(sys.argv[1])
with claimed(StateFolder(folder)):
    (folder / "claimed").touch()
    time.sleep(600)
"""


def stack(pid: int) -> Stack:
    return Stack(pid, "127.0.0.1:9", "embedded", "epoch")


def test_a_folder_is_free_again_after_the_block_and_says_that_nothing_runs(
    state_folder: StateFolder,
) -> None:
    for _ in range(2):
        with claimed(state_folder):
            state_folder.write_stack(stack(os.getpid()))
            assert state_folder.read_stack() is not None
        assert not state_folder.stack_file.exists()


def test_a_folder_whose_stack_runs_is_refused_with_its_process(state_folder: StateFolder) -> None:
    parent = os.getppid()
    began_s = psutil.Process(parent).create_time()
    state_folder.write_stack(dataclasses.replace(stack(parent), started_s=began_s))
    told = state_folder.stack_file.read_text()
    with pytest.raises(StackError, match=f"process {parent}"), claimed(state_folder):
        pass
    assert state_folder.stack_file.read_text() == told


def test_a_folder_that_another_one_is_about_to_use_is_refused(state_folder: StateFolder) -> None:
    root = state_folder.root
    other = subprocess.Popen([sys.executable, "-c", CLAIMS, str(root)])
    wait_for((root / "claimed").exists)
    assert not state_folder.stack_file.exists()
    with pytest.raises(StackError, match=r"a stack runs in .* already"), claimed(state_folder):
        pass
    other.kill()
    other.wait()
    with claimed(state_folder):
        pass


def test_two_folders_are_two_stacks(tmp_path: Path) -> None:
    with claimed(StateFolder(tmp_path / "one")), claimed(StateFolder(tmp_path / "two")):
        pass


def test_what_one_with_our_number_left_behind_is_no_running_stack(
    state_folder: StateFolder,
) -> None:
    state_folder.write_stack(stack(os.getpid()))
    with claimed(state_folder):
        pass
