"""A dead letter: a message that is not a reading, with why, and where it lay.

The original key and bytes are the message's own; the rest is in its headers, as text. Reading and
writing them is here and nowhere else. Knows nothing of Kafka but topics, partitions and offsets.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from pettwin_pipeline.readings.schema import Reject, RejectReason

DETAIL_BYTES: Final = 1000
LETTER_BYTES: Final = 64 * 1024
"""What is kept of a message that the topic of dead letters does not take whole."""
LENGTH: Final = "bytes"
"""The header that tells how long a message was of which only the beginning is kept."""
BY_KEY: Final = -1
"""Instead of a partition: the one that a producer chooses for the key."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A reject and the topic, of this epoch and with so many partitions, in which it lay."""

    reject: Reject
    topic: str
    epoch: str
    partitions: int
    is_whole: bool = True
    """False where only the beginning of the message is kept: the topic took no more."""


def encode_headers(letter: DeadLetter) -> tuple[tuple[str, bytes], ...]:
    """What is known of a reject beside its key and its bytes.

    `timestamp` is that of the original message, ms since 1970 UTC; left out where it has none.
    """
    reject = letter.reject
    headers = (
        ("reason", reject.reason.value.encode()),
        ("detail", reject.detail.encode("utf-8", "replace")[:DETAIL_BYTES]),
        ("topic", letter.topic.encode()),
        ("epoch", letter.epoch.encode()),
        ("partitions", str(letter.partitions).encode()),
        ("partition", str(reject.partition).encode()),
        ("offset", str(reject.offset).encode()),
    )
    stamp = ("timestamp", str(reject.kafka_ms).encode())
    return headers if reject.kafka_ms < 0 else (*headers, stamp)


def parse_dead_letter(
    key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]
) -> DeadLetter | None:
    """The way back; None where somebody else wrote it, or a release that knows more reasons."""
    try:
        reject = Reject(
            partition=int(headers["partition"]),
            offset=int(headers["offset"]),
            key=key,
            value=value,
            reason=RejectReason(headers["reason"].decode()),
            detail=headers.get("detail", b"").decode("utf-8", "replace"),
            kafka_ms=int(headers.get("timestamp", b"-1")),
        )
        place = headers["topic"].decode(), headers["epoch"].decode(), int(headers["partitions"])
        return DeadLetter(reject, *place, is_whole=LENGTH not in headers)
    except (KeyError, ValueError, TypeError, AttributeError):  # a header may have no value at all
        return None


def partition_back(letter: DeadLetter, epoch: str, partitions: Collection[int]) -> int:
    """The partition that a letter is sent back to, so that its pet stays in one.

    A pet whose readings lie in two partitions has two baselines. The partition in which the message
    lay is that of its pet, whatever partitioner its producer uses, as long as the topic is the same
    one. In a topic that was made anew, or that got more partitions since, it means nothing any
    more: there the key decides, as it does for our own producers. Without a key no producer keeps a
    pet in one partition.

    Args:
        letter: of the topic that it is sent back to.
        epoch: of that topic as it is now.
        partitions: that it has now.
    """
    reject = letter.reject
    is_same = (letter.epoch, letter.partitions) == (epoch, len(partitions))
    stays = (is_same or reject.key is None) and reject.partition in partitions
    return reject.partition if stays else BY_KEY
