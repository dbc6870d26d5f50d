"""A PostgreSQL of the tests' own, from the binaries of this machine, in a folder of its own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pettwin_pipeline.stack.ports import LOOPBACK, answers, free_port
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


@contextmanager
def running_postgres(where: Path) -> Iterator[str]:
    """A server on a free port of loopback while the block runs; its URL without a database."""
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if user is not None:
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    make = (where / "initdb", "-D", data, "-U", "pettwin", "-A", "trust", "-E", "UTF8", "-N")
    subprocess.run(make, user=user, cwd=folder, check=True, capture_output=True)
    command = (where / "postgres", "-D", data, "-h", LOOPBACK, "-p", str(port), *OPTIONS)
    with (folder.with_suffix(".log")).open("wb") as log:
        server = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
    try:
        wait_for(lambda: answers(port))
        yield f"postgresql+psycopg://pettwin@{LOOPBACK}:{port}"
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(folder)
        folder.with_suffix(".log").unlink()
