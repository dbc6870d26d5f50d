"""The outside as the stages see it: broker, ledger, files, transport, clock, opened when needed.

One resource for all of them. It holds no address and no secret: they come from the settings of the
process that runs the stage. Adapters are imported when they are first used, because the code
location must not load a database toolkit to say what it can do.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import PrivateAttr

from pettwin_pipeline.adapters.clock import Clock, SystemClock
from pettwin_pipeline.errors import LedgerUnreachableError
from pettwin_pipeline.settings import Settings

if TYPE_CHECKING:
    from pettwin_pipeline.adapters.baseline_files import BaselineFiles
    from pettwin_pipeline.adapters.files import BatchFiles
    from pettwin_pipeline.adapters.kafka import Kafka
    from pettwin_pipeline.adapters.ledger import Ledger
    from pettwin_pipeline.adapters.telemetry import SendReport, Transport
    from pettwin_pipeline.metrics.points import Point

    Materialized = dg.MaterializeResult[None]
else:
    # Dagster reads this annotation at run time and knows the bare class only.
    Materialized = dg.MaterializeResult


class Ports(dg.ConfigurableResource[Any]):
    """What is outside, by name."""

    _settings: Settings | None = PrivateAttr(default=None)
    _kafka: Any = PrivateAttr(default=None)
    _ledger: Any = PrivateAttr(default=None)
    _transports: dict[str, Any] = PrivateAttr(default_factory=dict)
    _clock: Clock = PrivateAttr(default_factory=SystemClock)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Let go of everything."""
        del context
        self.close()

    def close(self) -> None:
        """Let go of everything; what was not said of points is left to the next process."""
        with suppress(LedgerUnreachableError):  # nobody is left to tell
            for transport in self._transports.values():
                if transport.owes:
                    self.ledger.outcomes.owe(transport.name, transport.owes)
        self._transports.clear()
        if self._kafka is not None:
            self._kafka.close()
        if self._ledger is not None:
            self._ledger.close()
        self._kafka = self._ledger = None

    @property
    def settings(self) -> Settings:
        """The settings of this process."""
        if self._settings is None:
            self._settings = Settings.load()
        return self._settings

    @property
    def kafka(self) -> "Kafka":
        """The broker."""
        if self._kafka is None:
            from pettwin_pipeline.adapters.kafka import Kafka

            self._kafka = Kafka(self.settings)
        kafka: Kafka = self._kafka
        return kafka

    @property
    def ledger(self) -> "Ledger":
        """The ledger."""
        if self._ledger is None:
            from pettwin_pipeline.adapters.ledger import open_ledger

            self._ledger = open_ledger(self.settings.ledger_url)
        ledger: Ledger = self._ledger
        return ledger

    @property
    def files(self) -> "BatchFiles":
        """The files of the batches."""
        from pettwin_pipeline.adapters.files import BatchFiles

        return BatchFiles.at(self.settings.data_url)

    def baselines(self, topic: str, epoch: str, partition: int) -> "BaselineFiles":
        """The baselines of a partition of a topic, by the detector of this release."""
        from pettwin_pipeline.adapters.baseline_files import BaselineFiles
        from pettwin_pipeline.detection.screen import DETECTOR_VERSION

        return BaselineFiles(self.files, topic, epoch, partition, DETECTOR_VERSION)

    @property
    def now_s(self) -> float:
        """Seconds since 1970, UTC."""
        return self._clock.now_s()

    def send(self, points: "Sequence[Point]", host: str) -> "SendReport":
        """Send points, or count them where they have nowhere to go. Never raises for the network.

        Args:
            points: to send.
            host: tells processes apart that send the same series.
        """
        if host not in self._transports:
            from pettwin_pipeline.adapters.telemetry import make_transport

            outcomes = self.ledger.outcomes
            made = make_transport(self.settings, outcomes.add_tallies, host)
            made.take_over(outcomes.settle(made.name))
            self._transports[host] = made
        transport: Transport = self._transports[host]
        return transport.send(points, self.now_s)
