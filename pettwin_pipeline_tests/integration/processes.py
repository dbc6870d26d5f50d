"""`pettwin` as a process of its own, and whatever of it is left running."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import psutil

from pettwin_pipeline_tests.commands.place import PREFIXES, plain
from pettwin_pipeline_tests.stack.programs import wait_for

COMMAND = (sys.executable, "-m", "pettwin_pipeline.cli")
PATIENCE_S = 90.0


def environment(folder: Path, **given: str) -> dict[str, str]:
    """This process's environment without our settings, but for the given ones."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
    return mine | {"PETTWIN_STATE_DIR": str(folder / "state"), "COLUMNS": "200"} | given


class Running:
    """A `pettwin` that was started in a folder."""

    command: ClassVar[tuple[str, ...]] = COMMAND

    def __init__(self, folder: Path, *arguments: str, **given: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        number = len(list(folder.glob("out-*")))
        self._out, self._err = (folder / f"{name}-{number}" for name in ("out", "err"))
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*self.command, *arguments],
                cwd=folder,
                env=environment(folder, **given),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def out(self) -> str:
        """Its standard output so far."""
        return plain(self._out.read_text())

    @property
    def err(self) -> str:
        """Its standard error so far."""
        return plain(self._err.read_text())

    def says(self, text: str) -> None:
        """Wait until it has said this."""

        def said() -> bool:
            code = self.process.poll()
            assert text in self.out or code is None, f"ended with {code}: {self.out}{self.err}"
            return text in self.out

        wait_for(said, PATIENCE_S)

    def ends(self) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(PATIENCE_S)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and wait; the exit code."""
        self.process.send_signal(number)
        return self.ends()

    @property
    def stack(self) -> dict[str, Any]:
        """What `stack.json` says."""
        found: dict[str, Any] = json.loads((self.folder / "state/stack.json").read_text())
        return found


class Holding(Running):
    """A `pettwin up` whose runs can be held: see `held_definitions.py`."""

    command = (sys.executable, "-m", "pettwin_pipeline_tests.integration.up_held")


@contextmanager
def running(folder: Path, *arguments: str, **given: str) -> Iterator[Running]:
    """A `pettwin` for the length of the block; nothing of it is left afterwards."""
    one = Running(folder, *arguments, **given)
    try:
        yield one
    finally:
        with suppress(ProcessLookupError):
            one.process.terminate()
        try:
            one.ends()
        finally:
            for process in left_running(folder):
                process.kill()


def pettwin(folder: Path, *arguments: str, **given: str) -> Running:
    """A `pettwin` that has come to its end."""
    one = Running(folder, *arguments, **given)
    one.ends()
    return one


def left_running(folder: Path) -> list[psutil.Process]:
    """Processes that live and were started with a state folder in there."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            state = process.environ().get("PETTWIN_STATE_DIR", "")
            if state.startswith(f"{folder}/") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def status(folder: Path) -> dict[str, Any]:
    """What `pettwin status --json` tells there."""
    found: dict[str, Any] = json.loads(pettwin(folder, "status", "--json").out)
    return found
