"""The log of one part: one file that its stdout and stderr go to, kept small, and its last lines.

Knows files only; what is written there is the part's own business.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

LARGEST_BYTES: Final = 16 * 1024 * 1024
"""A larger log becomes NAME.log.1, in the place of the one before."""
TAIL_LINES: Final = 15
TRACEBACK: Final = "Traceback (most recent call last):"
_TAIL_BYTES: Final = 16_384


def open_log(path: Path, heading: str) -> BinaryIO:
    """Open a log for appending, after it was trimmed, and say what begins here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    trim_log(path)
    log = path.open("ab", buffering=0)
    log.write(f"--- {heading}\n".encode())
    return log


def trim_log(path: Path, largest_bytes: int = LARGEST_BYTES) -> None:
    """Move what a log holds to NAME.log.1 once it is too large.

    The file is copied and emptied, not renamed: the part that writes has it open and goes on
    at its new end. Lines that are written in between are lost.
    """
    try:
        if path.stat().st_size <= largest_bytes:
            return
    except FileNotFoundError:
        return
    shutil.copyfile(path, path.with_name(path.name + ".1"))
    os.truncate(path, 0)


def last_lines(path: Path, lines: int = TAIL_LINES) -> list[str]:
    """The last lines of a log; none where there is no log.

    The frames of Python's tracebacks are left out: what was raised is said behind them, and of two
    errors, one the cause of the other, the frames of the second alone would fill the lines.
    """
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = log.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return list(_without_frames(text.splitlines()))[-lines:]


def _without_frames(lines: Iterable[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        inside = line == TRACEBACK or (inside and line.startswith("  "))
        if not inside:
            yield line
