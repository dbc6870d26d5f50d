"""A `pettwin redrive` that kills itself, as `kill -9` would, at a named point of its way.

`python -m pettwin_pipeline_tests.integration.dying_redrive POINT [OPTION]...`
"""

import os
import signal
import sys
from typing import Final

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_redrive import SendingBack
from pettwin_pipeline.adapters.ledger_redrives import Redrives
from pettwin_pipeline.cli import run
from pettwin_pipeline.commands import redrive
from pettwin_pipeline_tests.integration.dying_worker import Point, arm

POINTS: Final[dict[str, Point]] = {
    "after it took over": Point(Redrives, "take_over", "after"),
    "before the piece is noted": Point(Redrives, "note", "before"),
    "after the piece was noted": Point(Redrives, "note", "after"),
    "in the open transaction": Point(Kafka, "group_metadata", "before"),
    "after the transaction": Point(SendingBack, "send", "after"),
    "after the piece was settled": Point(Redrives, "settle", "after"),
}


def main() -> None:
    """Redrive in small pieces; one that dies says nothing."""
    arm(POINTS[sys.argv[1]], lambda: os.kill(os.getpid(), signal.SIGKILL))
    redrive.PIECE = 8  # type: ignore[misc] # a kill comes between pieces, not at the end
    sys.exit(run(["redrive", *sys.argv[2:]]))


if __name__ == "__main__":
    main()
