"""Tiny programs for the tests of the supervisor, each a command of this Python's."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

PATIENCE_S: Final = 20.0


def python(source: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", source, *map(str, arguments))


SLEEP: Final = "import time\ntime.sleep(600)\n"

DIES_ONCE: Final = """
import os, sys, time
mark = sys.argv[1]
if not os.path.exists(mark):
    open(mark, "w").close()
    time.sleep(0.3)
    print("going down", flush=True)
    sys.exit(3)
time.sleep(600)
"""

HAS_A_CHILD: Final = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
print(child.pid, file=open(sys.argv[1] + ".new", "w"), flush=True)
import os
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(600)
"""

IS_DEAF: Final = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").close()
time.sleep(600)
"""

NOTES_ITS_END: Final = """
import signal, sys, time
def end(number, frame):
    print(sys.argv[2], file=open(sys.argv[1], "a"), flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
time.sleep(600)
"""


def wait_for(what: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Until `what` holds; fails the test where it never does."""
    end_s = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < end_s, "did not happen in time"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether a process ended; a zombie has."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def read_pid(path: Path) -> int:
    wait_for(path.exists)
    return int(path.read_text())


def kill(pid: int, number: int) -> None:
    os.kill(pid, number)
