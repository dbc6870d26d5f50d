"""A run of the stream job that is disturbed at a named point of its way.

`python -m pettwin_pipeline_tests.integration.dying_worker POINT TAGS [kill|stop]` with the tags of
the run as JSON: it kills itself there, as `kill -9` would, or stops there until somebody sends it
SIGCONT; then it goes on and prints why its steps failed, as JSON. The product has no such points:
here its functions are wrapped, by this process or, with `disturbed`, by a test.
"""

import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    "before the baselines": Point(BatchFiles, "write", "before", "/baselines/"),
    "after the baselines": Point(BatchFiles, "write", "after", "/baselines/"),
    "after the scores": Point(BatchFiles, "write", "after", "/scores/"),
    "after the episodes": Point(BatchFiles, "write", "after", "/episodes/"),
    "after the verdicts": Point(BatchFiles, "write", "after", "/verdicts/"),
    "after the pending alerts": Point(BatchFiles, "write", "after", "/alerts/"),
    "before the lane is fenced off": Point(kafka_commit, "commit_with_messages", "before"),
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


def arm(point: Point, disturb: Callable[[], None]) -> Callable[[], None]:
    """Wrap the function so that this is called there, once; returns what unwraps it."""
    real: Callable[..., Any] = getattr(point.owner, point.name)
    waiting = [disturb]

    @functools.wraps(real)
    def disturbed(*arguments: Any, **named: Any) -> Any:
        is_there = not point.path or point.path in str(arguments[1])
        if is_there and waiting and point.when == "before":
            waiting.pop()()
        result = real(*arguments, **named)
        if is_there and waiting:
            waiting.pop()()
        return result

    setattr(point.owner, point.name, disturbed)
    return lambda: setattr(point.owner, point.name, real)


@contextmanager
def disturbed(point: str, disturb: Callable[[], None]) -> Iterator[None]:
    """While the block runs, the runs of this process are disturbed there, once."""
    unwrap = arm(POINTS[point], disturb)
    try:
        yield
    finally:
        unwrap()


def main() -> None:
    """Run the job; nothing is printed by one that dies."""
    import dagster as dg

    from pettwin_pipeline.definitions import defs
    from pettwin_pipeline_tests.defs.pipeline import failures

    point, tags, *way = sys.argv[1:]
    number = signal.SIGSTOP if way == ["stop"] else signal.SIGKILL
    arm(POINTS[point], lambda: os.kill(os.getpid(), number))
    job = defs.get_repository_def().get_job("stream_job")
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(
            instance=instance, tags=json.loads(tags), raise_on_error=False
        )
    sys.stdout.write(json.dumps(failures(done)))


if __name__ == "__main__":
    main()
