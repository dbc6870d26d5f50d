"""`pettwin redrive`: dead letters back to the topic of readings, once what kept them out is mended.

What is promised, whatever is killed: no letter is lost, and on Kafka none is sent back twice. A
piece of letters is noted in the ledger, then sent in one transaction together with its name, then
settled in the ledger: who comes next knows by the name whether the piece was sent. What no filter
chooses stays where it is and can be chosen later. The embedded broker keeps no transactions: there
a redrive that is killed may send its last piece again; the pipeline scores no reading twice.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from rich.console import Console
from rich.table import Table

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_messages import Fetched, Outgoing
from pettwin_pipeline.adapters.kafka_redrive import (
    SendingBack,
    pieces_sent,
    retention_ms,
    sending_back,
)
from pettwin_pipeline.adapters.ledger import Ledger, open_ledger
from pettwin_pipeline.adapters.ledger_upkeep import erased_pets
from pettwin_pipeline.batches import (
    PartitionRange,
    first_left,
    merge_ranges,
    offsets_in,
    windows_left,
    without,
)
from pettwin_pipeline.commands.progress import Progress
from pettwin_pipeline.errors import SettingsError
from pettwin_pipeline.readings.dead_letters import DeadLetter, parse_dead_letter, partition_back
from pettwin_pipeline.readings.schema import Reject, RejectReason
from pettwin_pipeline.settings import Settings

PIECE: Final = 2_000
"""Offsets of the dead-letter topic that are looked at, and sent back, at a time."""
STRANGE: Final = "(not a dead letter of this topic)"
EXAMPLES: Final = 3
"""Of each reason, shown by a dry run."""
_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Plan:
    """Which letters are sent back, and how.

    Attributes:
        reasons: why they were rejected; none: whatever the reason is.
        since, until: when they became dead letters, aware; None: whenever.
        pet: whose they are, by their key; None: anybody's.
        most: how many are sent back at the most; None: all.
        dry_run: tell what would be sent back, and do nothing.
        restamp: as messages of now, so that their age is judged anew.
    """

    reasons: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    pet: str | None = None
    most: int | None = None
    dry_run: bool = False
    restamp: bool = False

    def __post_init__(self) -> None:
        wrong = set(self.reasons) - set(RejectReason)
        if wrong:
            known = ", ".join(RejectReason)
            raise SettingsError(f"--reason {', '.join(sorted(wrong))}: allowed are {known}")

    def chooses(self, letter: DeadLetter, letter_ms: int) -> bool:
        """Whether a letter that was written at this time is wanted."""
        key = letter.reject.key
        return (
            (not self.reasons or letter.reject.reason in self.reasons)
            and (self.since is None or letter_ms >= self.since.timestamp() * 1000)
            and (self.until is None or letter_ms < self.until.timestamp() * 1000)
            and (self.pet is None or key == self.pet.encode())
        )


@dataclass(slots=True)
class Tally:
    """What became of letters, counted by reason."""

    found: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    outlived: int = 0
    """Sent back with a timestamp that is older than what their topic keeps."""

    def left(self, reason: str) -> int:
        """Letters that stay where they are."""
        return self.found[reason] - self.sent[reason] - self.passed_over[reason]


@dataclass(frozen=True, slots=True)
class _Letter:
    """A message of the dead-letter topic; None in place of what we did not write."""

    offset: int
    written_ms: int
    content: DeadLetter | None


def run(plan: Plan, say: Callable[[str], None]) -> None:
    """Send dead letters back, or say what would be sent.

    Raises:
        OvertakenError: another redrive began meanwhile.
        DeliveryFailedError: the broker did not take them; what was sent before counts.
    """
    settings = Settings.load()
    group = {"kafka_consumer_group": f"{settings.kafka_consumer_group}-redrive"}
    with (
        Kafka(settings.model_copy(update=group)) as kafka,
        closing(open_ledger(settings.ledger_url)) as ledger,
    ):
        redrive = Redrive(plan, settings, kafka, ledger)
        if plan.dry_run:
            redrive.look(say)
        else:
            redrive.send(say)
        show(redrive.tally, plan, redrive.source, say)
        for line in redrive.notes():
            say(line)


class Redrive:
    """One pass over the dead letters.

    Args:
        plan: which of them.
        settings: topics.
        kafka: the broker, with the group that sends back.
        ledger: which letters were dealt with before.
    """

    def __init__(self, plan: Plan, settings: Settings, kafka: Kafka, ledger: Ledger) -> None:
        self._plan, self._kafka, self._ledger = plan, kafka, ledger
        self._topic = settings.kafka_topic
        self.source = settings.dead_letter_topic
        self.tally = Tally()
        self._partitions = kafka.partitions(self._topic)
        self._epoch = kafka.topic_epoch(self._topic)
        self._marks = kafka.watermarks(self.source)
        self._source_epoch = kafka.topic_epoch(self.source)
        self._kept_ms = retention_ms(kafka, self._topic)
        self._erasures = ledger.upkeep.erasures()
        self._origins: set[tuple[str, int, int]] = set()
        self._unseen = 0

    def look(self, say: Callable[[str], None]) -> None:
        """Count what would be sent back; nothing is sent and nothing is written."""
        sent = pieces_sent(self._kafka, self.source, self._marks)
        dealt = self._ledger.redrives.dealt_with(self.source, self._source_epoch, sent)
        for _ in self._windows(self._known(dealt), say):
            pass

    def send(self, say: Callable[[str], None]) -> None:
        """Send back what is wanted, piece by piece."""
        redrives, place = self._ledger.redrives, (self.source, self._source_epoch)
        with sending_back(self._kafka, *place) as back:
            sent = pieces_sent(self._kafka, self.source, self._marks)
            dealt = self._known(redrives.take_over(*place, sent))
            for window, messages, parts in self._windows(dealt, say):
                if parts:
                    dealt = merge_ranges([*dealt, *parts])
                    self._send_piece(back, window.partition, messages, parts, dealt)

    def _send_piece(
        self,
        back: SendingBack,
        partition: int,
        messages: Sequence[Outgoing],
        parts: Sequence[PartitionRange],
        dealt: Sequence[PartitionRange],
    ) -> None:
        piece = uuid.uuid4().hex
        redrives, place = self._ledger.redrives, (self.source, self._source_epoch)
        redrives.note(*place, piece, parts)
        end = first_left(partition, self._marks[partition].low, dealt)
        back.send(self._topic, messages, (partition, end), piece)
        redrives.settle(*place, piece)

    def _known(self, dealt: Sequence[PartitionRange]) -> list[PartitionRange]:
        """The ledger's word, and that of the group: a new ledger knows nothing of either."""
        committed = self._kafka.committed(self.source, self._marks)
        before = [PartitionRange(p, 0, end) for p, end in committed.items() if end]
        return merge_ranges([*dealt, *before])

    def _windows(
        self, dealt: Sequence[PartitionRange], say: Callable[[str], None]
    ) -> Iterator[tuple[PartitionRange, list[Outgoing], list[PartitionRange]]]:
        """Windows of letters in turn: what is sent of each, and which offsets are dealt with."""
        windows = windows_left(self._marks, dealt, PIECE)
        total = sum(one.end - one.start for one in windows)
        looked = 0
        with Progress("redriving", max(total, 1), say) as progress:
            for window in windows:
                if self._plan.most is not None and self.tally.sent.total() >= self._plan.most:
                    self._unseen = total - looked
                    return
                letters = self._read(window, dealt)
                yield window, *self._sort_out(window, letters)
                looked += window.end - window.start
                progress.advance_to(looked, f"{self.tally.sent.total():,} sent back")

    def _read(self, window: PartitionRange, dealt: Sequence[PartitionRange]) -> list[_Letter]:
        """The letters of a window that were not dealt with before."""
        got = self._kafka.read_range(self.source, [window], with_headers=True)
        known = offsets_in(window, dealt)
        return [
            _Letter(int(got.offsets[n]), int(got.kafka_ms[n]), self._parse(got, n))
            for n in range(len(got.values))
            if got.offsets[n] not in known
        ]

    def _parse(self, got: Fetched, row: int) -> DeadLetter | None:
        headers = got.headers[row] if got.headers else {}
        letter = parse_dead_letter(got.keys[row], got.values[row], headers)
        return letter if letter is not None and letter.topic == self._topic else None

    def _sort_out(
        self, window: PartitionRange, letters: Sequence[_Letter]
    ) -> tuple[list[Outgoing], list[PartitionRange]]:
        """What is sent of a window, and the offsets that are dealt with thereby."""
        messages: list[Outgoing] = []
        left: list[int] = []
        for one in letters:
            letter = one.content
            reason = STRANGE if letter is None else letter.reject.reason.value
            self.tally.found[reason] += 1
            if letter is None or not self._wants(letter, one.written_ms):
                left.append(one.offset)
            elif self._has_nothing_new(letter):
                self.tally.passed_over[reason] += 1
            else:
                self.tally.sent[reason] += 1
                self._note_example(letter, window.partition, one.offset)
                messages.append(self._message(letter, f"{window.partition}/{one.offset}"))
        nothing = letters and len(left) == len(letters)
        return messages, [] if nothing else without(window, left)

    def _wants(self, letter: DeadLetter, written_ms: int) -> bool:
        most = self._plan.most
        room = most is None or self.tally.sent.total() < most
        return room and self._plan.chooses(letter, written_ms)

    def _has_nothing_new(self, letter: DeadLetter) -> bool:
        """A tombstone, one that is not kept whole, a copy of another attempt, of an erased pet."""
        reject = letter.reject
        origin = letter.epoch, reject.partition, reject.offset
        seen = origin in self._origins
        self._origins.add(origin)
        return seen or reject.value is None or not letter.is_whole or self._is_erased(reject)

    def _is_erased(self, reject: Reject) -> bool:
        """Whether it came before its pet was erased: stamped anew it would come back to life."""
        pet = (reject.key or b"").decode("utf-8", "surrogateescape")
        erased_s = erased_pets(self._erasures, [pet]).get(pet)
        return erased_s is not None and reject.kafka_ms <= erased_s * 1000

    def _message(self, letter: DeadLetter, place: str) -> Outgoing:
        reject = letter.reject
        stamp_ms = 0 if self._plan.restamp else max(reject.kafka_ms, 0)
        if self._kept_ms is not None and 0 < stamp_ms < time.time() * 1000 - self._kept_ms:
            self.tally.outlived += 1
        return Outgoing(
            key=reject.key,
            value=reject.value,
            timestamp_ms=stamp_ms,
            headers=(("redriven", place.encode()),),
            partition=partition_back(letter, self._epoch, self._partitions),
        )

    def _note_example(self, letter: DeadLetter, partition: int, offset: int) -> None:
        reject = letter.reject
        shown = self.tally.examples.setdefault(reject.reason.value, [])
        if len(shown) < EXAMPLES:
            key = "no key" if reject.key is None else reject.key.decode("utf-8", "replace")
            shown.append(f"{partition}/{offset} {reject.reason.value}, {key}: {reject.detail}")

    def notes(self) -> Iterator[str]:
        """What a person has to know beside the numbers."""
        if self._unseen:
            yield f"{self._unseen:,} offsets were not looked at: --most is reached"
        if self.tally.outlived and self._kept_ms is not None:
            yield (
                f"{self.tally.outlived:,} of them are older than {self._topic} keeps messages "
                f"({self._kept_ms / _HOUR_MS:,.0f} h), and Kafka may remove them before they are "
                "read: have the pipeline running, or use --restamp"
            )
        if self._kafka.broker.kind == "embedded" and self.tally.sent and not self._plan.dry_run:
            yield (
                "the embedded broker keeps no transactions: killed in the middle, a redrive may "
                "send some letters again"
            )


def show(tally: Tally, plan: Plan, source: str, say: Callable[[str], None]) -> None:
    """What became of the letters, for people."""
    if not tally.found:
        say(f"nothing to send back: {source} holds no letter that was not dealt with before")
        return
    sent = "would be sent back" if plan.dry_run else "sent back"
    columns = ("reason", "found", sent, "nothing to send", "left")
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name == "reason" else "right")
    for reason, found in sorted(tally.found.items()):
        numbers = found, tally.sent[reason], tally.passed_over[reason], tally.left(reason)
        table.add_row(reason, *(f"{number:,}" for number in numbers))
    Console(highlight=False, markup=False).print(table)
    if plan.dry_run:
        for lines in tally.examples.values():
            for line in lines:
                say(line)
    left = sum(map(tally.left, tally.found))
    say(f"{tally.sent.total():,} {sent}, {left:,} left in {source}")
