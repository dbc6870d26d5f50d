"""Everything that the local Datadog owns, in one object that every handler is given."""

from dataclasses import dataclass, field
from pathlib import Path

from pettwin_pipeline.emulator.clock import Clock
from pettwin_pipeline.emulator.dice import Dice
from pettwin_pipeline.emulator.faults import Faults
from pettwin_pipeline.emulator.kept_requests import KeptRequests
from pettwin_pipeline.emulator.rate_limits import RateLimits
from pettwin_pipeline.emulator.storage import Storage


@dataclass(frozen=True, slots=True)
class State:
    """What is kept, and the clock, the dice and the faults that go with it."""

    storage: Storage
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
        """The state in a file, or in memory.

        Raises:
            UnknownFormatError: another release wrote the file.
        """
        return cls(Storage(path), dice=Dice(seed), keys=keys)

    def reset(self) -> None:
        """Forget everything: as if it had just been started for the first time."""
        self.storage.clear()
        self.clock.reset()
        self.faults.clear()
        self.requests.clear()
