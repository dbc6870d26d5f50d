"""Alerts and offsets on the embedded broker, which keeps no transactions: in this order, once."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_commit import Committed, commit_with_messages, is_committed
from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.batches import OffsetRange, PartitionRange
from pettwin_pipeline.errors import LeaseLostError, OffsetsMovedError
from pettwin_pipeline.settings import Settings
from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker

RANGE = OffsetRange("readings", "epoch", 0, (PartitionRange(0, 0, 4), PartitionRange(3, 7, 9)))
ONE = [Outgoing(b"rex", b"one")]


@pytest.fixture
def client(embedded_broker: EmbeddedBroker) -> Iterator[Kafka]:
    with Kafka(Settings.load({}), embedded_broker.broker()) as client:
        client.create_topics({"readings": 4, "alerts": 4})
        yield client


def alerts(client: Kafka) -> int:
    return sum(client.high_watermarks("alerts").values())


def test_alerts_are_sent_and_offsets_committed(client: Kafka) -> None:
    assert not is_committed(client, RANGE)
    assert commit_with_messages(client, RANGE, "alerts", ONE) is Committed.NOW
    assert (alerts(client), client.committed("readings", range(4))) == (1, {0: 4, 3: 9})
    assert is_committed(client, RANGE)


def test_what_was_committed_before_is_not_sent_again(client: Kafka) -> None:
    commit_with_messages(client, RANGE, "alerts", ONE)
    assert commit_with_messages(client, RANGE, "alerts", ONE) is Committed.BEFORE
    assert alerts(client) == 1


def test_a_part_that_stands_elsewhere_is_an_error_that_names_the_group(client: Kafka) -> None:
    client.commit("readings", {0: 4})
    with pytest.raises(OffsetsMovedError, match="pettwin-pipeline stands at 4 of partition 0"):
        commit_with_messages(client, RANGE, "alerts", ONE)
    assert alerts(client) == 0


def test_a_part_of_what_was_committed_before_is_not_sent_again(client: Kafka) -> None:
    commit_with_messages(client, RANGE, "alerts", ONE)
    (first, last) = RANGE.parts
    halves = (
        replace(RANGE, parts=(replace(first, end=first.start + 1), last)),
        replace(RANGE, parts=(replace(first, start=first.start + 1),)),
    )
    for half in halves:
        assert commit_with_messages(client, half, "alerts", ONE, wholes=[RANGE]) is Committed.BEFORE
    assert alerts(client) == 1
    with pytest.raises(OffsetsMovedError):
        commit_with_messages(client, halves[0], "alerts", ONE)


def test_a_part_of_what_was_not_committed_is_sent(client: Kafka) -> None:
    (first, _) = RANGE.parts
    half = replace(RANGE, parts=(replace(first, end=first.start + 1),))
    assert commit_with_messages(client, half, "alerts", ONE, wholes=[RANGE]) is Committed.NOW
    assert alerts(client) == 1


def test_who_lost_the_lane_sends_nothing(client: Kafka) -> None:
    def renew() -> None:
        raise LeaseLostError("somebody else holds the lane")

    with pytest.raises(LeaseLostError):
        commit_with_messages(client, RANGE, "alerts", ONE, renew=renew)
    assert (alerts(client), client.committed("readings", range(4))) == (0, {})
