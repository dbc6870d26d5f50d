"""SQLite files of the local Datadog: opened, made if absent, and known by their format."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pettwin_pipeline.errors import UnknownFormatError


class LockedFile:
    """A file with its tables, or memory, for several threads: `_base` is used under `_lock`."""

    def __init__(self, path: Path | None, form: int, tables: str) -> None:
        """Open it; see `opened_base`."""
        self._lock = threading.RLock()
        self._base = opened_base(path, form, tables)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._base.close()


def opened_base(path: Path | None, form: int, tables: str) -> sqlite3.Connection:
    """A connection to the file, or to memory, with its tables; to be used under a lock.

    Args:
        path: made with its folder if it is absent; None: in memory.
        form: the number of the format that this release writes.
        tables: SQL that makes them.

    Raises:
        UnknownFormatError: another release wrote it, or it is no such file.
    """
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    base = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
    try:
        _prepare(base, form, tables)
    except sqlite3.DatabaseError as error:
        base.close()
        raise UnknownFormatError(
            f"{path}: {error}: remove the file, or name another folder"
        ) from None
    except UnknownFormatError as error:
        base.close()
        raise UnknownFormatError(f"{path}: {error}") from None
    return base


def _prepare(base: sqlite3.Connection, form: int, tables: str) -> None:
    base.execute("pragma journal_mode = wal")
    base.execute("pragma synchronous = normal")
    found = base.execute("pragma user_version").fetchone()[0]
    if found == 0:
        base.executescript(tables)
        base.execute(f"pragma user_version = {form}")
    elif found != form:
        raise UnknownFormatError(
            f"this is format {found}, this release knows {form}: remove the file, or go back"
        )


@contextmanager
def whole(base: sqlite3.Connection) -> Iterator[None]:
    """What is written in the block is written whole, or not at all."""
    base.execute("begin immediate")
    try:
        yield
        base.execute("commit")
    except BaseException:
        if base.in_transaction:  # a full disk may have ended it already
            base.execute("rollback")
        raise
