"""Alerts as lines of a file, NDJSON, for whoever follows it.

Each line is written at once and synced before the alert counts as delivered. Several processes may
write to the same file. Knows files; what is tried again, and when, is the outbox's business.
"""

import fcntl
import os
import stat
import time
from pathlib import Path
from typing import Final

import msgspec

from pettwin_pipeline.adapters.ledger_outbox import Notification
from pettwin_pipeline.adapters.notifications import Failure, encode_notification

PATIENCE_S: Final = 5.0
"""So long another writer may take."""


class NotificationFile:
    """Appends notifications to one file.

    Args:
        path: of the file; its folder must be there.
        env, service: of the pipeline.
        patience_s: how long to wait for another writer.
    """

    name: Final = "file"
    peer: Final = None

    def __init__(
        self, path: Path, *, env: str, service: str, patience_s: float = PATIENCE_S
    ) -> None:
        self._path = path
        self._env = env
        self._service = service
        self._patience_s = patience_s

    def close(self) -> None:
        """Nothing is held between two lines."""

    def deliver(self, one: Notification, now_s: float) -> Failure | None:
        """Append a line; a full disk, a missing folder or a locked file is a failure."""
        del now_s
        line = encode_notification(one, self._env, self._service) + b"\n"
        try:
            self._append(line)
        except OSError as error:
            return Failure(f"{self._path}: {error.strerror or error}")
        return None

    def forget(self, pet_id: str) -> int:
        """Take the lines of a pet out of the file, in its place; how many.

        Raises:
            OSError: it cannot be written, or another program holds its lock.
        """
        if not self._path.is_file():
            return 0
        with self._path.open("rb+", buffering=0) as file:
            self._lock(file.fileno())
            lines = file.read().splitlines(keepends=True)
            left = [line for line in lines if not _is_of(line, pet_id)]
            if len(left) < len(lines):
                file.seek(0)
                file.write(b"".join(left))
                file.truncate()
                os.fsync(file.fileno())
        return len(lines) - len(left)

    def _append(self, line: bytes) -> None:
        # Not to wait for ever where it is a pipe that nobody reads.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
        handle = os.open(self._path, flags, 0o640)
        try:
            is_file = stat.S_ISREG(os.fstat(handle).st_mode)
            if is_file:
                self._lock(handle)
                line = self._end_of_torn_line(handle) + line
            if os.write(handle, line) < len(line):
                raise OSError("only a part of the line could be written: is the disk full?")
            if is_file:
                os.fsync(handle)
        finally:
            os.close(handle)

    def _lock(self, handle: int) -> None:
        """Keep other writers out until the file is closed."""
        end_s = time.monotonic() + self._patience_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end_s:
                    raise OSError("another program holds its lock") from None
                time.sleep(0.01)
            except OSError:  # a file system without locks: writing at once must do
                return
            else:
                return

    def _end_of_torn_line(self, handle: int) -> bytes:
        """What ends a line that a full disk or a power cut left unfinished."""
        size = os.fstat(handle).st_size
        if not size:
            return b""
        with self._path.open("rb") as file:
            file.seek(size - 1)
            return b"" if file.read(1) == b"\n" else b"\n"


def _is_of(line: bytes, pet_id: str) -> bool:
    """Whether a line is of a pet; one that was torn, if it names the pet at all."""
    try:
        return bool(msgspec.json.decode(line).get("pet_id") == pet_id)
    except (msgspec.DecodeError, AttributeError):
        return msgspec.json.encode(pet_id) in line
