"""Exact ranges of a real Apache Kafka, in which markers and aborted messages leave holes."""

import confluent_kafka as ck
import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.batches import PartitionRange, Watermarks, plan_range
from pettwin_pipeline.errors import RangeNotReadError
from pettwin_pipeline_tests.integration.topics import (
    ANSWER_S,
    Transactions,
    put,
    values,
)
from pettwin_pipeline_tests.stack.programs import wait_for

pytestmark = pytest.mark.integration


def test_markers_of_transactions_are_holes_and_the_range_ends_all_the_same(
    client: Kafka, topic: str
) -> None:
    transaction = Transactions(client, topic)
    for n in range(3):
        transaction.begin(b"%d" % n)
        transaction.commit()
    wait_for(lambda: client.watermarks(topic)[0].stable == 6)
    got = client.read_range(topic, [PartitionRange(0, 0, 6)], ANSWER_S)
    assert (got.values, got.offsets.tolist()) == ([b"0", b"1", b"2"], [0, 2, 4])
    assert values(client, topic, 1, 4) == [b"1"]
    assert values(client, topic, 5, 6) == [], "only a marker"


def test_aborted_messages_are_not_read(client: Kafka, topic: str) -> None:
    transaction = Transactions(client, topic)
    put(client, topic, [b"0"])
    transaction.begin(b"aborted", b"aborted")
    transaction.abort()
    put(client, topic, [b"4"])
    wait_for(lambda: client.watermarks(topic)[0].stable == 5)
    assert values(client, topic, 0, 5) == [b"0", b"4"]
    assert values(client, topic, 1, 4) == []
    assert values(client, topic, 2, 3) == []


def test_a_range_of_aborted_messages_ends_where_an_open_transaction_begins(
    client: Kafka, topic: str
) -> None:
    transaction = Transactions(client, topic)
    transaction.begin(b"aborted")
    transaction.abort()
    transaction.begin(b"open")
    wait_for(lambda: client.watermarks(topic)[0].stable == 2)
    assert values(client, topic, 0, 2) == []
    transaction.commit()


def test_a_range_beyond_the_stable_offset_is_not_read(client: Kafka, topic: str) -> None:
    transaction = Transactions(client, topic)
    put(client, topic, [b"0"])
    transaction.begin(b"open")
    with pytest.raises(RangeNotReadError, match="partition 0 stands at 1 of 2"):
        client.read_range(topic, [PartitionRange(0, 0, 2)], patience_s=1)
    transaction.commit()
    assert values(client, topic, 0, 2) == [b"0", b"open"]


def test_what_was_deleted_moves_the_low_watermark_is_a_gap_and_cannot_be_read(
    client: Kafka, topic: str
) -> None:
    put(client, topic, [b"%d" % n for n in range(10)])
    place = ck.TopicPartition(topic, 0, 4)
    client.connection.admin.delete_records([place])[place].result(ANSWER_S)
    marks = client.watermarks(topic)
    assert marks[0] == Watermarks(4, 10)
    plan = plan_range(topic, "e", 0, marks=marks, positions={0: 1, 1: 0}, most=100)
    assert [(gap.partition, gap.start, gap.end) for gap in plan.gaps] == [(0, 1, 4)]
    assert plan.range is not None
    got = client.read_range(topic, plan.range.parts, ANSWER_S)
    assert got.offsets.tolist() == [4, 5, 6, 7, 8, 9]
    with pytest.raises(RangeNotReadError, match="offset 1 is not there any more"):
        client.read_range(topic, [PartitionRange(0, 1, 10)], ANSWER_S)
