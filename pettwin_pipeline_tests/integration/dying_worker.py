"""A run of the stream job that kills itself, as `kill -9` would, at a named point of its way.

`python -m pettwin_pipeline_tests.integration.dying_worker POINT TAGS` with the tags of the run as
JSON. The product has no such points: here its functions are wrapped.
"""

import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from pettwin_pipeline.adapters import kafka_commit
from pettwin_pipeline.adapters.files import BatchFiles
from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline.adapters.ledger_outbox import Outbox
from pettwin_pipeline.adapters.notification_file import NotificationFile
from pettwin_pipeline.defs.ports import Ports


@dataclass(frozen=True)
class Point:
    """Before or after a call, or in the middle of one: when this part of it is called.

    Attributes:
        owner, name: of the function.
        path: a part of what is written: of its path where it is a file.
    """

    owner: Any
    name: str
    when: Literal["before", "after"]
    path: str = ""


POINTS: Final[dict[str, Point]] = {
    "before the lane is taken": Point(Ledger, "begin", "before"),
    "after the lane was taken": Point(Ledger, "begin", "after"),
    "after reading": Point(Kafka, "read_range", "after"),
    "after the dead letters": Point(Kafka, "publish", "after"),
    "in the middle of writing the readings": Point(os, "fsync", "before"),
    "after the readings": Point(BatchFiles, "write", "after", "/readings/"),
    "after the baselines": Point(BatchFiles, "write", "after", "/baselines/"),
    "after the scores": Point(BatchFiles, "write", "after", "/scores/"),
    "after the episodes": Point(BatchFiles, "write", "after", "/episodes/"),
    "after the verdicts": Point(BatchFiles, "write", "after", "/verdicts/"),
    "after the pending alerts": Point(BatchFiles, "write", "after", "/alerts/"),
    "before the transaction": Point(kafka_commit, "_commit", "before"),
    "in the open transaction": Point(Kafka, "group_metadata", "before"),
    "after the transaction": Point(kafka_commit, "_commit", "after"),
    "before the ledger says done": Point(Ledger, "finish", "before"),
    "after the ledger said done": Point(Ledger, "finish", "after"),
    "after a notification was claimed": Point(Outbox, "claim", "after"),
    "after a notification left": Point(NotificationFile, "deliver", "after"),
    "after a notification was marked": Point(Outbox, "delivered", "after"),
    "after the points were claimed": Point(Ledger, "claim_report", "after"),
    "after the points were sent": Point(Ports, "send", "after", "kafka.messages.consumed"),
}


def die() -> None:
    """As `kill -9` would have it: no handler, no cleaning up, nothing flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: Point) -> None:
    """Wrap the function so that the process dies there."""
    real: Callable[..., Any] = getattr(point.owner, point.name)

    @functools.wraps(real)
    def deadly(*arguments: Any, **named: Any) -> Any:
        if point.path and point.path not in str(arguments[1]):
            return real(*arguments, **named)
        if point.when == "before":
            die()
        result = real(*arguments, **named)
        die()
        return result

    setattr(point.owner, point.name, deadly)


def main() -> None:
    """Run the job; nothing is printed by one that dies."""
    import dagster as dg

    from pettwin_pipeline.definitions import defs

    arm(POINTS[sys.argv[1]])
    job = defs.get_repository_def().get_job("stream_job")
    with dg.DagsterInstance.ephemeral() as instance:
        job.execute_in_process(instance=instance, tags=json.loads(sys.argv[2]))


if __name__ == "__main__":
    main()
