"""The one clock: what the time is, for everything that is not event time."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time; tests bring their own."""

    def now_s(self) -> float:
        """Seconds since 1970, UTC."""


class SystemClock:
    """The machine's clock."""

    def now_s(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()
