"""A PostgreSQL of the tests' own, from the binaries of this machine, in a folder of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest

from pettwin_pipeline.stack.ports import LOOPBACK, free_port
from pettwin_pipeline_tests.stack.programs import wait_for

INSTALLED: Final = Path("/usr/lib/postgresql")
UNPRIVILEGED: Final = "postgres"
"""Who runs it where the tests are run by root, which PostgreSQL refuses."""
OPTIONS: Final = ("-c", "fsync=off", "-c", "max_connections=200", "-c", "unix_socket_directories=")


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`, of the newest version; None where there is none."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).parent
    found = sorted(INSTALLED.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def installed() -> Path:
    """The same folder; the test is skipped where there is none."""
    where = binaries()
    if where is None:
        pytest.skip("PostgreSQL is not installed here: no `initdb` was found")
    return where


class Postgres:
    """A server on a free port of loopback; started again it goes on with its data."""

    def __init__(self, where: Path, folder: Path) -> None:
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(folder, self._user)
        self._folder, self._port = folder, free_port()
        data, loopback = folder / "data", ("-h", LOOPBACK, "-p", str(self._port))
        make = (where / "initdb", "-D", data, "-U", "pettwin", "-A", "trust", "-E", "UTF8", "-N")
        subprocess.run(make, user=self._user, cwd=folder, check=True, capture_output=True)
        self._command = (where / "postgres", "-D", data, *loopback, *OPTIONS)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Without a database."""
        return f"postgresql+psycopg://pettwin@{LOOPBACK}:{self._port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._folder.with_suffix(".log")).open("ab") as log:
            self._process = subprocess.Popen(
                self._command, user=self._user, cwd=self._folder, stdout=log, stderr=log
            )
        wait_for(self._is_up)

    def _is_up(self) -> bool:
        """Whether it takes connections: while it mends itself it only says so."""
        try:
            psycopg.connect(
                host=LOOPBACK, port=self._port, user="pettwin", dbname="postgres"
            ).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """End it, with the connections that there are."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)


@contextmanager
def postgres_server(where: Path) -> Iterator[Postgres]:
    """A server while the block runs, that may be stopped and started in it."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    server = Postgres(where, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
        folder.with_suffix(".log").unlink()


@contextmanager
def running_postgres(where: Path) -> Iterator[str]:
    """A server while the block runs; its URL without a database."""
    with postgres_server(where) as server:
        yield server.url
