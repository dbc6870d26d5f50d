"""What the processes of the pipeline take of the machine, through psutil."""

import os
import time
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """Of one process: percent of one core since it began, resident bytes."""

    cpu_percent: float
    memory_bytes: int


def use_of(pid: int | None = None) -> ProcessUse | None:
    """What a process takes; None where it is gone or may not be looked at.

    Args:
        pid: absent: this process.
    """
    try:
        process = psutil.Process(os.getpid() if pid is None else pid)
        times = process.cpu_times()
        alive_s = max(time.time() - process.create_time(), 0.001)
        percent = 100.0 * (times.user + times.system) / alive_s
        return ProcessUse(percent, int(process.memory_info().rss))
    except psutil.Error:
        return None
