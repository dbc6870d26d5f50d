"""`pettwin simulate`: a fleet of simulated pets sends readings, and its labels, to Kafka.

The same seed, start and options give the same bytes. Event time runs `speed` times as fast as the
clock, and ends at the moment at which the last reading is sent unless a start is given; slower than
the clock it begins now: event time is never ahead of it.
"""

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.commands.progress import Progress
from pettwin_pipeline.commands.sending import Sender
from pettwin_pipeline.errors import PettwinError, SettingsError
from pettwin_pipeline.readings.encode import encode_readings
from pettwin_pipeline.readings.simulator import (
    Fleet,
    Label,
    SimulatedChunk,
    encode_label,
    simulate,
)
from pettwin_pipeline.settings import Settings

FIRST_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST_START: Final = datetime(2099, 12, 31, tzinfo=UTC)
FILE_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""Where a simulation to a file begins unless told: the same seed gives the same bytes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be simulated.

    Attributes:
        pets: size of the fleet.
        minutes: of event time.
        seed: of everything that is drawn.
        ill_share: share of the pets that fall ill.
        every_s: seconds between two readings of a pet.
        speed: event time passes this many times as fast as the clock; 0: as fast as possible.
        start: of event time; None: so that it ends when the last reading is sent.
        onset_h: earliest and latest onset of illness, hours after the start.
        courses: how many times faster illnesses pass.
        noise: factor of how often confounders and sensor faults come.
    """

    pets: int = 20
    minutes: float = 60.0
    seed: int = 1
    ill_share: float = 0.1
    every_s: float = 2.0
    speed: float = 1.0
    start: datetime | None = None
    onset_h: tuple[float, float] = (2.0, 24.0)
    courses: float = 1.0
    noise: float = 1.0

    def chunks(self, start_ms: int, chunk_s: float) -> Iterable[SimulatedChunk]:
        """The simulation, cut into chunks of event time.

        Raises:
            SettingsError: an option is outside its range.
        """
        try:
            fleet = Fleet.draw(
                self.pets,
                self.seed,
                ill_share=self.ill_share,
                onset_h=self.onset_h,
                speed=self.courses,
            )
            return simulate(
                fleet,
                start_ms,
                self.minutes * 60,
                seed=self.seed,
                step_s=self.every_s,
                chunk_s=chunk_s,
                confounder_rate=self.noise,
                fault_rate=self.noise,
            )
        except ValueError as error:
            raise SettingsError(str(error)) from None

    def start_ms(self, now_s: float) -> int:
        """The first moment of event time, ms since 1970 UTC."""
        if self.start is not None:
            if not FIRST_START <= self.start <= LAST_START:
                raise SettingsError(f"--start {self.start}: allowed are the years 1970 to 2099")
            return round(self.start.timestamp() * 1000)
        span_s = self.minutes * 60
        takes_s = span_s / self.speed if self.speed else 0.0
        return round((now_s + min(takes_s, span_s) - span_s) * 1000)


def refuse_too_long(hours: float, settings: Settings, way_out: str) -> None:
    """Refuse to send readings that would be rejected as too old, because so much is sent at once.

    Raises:
        SettingsError: it spans more than a reading may be old.
    """
    if hours > settings.pettwin_max_age_h:
        raise SettingsError(
            f"{hours:,.0f} hours are to end now, but PETTWIN_MAX_AGE_H="
            f"{settings.pettwin_max_age_h:g} rejects what is older: raise it, or {way_out}"
        )


def messages_of(readings: pl.DataFrame, *, keep_times: bool) -> list[Outgoing]:
    """The messages of readings, keyed by pet.

    Args:
        readings: in the order in which they are sent.
        keep_times: the message's timestamp is the event time, as if it had been sent then; else
            the time of sending.
    """
    keys = [pet.encode() for pet in readings["pet_id"]]
    times = readings["time_ms"].to_list() if keep_times else [0] * len(readings)
    values = encode_readings(readings)
    return [Outgoing(key, value, at) for key, value, at in zip(keys, values, times, strict=True)]


def label_messages(labels: Iterable[Label]) -> list[Outgoing]:
    """The messages of labels, keyed by pet."""
    return [Outgoing(label.pet_id.encode(), encode_label(label)) for label in labels]


def run(plan: Plan, say: Callable[[str], None]) -> None:
    """Send the simulation to Kafka."""
    settings = Settings.load()
    topics = (settings.kafka_topic, settings.kafka_labels_topic)
    if plan.start is None:
        behind = 1 - 1 / max(plan.speed, 1.0) if plan.speed else 1.0
        refuse_too_long(plan.minutes / 60 * behind, settings, "--start keeps times as they are")
    start_ms = plan.start_ms(time.time())
    chunk_s = max(plan.every_s, min(60.0, plan.speed or 60.0))
    chunks = plan.chunks(start_ms, chunk_s)
    began_s = time.monotonic()
    with Kafka(settings) as kafka, Progress("simulating", plan.minutes * 60, say) as progress:
        with Sender(settings, kafka, topics, say=progress.say) as sender:
            for chunk in chunks:
                due_s = (chunk.end_ms - start_ms) / 1000
                if plan.speed:
                    sender.wait(began_s + due_s / plan.speed - time.monotonic())
                keep = plan.start is not None
                sender.send(topics[0], messages_of(chunk.readings, keep_times=keep))
                sender.send(topics[1], label_messages(chunk.labels))
                progress.advance_to(due_s, f"{sender.acked:,} acknowledged")
        readings, labels = (sender.acked_of(topic) for topic in topics)
    took_s = max(time.monotonic() - began_s, 0.001)
    say(
        f"{readings:,} readings of {plan.pets} pets and {labels} labels sent to "
        f"{kafka.broker.bootstrap}, all acknowledged, {readings / took_s:,.0f} readings/s"
    )


def write(plan: Plan, out: str, say: Callable[[str], None]) -> None:
    """Write the readings to a file as NDJSON, `-` for standard output; labels beside it.

    Labels go to OUT.labels.ndjson, never into the readings; to standard output go readings only.
    """
    start = plan.start or FILE_START
    chunks = plan.chunks(replace(plan, start=start).start_ms(0.0), 60.0)
    if out == "-":
        for chunk in chunks:
            sys.stdout.buffer.writelines(one + b"\n" for one in encode_readings(chunk.readings))
        return
    path = Path(out)
    if not path.name:
        raise SettingsError(f"--out {out!r}: allowed is the name of a file, or - for stdout")
    beside = path.with_name(f"{path.stem}.labels.ndjson")
    readings = labels = 0
    try:
        with path.open("wb") as file, beside.open("wb") as truth:
            for chunk in chunks:
                file.writelines(one + b"\n" for one in encode_readings(chunk.readings))
                truth.writelines(encode_label(one) + b"\n" for one in chunk.labels)
                readings, labels = readings + len(chunk.readings), labels + len(chunk.labels)
    except OSError as error:
        raise PettwinError(f"{error.filename}: {error.strerror}") from None
    say(f"{readings:,} readings in {path}, {labels} labels in {beside}")
