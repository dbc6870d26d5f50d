"""A lease that is renewed in the background while a stage works, however long that takes.

So a lane is lost only by a run that died or was stopped, not by a large batch on a slow machine. A
stage that hangs must not hold its lane for ever: where it has said nothing itself for SILENT_S, its
lease is left to run out. Knows a function that renews and the time; no ledger.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import structlog

from pettwin_pipeline.errors import LeaseLostError

SILENT_S: Final = 900.0
"""Scoring ten million readings of one partition, the most of a batch, takes a tenth of this."""

log = structlog.get_logger()


class Renewal:
    """Renews while the block runs; who lost the lease is told by `now`, not by the background."""

    def __init__(
        self,
        renew: Callable[[], None],
        every_s: float,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is renewed before the block.

        Args:
            renew: holds the lane for longer; raises LeaseLostError where another run has it.
            every_s: pause between two renewals.
            now_s: a clock that only goes forward.
        """
        self._renew = renew
        self._every_s = every_s
        self._now_s = now_s
        self._heard_s = now_s()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_on, name="renewal", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def now(self) -> None:
        """Renew at once: the stage lives, and may write if this returns.

        Raises:
            LeaseLostError: another run holds the lane now.
        """
        self._heard_s = self._now_s()
        self._renew()

    def _keep_on(self) -> None:
        while not self._ended.wait(self._every_s):
            silent_s = self._now_s() - self._heard_s
            if silent_s > SILENT_S:
                log.error("stage_hangs", silent_s=round(silent_s), consequence="its lease runs out")
                return
            try:
                self._renew()
            except LeaseLostError:
                return
            except Exception as error:  # noqa: BLE001  a database that is away for a moment
                log.warning("lease_not_renewed", error=str(error), consequence="tried again")
