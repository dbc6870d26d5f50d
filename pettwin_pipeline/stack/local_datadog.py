"""The local Datadog as a part of the stack: a process of its own, on ports chosen beforehand.

python -m pettwin_pipeline.stack.local_datadog FILE PORT DOGSTATSD_PORT [HOST ...]

HOSTs are those that its webhooks may be posted to; none: loopback.
"""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from pettwin_pipeline.errors import PettwinError, StackError
from pettwin_pipeline.stack.ports import LOOPBACK, free_udp_port, unless_taken
from pettwin_pipeline.stack.supervisor import Part
from pettwin_pipeline.state import StateFolder

PORT: Final = 8282
DOGSTATSD_PORT: Final = 8125


@dataclass(frozen=True, slots=True)
class LocalDatadogPart:
    """The part and where it will be."""

    part: Part
    addresses: dict[str, str]
    """For `stack.json`: `datadog` (HTTP) and `dogstatsd` (host:port of UDP)."""


def local_datadog_part(state: StateFolder, webhook_hosts: Collection[str] = ()) -> LocalDatadogPart:
    """On ports 8282 and 8125, or on free ones where those are taken.

    Args:
        state: the folder with its file.
        webhook_hosts: that its webhooks may be posted to; none: loopback.
    """
    port, udp = unless_taken(PORT), free_udp_port(DOGSTATSD_PORT)
    address = f"http://{LOOPBACK}:{port}"
    part = Part(
        name="datadog",
        command=(
            *(sys.executable, "-m", "pettwin_pipeline.stack.local_datadog"),
            *(str(state.datadog_file), str(port), str(udp), *sorted(webhook_hosts)),
        ),
        env={"PYTHONUNBUFFERED": "1"},
        log=state.logs / "datadog.log",
        ready=lambda: _answers(port),
    )
    return LocalDatadogPart(part, {"datadog": address, "dogstatsd": f"{LOOPBACK}:{udp}"})


def _answers(port: int) -> bool:
    try:
        where = f"http://{LOOPBACK}:{port}/_local/health"
        with urllib.request.urlopen(where, timeout=2.0) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except (urllib.error.URLError, OSError):
        return False


def serve(
    file: Path,
    port: int,
    dogstatsd_port: int,
    webhook_hosts: Collection[str],
    say: Callable[[str], None],
) -> None:
    """Run until a signal.

    Raises:
        StackError: a port is taken by now.
        UnknownFormatError: another release wrote the file.
    """
    from pettwin_pipeline.emulator.server import LocalDatadog, serve_in_foreground
    from pettwin_pipeline.emulator.webhook_rules import WebhookRules

    def ready(local: LocalDatadog) -> None:
        found = {local.address.rpartition(":")[2], str(local.dogstatsd_port)}
        if found != {str(port), str(dogstatsd_port)}:
            raise StackError(f"port {port} or {dogstatsd_port} is taken")
        say(f"local Datadog: {local.address}, DogStatsD at {local.dogstatsd}")

    rules = WebhookRules(frozenset(webhook_hosts)) if webhook_hosts else None
    serve_in_foreground(file, port, ready, dogstatsd_port=dogstatsd_port, webhooks=rules)


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    file, port, dogstatsd_port, *hosts = arguments
    try:
        serve(Path(file), int(port), int(dogstatsd_port), hosts, _say)
    except PettwinError as error:
        _say(f"pettwin: {error}")
        return error.exit_code
    return 0


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
