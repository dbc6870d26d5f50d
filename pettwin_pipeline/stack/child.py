"""One child process with everything that it starts: its own process group, its log, its end.

A child is tethered (see `tether.py`): it does not outlive the process that started it, not even
one that was killed. Knows processes and signals; when to start one again is the supervisor's.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from pettwin_pipeline.stack import tether
from pettwin_pipeline.stack.part_log import open_log

GROUP_GRACE_S: Final = 2.0
"""What is left of a group after its leader ended gets this long between SIGTERM and SIGKILL."""
_LOOK_S: Final = 0.05
_TETHER: Final = str(Path(tether.__file__).resolve())


class Child:
    """A running program and its process group."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path
    ) -> None:
        """Start it: `env` is added to this process's environment."""
        self.name = name
        with open_log(log, f"{name} starts") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", _TETHER, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(os.environ) | dict(env),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id, which is the id of its group as well."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def group_lives(self) -> bool:
        """Whether anything of its process group still runs.

        Zombies do not count: where no init process reaps them (in many containers) they stay.
        """
        self.exit_code()  # reaps the program itself
        return _signal_group(self.pid, 0) and any(map(_runs, _members(self.pid)))

    def stop(
        self,
        grace_s: float,
        sleep: Callable[[float], None] = time.sleep,
        hurry: Callable[[], bool] = lambda: False,
    ) -> None:
        """End it and everything that it started.

        First SIGTERM to the program alone, which may bring its own children to a good end; what
        is left after `grace_s` gets SIGTERM and SIGKILL.

        Args:
            grace_s: how long the program may take.
            sleep: waits between two looks.
            hurry: true once nobody wants to wait any longer.
        """
        if self.exit_code() is None:
            self._process.terminate()
            _wait(lambda: self.exit_code() is not None or hurry(), grace_s, sleep)
        if _signal_group(self.pid, signal.SIGTERM):
            _wait(lambda: not self.group_lives() or hurry(), GROUP_GRACE_S, sleep)
            _signal_group(self.pid, signal.SIGKILL)
        self._process.wait()


def describe_exit(code: int) -> str:
    """An exit code in words, for example `killed by SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def _members(group: int) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == group:
                yield process


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group that holds zombies only
        return False
    return True


def _wait(done: Callable[[], bool], patience_s: float, sleep: Callable[[float], None]) -> None:
    for _ in range(max(1, int(patience_s / _LOOK_S))):
        if done():
            return
        sleep(_LOOK_S)
