"""Everything that the local Datadog owns, in one object that every handler is given."""

from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from pettwin_pipeline.emulator.clock import Clock
from pettwin_pipeline.emulator.dice import Dice
from pettwin_pipeline.emulator.faults import Faults
from pettwin_pipeline.emulator.kept_requests import KeptRequests
from pettwin_pipeline.emulator.points import Points
from pettwin_pipeline.emulator.queried import Queried
from pettwin_pipeline.emulator.rate_limits import RateLimits
from pettwin_pipeline.emulator.received import Received
from pettwin_pipeline.emulator.storage import Storage
from pettwin_pipeline.emulator.timeline import Timeline


@dataclass(frozen=True, slots=True)
class State:
    """What is kept, and the clock, the dice and the faults that go with it."""

    storage: Storage
    points: Points = field(default_factory=Points)
    timeline: Timeline = field(default_factory=Timeline)
    received: Received = field(default_factory=Received)
    queried: Queried = field(default_factory=Queried)
    clock: Clock = field(default_factory=Clock)
    dice: Dice = field(default_factory=Dice)
    faults: Faults = field(default_factory=Faults)
    requests: KeptRequests = field(default_factory=KeptRequests)
    rate_limits: RateLimits = field(default_factory=RateLimits)
    keys: frozenset[str] = frozenset()
    """API keys that are accepted; none: any."""

    @classmethod
    def opened(
        cls,
        path: Path | None = None,
        *,
        seed: int | None = None,
        keys: frozenset[str] = frozenset(),
    ) -> "State":
        """The state in files, or in memory.

        Args:
            path: of what was made; what was received lies beside it, `.points` and `.timeline`.
            seed: of ids.
            keys: API keys that are accepted; none: any.

        Raises:
            UnknownFormatError: another release wrote a file.
        """
        with ExitStack() as opened:
            storage = opened.enter_context(closing(Storage(path)))
            points = opened.enter_context(closing(Points(_beside(path, "points"))))
            timeline = Timeline(_beside(path, "timeline"))
            opened.pop_all()
        return cls(storage, points, timeline, dice=Dice(seed), keys=keys)

    def close(self) -> None:
        """Let go of the files."""
        self.timeline.close()
        self.points.close()
        self.storage.close()

    def reset(self) -> None:
        """Forget everything: as if it had just been started for the first time."""
        self.storage.clear()
        self.points.clear()
        self.timeline.clear()
        self.received.clear()
        self.queried.clear()
        self.clock.reset()
        self.faults.clear()
        self.requests.clear()


def _beside(path: Path | None, what: str) -> Path | None:
    return None if path is None else path.with_name(f"{path.stem}.{what}{path.suffix}")
