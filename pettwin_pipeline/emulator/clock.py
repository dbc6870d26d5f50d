"""The one clock of the local Datadog. Tests and demos may set it: nothing else tells the time.

Times are aware UTC. A clock that was set goes on from there, or stands still if asked to.
"""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The machine's clock, moved by as much as somebody asked."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._stands_at_s: float | None = None

    def now_s(self) -> float:
        """Seconds since 1970, UTC."""
        if self._stands_at_s is not None:
            return self._stands_at_s
        return time.time() + self._ahead_s

    def now(self) -> datetime:
        """The time, aware, in UTC."""
        return datetime.fromtimestamp(self.now_s(), UTC)

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        return int(self.now_s() * 1000)

    @property
    def ahead_s(self) -> float:
        """How far it is ahead of the machine's clock."""
        return self.now_s() - time.time()

    @property
    def stands(self) -> bool:
        """Whether it stands still."""
        return self._stands_at_s is not None

    def set(self, at_s: float, *, stand: bool = False) -> None:
        """Go on from a time, or stand at it."""
        self._ahead_s = at_s - time.time()
        self._stands_at_s = at_s if stand else None

    def advance(self, seconds: float) -> None:
        """Move on; a clock that stands stands later."""
        if self._stands_at_s is not None:
            self._stands_at_s += seconds
        else:
            self._ahead_s += seconds

    def reset(self) -> None:
        """Back to the machine's clock."""
        self._ahead_s, self._stands_at_s = 0.0, None


def iso(moment: datetime) -> str:
    """As most of the API writes times: microseconds and `+00:00`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def iso_z(moment: datetime) -> str:
    """As newer services write times: microseconds and `Z`."""
    return iso(moment).replace("+00:00", "Z")


def parse_moment(text: str) -> datetime:
    """An ISO 8601 time; one without an offset is UTC.

    Raises:
        ValueError: it is none.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def at(seconds: float) -> datetime:
    """Seconds since 1970 as a time.

    Raises:
        ValueError: outside the years that there are.
    """
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError(f"{seconds} is no time") from None
