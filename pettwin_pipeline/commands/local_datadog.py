"""`pettwin up --only datadog`: the local Datadog alone, in the foreground, until a signal."""

import os
from collections.abc import Callable

from pettwin_pipeline.commands.up import claimed
from pettwin_pipeline.emulator.server import DEFAULT_PORT, serve_in_foreground
from pettwin_pipeline.settings import Settings
from pettwin_pipeline.state import Stack


def run(say: Callable[[str], None], port: int = DEFAULT_PORT) -> None:
    """Serve, and say in `stack.json` where.

    Args:
        say: takes lines for the person.
        port: wished for; another one is taken if it is not free.

    Raises:
        StackError: another stack runs in this state folder.
    """
    state = Settings.load().state

    def ready(address: str) -> None:
        stack = Stack(os.getpid(), "", "embedded", "", addresses={"datadog": address})
        state.write_stack(stack)
        say(f"state folder: {state.root}")
        say(f"local Datadog (not Datadog, not affiliated with it): {address}")
        say("up; Ctrl-C stops it")

    with claimed(state):
        serve_in_foreground(state.datadog_file, port, ready)
    say("stopped")
