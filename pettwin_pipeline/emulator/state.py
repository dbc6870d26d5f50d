"""Everything that the local Datadog owns, in one object that every handler is given."""

from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from pettwin_pipeline.emulator.clock import Clock
from pettwin_pipeline.emulator.dice import Dice
from pettwin_pipeline.emulator.evaluating.monitor_states import MonitorStates
from pettwin_pipeline.emulator.evaluating.round_log import RoundLog
from pettwin_pipeline.emulator.evaluating.schedule import Schedule
from pettwin_pipeline.emulator.faults import Faults
from pettwin_pipeline.emulator.kept_requests import KeptRequests
from pettwin_pipeline.emulator.outbox import Outbox
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
    monitor_states: MonitorStates = field(default_factory=MonitorStates)
    outbox: Outbox = field(default_factory=Outbox)
    rounds: RoundLog = field(default_factory=RoundLog)
    clock: Clock = field(default_factory=Clock)
    schedule: Schedule = field(init=False)
    dice: Dice = field(default_factory=Dice)
    faults: Faults = field(default_factory=Faults)
    requests: KeptRequests = field(default_factory=KeptRequests)
    rate_limits: RateLimits = field(default_factory=RateLimits)
    keys: frozenset[str] = frozenset()
    """API keys that are accepted; none: any."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", Schedule(self.clock))

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
            path: of what was made; the rest lies beside it: `.points`, `.timeline`, `.states` of
                monitors, `.outbox`.
            seed: of ids.
            keys: API keys that are accepted; none: any.

        Raises:
            UnknownFormatError: another release wrote a file.
        """
        with ExitStack() as opened:
            storage = opened.enter_context(closing(Storage(path)))
            points = opened.enter_context(closing(Points(_beside(path, "points"))))
            timeline = opened.enter_context(closing(Timeline(_beside(path, "timeline"))))
            states = opened.enter_context(closing(MonitorStates(_beside(path, "states"))))
            outbox = Outbox(_beside(path, "outbox"))
            opened.pop_all()
        return cls(
            storage,
            points,
            timeline,
            monitor_states=states,
            outbox=outbox,
            dice=Dice(seed),
            keys=keys,
        )

    def close(self) -> None:
        """Let go of the files."""
        self.outbox.close()
        self.monitor_states.close()
        self.timeline.close()
        self.points.close()
        self.storage.close()

    def reset(self) -> None:
        """Forget everything: as if it had just been started for the first time."""
        self.monitor_states.clear()  # first: a round that is under way keeps nothing after it
        self.outbox.clear()
        self.rounds.clear()
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
