"""Dagster as parts of the stack: its home folder, a code server, the daemon, the webserver.

The code server is a part of its own and both others are pointed at it: `dagster dev` keeps one
that nobody starts again when it is killed. A run is a process of the code server's. Commands and
files only: nothing here imports dagster.
"""

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from pettwin_pipeline.stack.ports import LOOPBACK, answers, free_port
from pettwin_pipeline.stack.supervisor import Part
from pettwin_pipeline.stack.templates import render

DEFINITIONS: Final = "pettwin_pipeline.definitions"
LOCATION: Final = "pettwin_pipeline"
RUN_GRACE_S: Final = 20.0
"""A run that is under way when the stack stops has so long to come to its end."""


@dataclass(frozen=True, slots=True)
class DagsterHome:
    """A written DAGSTER_HOME and the workspace that names the code server."""

    home: Path
    code_port: int
    module: str = DEFINITIONS

    @property
    def workspace(self) -> Path:
        """The workspace file of daemon and webserver."""
        return self.home / "workspace.yaml"

    def parts(
        self, logs: Path, env: Mapping[str, str], ui_port: int | None = None
    ) -> tuple[Part, ...]:
        """Code server, daemon and, where `ui_port` is given, webserver, in the order of starting.

        Args:
            logs: folder of their logs.
            env: added to the environment of each, for example PETTWIN_STATE_DIR.
            ui_port: port of the webserver on loopback.
        """
        full = dict(env) | {"DAGSTER_HOME": str(self.home), "PYTHONUNBUFFERED": "1"}
        parts = (self._code_server(logs, full), self._daemon(logs, full))
        return parts if ui_port is None else (*parts, self._webserver(logs, full, ui_port))

    def _code_server(self, logs: Path, env: Mapping[str, str]) -> Part:
        # No --heartbeat: it would stop itself when no client calls, and only clients that started
        # a server themselves do. No --lazy-load-user-code: definitions that do not load are an
        # exit code, and the port answers only when they are loaded.
        where = ("--host", LOOPBACK, "--port", str(self.code_port))
        what = ("-m", self.module, "--location-name", LOCATION)
        return Part(
            name="dagster-code",
            command=(
                *(sys.executable, "-m", "dagster", "api", "grpc"),
                *(*where, *what, "--use-python-environment-entry-point", "--log-level", "warning"),
            ),
            env=env,
            log=logs / "dagster-code.log",
            ready=lambda: answers(self.code_port),
            stop_within_s=RUN_GRACE_S,
        )

    def _daemon(self, logs: Path, env: Mapping[str, str]) -> Part:
        return Part(
            name="dagster-daemon",
            command=(
                *(sys.executable, "-m", "dagster._daemon", "run", "--log-format", "colored"),
                *("-w", str(self.workspace)),
            ),
            env=env,
            log=logs / "dagster-daemon.log",
        )

    def _webserver(self, logs: Path, env: Mapping[str, str], port: int) -> Part:
        return Part(
            name="dagster-webserver",
            command=(
                *(sys.executable, "-m", "dagster_webserver", "-h", LOOPBACK, "-p", str(port)),
                *("-w", str(self.workspace)),
            ),
            env=env,
            log=logs / "dagster-webserver.log",
            ready=lambda: webserver_answers(port),
        )


def write_dagster_home(
    home: Path, module: str = DEFINITIONS, code_port: int | None = None
) -> DagsterHome:
    """Write `dagster.yaml` and `workspace.yaml`; runs and ticks that are there stay.

    Args:
        home: DAGSTER_HOME, made if it is missing.
        module: where the definitions are.
        code_port: of the code server; absent: a free one.
    """
    written = DagsterHome(home.resolve(), code_port or free_port(), module)
    written.home.mkdir(parents=True, exist_ok=True)
    (written.home / "dagster.yaml").write_text(
        render("dagster.yaml", home=_yaml_text(written.home)), encoding="utf-8"
    )
    written.workspace.write_text(
        render("workspace.yaml", port=written.code_port, location=LOCATION), encoding="utf-8"
    )
    return written


def webserver_answers(port: int) -> bool:
    """Whether the Dagster webserver on this port answers."""
    address = f"http://{LOOPBACK}:{port}/server_info"
    try:
        with urllib.request.urlopen(address, timeout=2.0) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except (urllib.error.URLError, OSError):
        return False


def _yaml_text(path: Path) -> str:
    quoted = str(path).replace("'", "''")
    return f"'{quoted}'"
