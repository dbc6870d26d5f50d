"""`pettwin skip` and `pettwin unpark`: what a person decides of a range that failed too often."""

from collections.abc import Callable
from contextlib import closing
from typing import Final

from pettwin_pipeline.adapters.clock import SystemClock
from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.ledger import Ledger, open_ledger
from pettwin_pipeline.adapters.ledger_records import RangeRecord
from pettwin_pipeline.errors import RangeUnknownError
from pettwin_pipeline.settings import Settings

SKIPPABLE: Final = ("failed", "parked")
"""A range behind the other half of one that failed is not at its turn, another one is at work."""


def skip(text: str, reason: str, say: Callable[[str], None]) -> None:
    """Go on behind a range: its readings are never scored. The reason stays in the ledger.

    Raises:
        RangeUnknownError: no such range is unfinished, or a run works on it.
    """
    settings = Settings.load()
    topic = settings.kafka_topic
    with Kafka(settings) as kafka, closing(open_ledger(settings.ledger_url)) as ledger:
        record = _find(ledger, topic, kafka.topic_epoch(topic), text)
        if record.status not in SKIPPABLE:
            raise RangeUnknownError(
                f"{text} is {record.status}: only a range that failed or is parked can be skipped"
            )
        if not ledger.setbacks.skip(record, reason, SystemClock().now_s()):
            raise RangeUnknownError(f"a run works on {text} now: wait until it has ended")
        kafka.commit(topic, {part.partition: part.end for part in record.range.parts})
    say(f"{record.range.offsets:,} offsets skipped, lane {record.range.lane} goes on: {reason}")


def unpark(lane: int | None, say: Callable[[str], None]) -> None:
    """Try the ranges of parked lanes again, as if they had never failed.

    Raises:
        RangeUnknownError: no lane is parked, or not this one.
    """
    settings = Settings.load()
    topic = settings.kafka_topic
    with Kafka(settings) as kafka, closing(open_ledger(settings.ledger_url)) as ledger:
        unfinished = ledger.unfinished(topic, kafka.topic_epoch(topic))
        parked = [one for one in unfinished if one.status == "parked"]
        wanted = [one for one in parked if lane is None or one.range.lane == lane]
        if not wanted:
            known = ", ".join(str(one.range.lane) for one in parked) or "none"
            raise RangeUnknownError(f"no such lane is parked; parked are: {known}")
        for one in wanted:
            ledger.setbacks.unpark(one, SystemClock().now_s())
            say(f"lane {one.range.lane}: {one.range.text} is tried again")


def _find(ledger: Ledger, topic: str, epoch: str, text: str) -> RangeRecord:
    unfinished = ledger.unfinished(topic, epoch)
    for one in unfinished:
        if one.range.text == text:
            return one
    known = "; ".join(f"{one.range.text} ({one.status})" for one in unfinished) or "none"
    raise RangeUnknownError(f"no range {text} is unfinished; unfinished are: {known}")
