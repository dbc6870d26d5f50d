"""`pettwin up --only datadog`: the local Datadog alone, in the foreground, until a signal."""

import os
from collections.abc import Callable
from pathlib import Path

from pettwin_pipeline.commands.up import claimed
from pettwin_pipeline.emulator.server import DEFAULT_PORT, LocalDatadog, serve_in_foreground
from pettwin_pipeline.emulator.webhook_rules import WebhookRules
from pettwin_pipeline.settings import Settings
from pettwin_pipeline.state import Stack


def run(
    say: Callable[[str], None], dogstatsd_socket: Path | None = None, port: int = DEFAULT_PORT
) -> None:
    """Serve, and say in `stack.json` where.

    Args:
        say: takes lines for the person.
        dogstatsd_socket: path of a unix socket for DogStatsD, beside UDP.
        port: wished for; another one is taken if it is not free.

    Raises:
        StackError: another stack runs in this state folder, or the path cannot be used.
    """
    settings = Settings.load()
    state = settings.state

    def ready(local: LocalDatadog) -> None:
        addresses = {"datadog": local.address, "dogstatsd": local.dogstatsd}
        state.write_stack(Stack(os.getpid(), "", "embedded", "", addresses=addresses))
        say(f"state folder: {state.root}")
        say(f"local Datadog (not Datadog, not affiliated with it): {local.address}")
        by_path = f" and at {local.dogstatsd_socket}" if local.dogstatsd_socket else ""
        say(f"DogStatsD: {local.dogstatsd} (UDP){by_path}")
        say("up; Ctrl-C stops it")

    with claimed(state):
        serve_in_foreground(
            state.datadog_file,
            port,
            ready,
            dogstatsd_socket=dogstatsd_socket,
            webhooks=WebhookRules(settings.webhook_hosts),
        )
    say("stopped")
