"""Becomes another program that the kernel kills when the process that started it is gone.

Run as a file, not imported: `python -I -S tether.py PARENT_PID COMMAND...`. It asks Linux for a
parent-death signal (prctl(2), PR_SET_PDEATHSIG), which outlives exec, and then is COMMAND. That
is done here and not in a `preexec_fn`, which is not safe in a process that has threads.

The signal is tied to the thread that forked: start parts from a thread that lives as long as
they should, the main thread at best. It reaches the program, not what the program starts
itself. Elsewhere than on Linux nothing is asked, and a killed parent leaves its children running.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

PR_SET_PDEATHSIG: Final = 1
NOT_STARTED: Final = 127
"""Exit code where COMMAND cannot be started, as shells have it."""


def become(parent: int, command: Sequence[str]) -> int:
    """Turn into `command`; returns only where that is not possible."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # it died before the kernel was asked
            return NOT_STARTED
    try:
        os.execvp(command[0], list(command))  # noqa: S606  the point of this file
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error}\n")
    return NOT_STARTED


if __name__ == "__main__":
    sys.exit(become(int(sys.argv[1]), sys.argv[2:]))
