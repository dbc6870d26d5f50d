"""All lanes of a topic, held for a moment, so that no run moves while a person changes something.

A lane that a run holds is waited for. The leases end by themselves where the holder dies.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pettwin_pipeline.adapters.clock import Clock
from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline.adapters.ledger_records import Lease
from pettwin_pipeline.errors import LanesBusyError

HELD_S: Final = 120.0
LOOK_S: Final = 0.5
"""Between two looks at a lane that a run holds."""


@dataclass(frozen=True, slots=True)
class HeldLanes:
    """The leases of all lanes."""

    ledger: Ledger
    clock: Clock
    leases: list[Lease]

    def keep(self) -> None:
        """Hold them for longer.

        Raises:
            LeaseLostError: somebody else holds one now.
        """
        for lease in self.leases:
            self.ledger.upkeep.keep_lane(lease, self.clock.now_s() + HELD_S)


@contextmanager
def held_lanes(
    ledger: Ledger, place: tuple[str, str], lanes: int, why: str, *, clock: Clock, patience_s: float
) -> Iterator[HeldLanes]:
    """Hold every lane while the block runs.

    Args:
        ledger: with the leases.
        place: topic and epoch.
        lanes: as many as the settings say; those that were ever worked on are held too.
        why: who holds them, for people.
        clock: what the time is.
        patience_s: how long a run is waited for.

    Raises:
        LanesBusyError: a run works for longer than that.
    """
    topic, epoch = place
    holder = f"{why}-{uuid.uuid4().hex[:8]}"
    held = HeldLanes(ledger, clock, [])
    end_s = time.monotonic() + patience_s
    try:
        for lane in sorted({*range(lanes), *ledger.upkeep.lanes(topic, epoch)}):
            while (lease := _taken(held, (topic, epoch, lane), holder)) is None:
                if time.monotonic() > end_s:
                    raise LanesBusyError(
                        f"a run works on lane {lane} for longer than {patience_s:.0f} s: try again "
                        "when `pettwin status` shows it free"
                    )
                held.keep()
                time.sleep(LOOK_S)
            held.leases.append(lease)
        yield held
    finally:
        for lease in held.leases:
            ledger.upkeep.free_lane(lease, clock.now_s())


def _taken(held: HeldLanes, place: tuple[str, str, int], holder: str) -> Lease | None:
    now_s = held.clock.now_s()
    return held.ledger.upkeep.hold_lane(*place, holder, (now_s, now_s + HELD_S))
