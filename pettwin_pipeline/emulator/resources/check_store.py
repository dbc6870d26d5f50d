"""Runs of service checks as they are kept, whoever sent them; and the latest of them."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Final

from pettwin_pipeline.datadog_protocol.datagram import ServiceCheck
from pettwin_pipeline.datadog_protocol.monitor_options import CHECK_GROUP_FORGOTTEN_S
from pettwin_pipeline.emulator.state import State

_numbers: Final = itertools.count()


def keep_checks(state: State, runs: Iterable[ServiceCheck]) -> None:
    """Keep runs; one without a time of its own ran now."""
    by_name: dict[str, list[tuple[int, str, dict[str, object]]]] = {}
    for run in runs:
        now_ms = state.clock.now_ms()
        at_ms = now_ms if run.timestamp_s is None else run.timestamp_s * 1000
        document: dict[str, object] = {
            "name": run.name,
            "status": run.status,
            "tags": list(run.tags),
            "at_s": at_ms // 1000,
            "host": run.host,
            "message": run.message,
        }
        # of two runs in one second the later one sorts behind
        key = f"{now_ms:015d}.{next(_numbers):012d}.{state.dice.hexadecimal(6)}"
        by_name.setdefault(run.name, []).append((at_ms, key, document))
    for name, documents in by_name.items():
        state.timeline.keep_all("check", documents, name)


def check_runs(
    state: State, name: str | None = None, since_s: float | None = None
) -> Iterator[ServiceCheck]:
    """The runs of a check, or of all, newest first.

    Args:
        state: where they are.
        name: of the check; None: every one.
        since_s: the earliest, unix time; None: of the last 48 hours.
    """
    now_s = state.clock.now_s()
    first = now_s - CHECK_GROUP_FORGOTTEN_S if since_s is None else since_s
    for one in state.timeline.between("check", int(first * 1000), state.clock.now_ms(), label=name):
        yield ServiceCheck(
            name=one["name"],
            status=one["status"],
            tags=tuple(one["tags"]),
            timestamp_s=one["at_s"],
            host=one["host"],
            message=one["message"],
        )
