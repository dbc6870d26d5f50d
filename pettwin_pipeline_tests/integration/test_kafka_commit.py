"""Alerts and offsets in one transaction of a real Kafka: both or nothing, once."""

import random
from collections.abc import Callable, Iterator

import confluent_kafka as ck
import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_commit import (
    Committed,
    commit_with_messages,
    transactional_id,
)
from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.batches import OffsetRange, PartitionRange
from pettwin_pipeline.errors import DeliveryFailedError, LeaseLostError, OffsetsMovedError
from pettwin_pipeline_tests.integration.topics import ANSWER_S, made, put
from pettwin_pipeline_tests.stack.programs import wait_for

pytestmark = pytest.mark.integration


class Lane:
    """A range of ten readings and a topic of alerts."""

    def __init__(self, client: Kafka) -> None:
        self.client = client
        self.alerts = made(client, 1)
        readings = made(client, 2)
        put(client, readings, [b"reading"] * 10)
        parts = (PartitionRange(0, 2, 6), PartitionRange(1, 0, 3))
        self.range = OffsetRange(readings, "epoch", 0, parts)

    def commit(self, *values: bytes) -> Committed:
        """Commit the range with these alerts."""
        messages = [Outgoing(b"rex", value) for value in values]
        return commit_with_messages(self.client, self.range, self.alerts, messages)

    def seen(self) -> list[bytes | None]:
        """Alerts that a reader of committed messages sees, once every transaction has ended.

        Kafka answers a commit before its markers are in the partitions: the last stable offset
        follows a moment later.
        """
        wait_for(lambda: self._stable() == self.client.high_watermarks(self.alerts)[0])
        end = self._stable()
        part = [PartitionRange(0, 0, end)] if end else []
        return self.client.read_range(self.alerts, part, ANSWER_S).values

    def _stable(self) -> int:
        return self.client.watermarks(self.alerts)[0].stable

    def offsets(self) -> dict[int, int]:
        """Offsets of our group."""
        return self.client.committed(self.range.topic, (0, 1))

    def predecessor(self) -> ck.Producer:
        """A run of the same lane that is in the middle of its transaction."""
        identity = {"transactional.id": transactional_id(self.client, self.range)}
        producer = self.client.producer(**identity)
        producer.init_transactions(ANSWER_S)
        producer.begin_transaction()
        producer.produce(self.alerts, b"of the predecessor", partition=0)
        assert producer.flush(ANSWER_S) == 0
        return producer


@pytest.fixture
def lane(client: Kafka) -> Lane:
    return Lane(client)


def test_alerts_and_offsets_are_there_together(lane: Lane) -> None:
    assert lane.commit(b"one", b"two") is Committed.NOW
    assert (lane.seen(), lane.offsets()) == ([b"one", b"two"], {0: 6, 1: 3})


def test_a_range_without_alerts_commits_its_offsets(lane: Lane) -> None:
    assert lane.commit() is Committed.NOW
    assert (lane.seen(), lane.offsets()) == ([], {0: 6, 1: 3})


def test_what_a_predecessor_committed_before_it_died_is_not_sent_again(lane: Lane) -> None:
    lane.commit(b"one")
    assert lane.commit(b"one") is Committed.BEFORE
    assert lane.seen() == [b"one"]


def test_what_a_predecessor_left_open_counts_for_nobody(lane: Lane) -> None:
    lane.predecessor()
    assert lane.commit(b"one") is Committed.NOW
    assert (lane.seen(), lane.offsets()) == ([b"one"], {0: 6, 1: 3})


def test_a_predecessor_that_still_lives_can_commit_no_more(lane: Lane) -> None:
    alive = lane.predecessor()
    lane.commit(b"one")
    with pytest.raises(ck.KafkaException):
        alive.commit_transaction(ANSWER_S)
    assert lane.seen() == [b"one"]


class Overtaken(list[Outgoing]):
    """Messages of a run that is overtaken by another one while it hands them over."""

    def __init__(self, messages: list[Outgoing], overtake: Callable[[], object]) -> None:
        super().__init__(messages)
        self._overtake = overtake

    def __iter__(self) -> Iterator[Outgoing]:
        yield self[0]
        self._overtake()
        yield from self[1:]


def test_a_run_that_is_overtaken_in_the_middle_is_told_and_nothing_of_it_counts(
    lane: Lane,
) -> None:
    mine = [Outgoing(b"rex", b"late one"), Outgoing(b"rex", b"late two")]
    with pytest.raises(LeaseLostError, match="another run commits lane 0 now"):
        commit_with_messages(
            lane.client, lane.range, lane.alerts, Overtaken(mine, lambda: lane.commit(b"one"))
        )
    assert (lane.seen(), lane.offsets()) == ([b"one"], {0: 6, 1: 3})


def test_a_run_that_learns_of_it_while_it_sends_on_is_told_the_same(lane: Lane) -> None:
    mine = [Outgoing(b"rex", b"late")] * 1_000_000  # it is refused long before
    with pytest.raises(LeaseLostError, match="another run commits lane 0 now"):
        commit_with_messages(
            lane.client, lane.range, lane.alerts, Overtaken(mine, lambda: lane.commit(b"one"))
        )
    assert lane.seen() == [b"one"]


def test_a_commit_that_is_interrupted_keeps_no_reader_waiting(lane: Lane) -> None:
    def interrupt() -> None:
        wait_for(lambda: lane.client.high_watermarks(lane.alerts)[0] == 1)
        raise KeyboardInterrupt

    mine = Overtaken([Outgoing(b"rex", b"one"), Outgoing(b"rex", b"two")], interrupt)
    with pytest.raises(KeyboardInterrupt):
        commit_with_messages(lane.client, lane.range, lane.alerts, mine)
    put(lane.client, lane.alerts, [b"of somebody else"])
    assert lane.seen() == [b"of somebody else"], "Kafka itself would wait for a minute"


def test_offsets_that_somebody_else_committed_are_an_error_and_nothing_is_sent(
    lane: Lane,
) -> None:
    lane.client.commit(lane.range.topic, {0: 4})
    with pytest.raises(OffsetsMovedError, match=r"stands at 4 of partition 0.*begins at 2"):
        lane.commit(b"one")
    assert (lane.seen(), lane.offsets()) == ([], {0: 4})


def test_offsets_before_the_range_are_those_of_a_gap(lane: Lane) -> None:
    lane.client.commit(lane.range.topic, {0: 1})
    assert lane.commit(b"one") is Committed.NOW
    assert lane.offsets() == {0: 6, 1: 3}


def test_an_alert_that_the_broker_does_not_take_takes_the_others_with_it(lane: Lane) -> None:
    with pytest.raises(DeliveryFailedError):
        lane.commit(b"one", random.Random(1).randbytes(5_000_000))  # nothing to compress
    assert (lane.seen(), lane.offsets()) == ([], {})
    assert lane.commit(b"one") is Committed.NOW
    assert lane.seen() == [b"one"]


def test_lanes_do_not_fence_each_other_off(lane: Lane) -> None:
    other = OffsetRange(lane.range.topic, "epoch", 1, (PartitionRange(1, 0, 3),))
    assert transactional_id(lane.client, other) != transactional_id(lane.client, lane.range)
