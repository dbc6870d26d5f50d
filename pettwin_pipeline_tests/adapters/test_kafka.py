"""The adapter against the embedded broker: real sockets, no Java."""

import random
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_connection import client_config
from pettwin_pipeline.adapters.kafka_messages import Fetched, Outgoing
from pettwin_pipeline.batches import PartitionRange, Watermarks, plan_range
from pettwin_pipeline.errors import (
    PettwinError,
    RangeNotReadError,
    TopicMissingError,
)
from pettwin_pipeline.settings import Broker, Settings
from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker

SETTINGS = Settings.load({"KAFKA_TIMEOUT_S": "5"})


@pytest.fixture
def client(embedded_broker: EmbeddedBroker) -> Iterator[Kafka]:
    """A client of an embedded broker that has the topic t."""
    with Kafka(SETTINGS, embedded_broker.broker()) as client:
        client.create_topics({"t": 4})
        yield client


def put(client: Kafka, by_partition: Mapping[int, Sequence[bytes]]) -> None:
    """Messages in partitions of t that are chosen, not drawn from their keys."""
    producer = client.producer()
    for partition, values in by_partition.items():
        for value in values:
            producer.produce("t", value, f"key of {value!r}", partition=partition)
    assert producer.flush(5) == 0


def put_more_than_is_kept(client: Kafka) -> int:
    """Fill partition 0 of t until its oldest messages are dropped; returns the low watermark."""
    dice = random.Random(1)
    put(client, {0: [dice.randbytes(8192) for _ in range(700)]})
    low = client.watermarks("t")[0].low
    assert 0 < low < 700
    return low


def read(client: Kafka, *parts: tuple[int, int, int]) -> Fetched:
    return client.read_range("t", [PartitionRange(*part) for part in parts], patience_s=5)


def places(got: Fetched) -> list[tuple[int, int]]:
    return list(zip(got.partitions.tolist(), got.offsets.tolist(), strict=True))


def test_asking_for_a_topic_makes_it_on_the_embedded_broker(
    embedded_broker: EmbeddedBroker,
) -> None:
    with Kafka(SETTINGS, embedded_broker.broker()) as client:
        assert client.partitions("new") == [0, 1, 2, 3]
        assert client.create_topics({"new": 4, "newer": 1}) == {
            "new": "was there",
            "newer": "made",
        }
        assert client.create_topics({"newer": 1}) == {"newer": "was there"}


def test_the_epoch_is_the_one_that_the_embedded_broker_drew(
    client: Kafka, embedded_broker: EmbeddedBroker
) -> None:
    assert client.topic_epoch("t") == embedded_broker.epoch


def test_every_delivery_is_counted_and_timed(client: Kafka) -> None:
    done = client.publish("t", [Outgoing(b"k", b"%d" % n) for n in range(100)])
    assert (done.acked, done.failed, done.first_error) == (100, 0, None)
    assert len(done.latencies_ms) == 100
    assert min(done.latencies_ms) > 0
    assert sum(client.high_watermarks("t").values()) == 100


def test_nothing_to_publish_is_no_error(client: Kafka) -> None:
    assert client.publish("t", []).acked == 0


def test_key_value_and_time_are_read_as_they_were_published(client: Kafka) -> None:
    client.publish("t", [Outgoing(b"rex", b"woof", 1_772_323_200_123), Outgoing(None, None, 5)])
    parts = [(p, 0, end) for p, end in client.high_watermarks("t").items() if end]
    got = read(client, *parts)
    messages = zip(got.keys, got.values, got.kafka_ms.tolist(), strict=True)
    assert sorted(messages, key=str) == [(None, None, 5), (b"rex", b"woof", 1_772_323_200_123)]


def test_headers_are_read_where_they_are_asked_for(client: Kafka) -> None:
    headers = (("reason", b"odd"), ("reason", b"broken"), ("offset", b"7"))
    client.publish("t", [Outgoing(None, b"1", headers=headers, partition=2)])
    client.publish("t", [Outgoing(None, b"2", partition=2)])
    parts = [PartitionRange(2, 0, 2)]
    assert client.read_range("t", parts).headers is None
    got = client.read_range("t", parts, with_headers=True)
    assert got.headers == [{"reason": b"broken", "offset": b"7"}, {}]


def test_a_message_as_large_as_a_broker_takes_can_come_back_with_headers(client: Kafka) -> None:
    value = random.Random(1).randbytes(1_000_000)
    client.publish("t", [Outgoing(b"k", value, headers=(("reason", b"too_large"),))])
    (partition,) = [p for p, end in client.high_watermarks("t").items() if end]
    assert read(client, (partition, 0, 1)).values == [value]


def test_exactly_the_range_is_read_though_there_is_more(client: Kafka) -> None:
    put(client, {1: [b"%d" % n for n in range(20)]})
    got = read(client, (1, 5, 9))
    assert got.values == [b"5", b"6", b"7", b"8"]
    assert got.keys[0] == b"key of b'5'"
    assert places(got) == [(1, 5), (1, 6), (1, 7), (1, 8)]
    assert read(client, (1, 19, 20)).values == [b"19"]


def test_several_partitions_come_in_the_order_of_partition_and_offset(client: Kafka) -> None:
    put(client, {p: [b"%d/%d" % (p, n) for n in range(300)] for p in (0, 1, 3)})
    got = read(client, (0, 0, 300), (1, 10, 11), (3, 298, 300))
    assert got.values == [b"0/%d" % n for n in range(300)] + [b"1/10", b"3/298", b"3/299"]
    assert [got.partitions.dtype, got.offsets.dtype] == [np.dtype("int32"), np.dtype("int64")]
    assert places(got)[-3:] == [(1, 10), (3, 298), (3, 299)]


def test_a_range_that_goes_beyond_the_end_is_an_error_that_says_where_it_stands(
    client: Kafka,
) -> None:
    put(client, {0: [b"0", b"1"], 1: [b"0"]})
    parts = [PartitionRange(0, 0, 5), PartitionRange(1, 0, 1)]
    with pytest.raises(RangeNotReadError, match=r"t was not read.*: partition 0 stands at 2 of 5$"):
        client.read_range("t", parts, patience_s=0.5)


def test_the_lane_is_kept_while_reading(client: Kafka) -> None:
    put(client, {0: [b"0"]})
    kept: list[int] = []
    client.read_range("t", [PartitionRange(0, 0, 1)], keep_alive=lambda: kept.append(1))
    assert kept


def test_an_error_of_the_lane_ends_the_reading(client: Kafka) -> None:
    put(client, {0: [b"0"]})

    def lost() -> None:
        raise PettwinError("lost")

    with pytest.raises(PettwinError, match="lost"):
        client.read_range("t", [PartitionRange(0, 0, 1)], keep_alive=lost)


def test_offsets_that_the_broker_dropped_are_an_error_at_once(client: Kafka) -> None:
    low = put_more_than_is_kept(client)
    with pytest.raises(RangeNotReadError, match="partition 0: offset 0 is not there any more"):
        client.read_range("t", [PartitionRange(0, 0, low + 1)], patience_s=300)
    assert read(client, (0, low, low + 1)).offsets.tolist() == [low]


def test_dropped_offsets_move_the_low_watermark_and_the_plan_notes_a_gap(client: Kafka) -> None:
    low = put_more_than_is_kept(client)
    marks = client.watermarks("t")
    assert marks[0] == Watermarks(low, 700)
    plan = plan_range("t", "e", 0, marks=marks, positions=dict.fromkeys(marks, 0), most=10)
    assert [(gap.partition, gap.start, gap.end) for gap in plan.gaps] == [(0, 0, low)]
    assert plan.range is not None
    assert plan.range.text == f"0:{low}-{low + 10}"


def test_watermarks_of_every_partition(client: Kafka) -> None:
    put(client, {2: [b"0", b"1"]})
    empty = Watermarks(0, 0)
    assert client.watermarks("t") == {0: empty, 1: empty, 2: Watermarks(0, 2), 3: empty}
    assert client.high_watermarks("t") == {0: 0, 1: 0, 2: 2, 3: 0}


def test_committed_offsets_are_those_of_our_group(
    client: Kafka, embedded_broker: EmbeddedBroker
) -> None:
    assert client.committed("t", [0, 1]) == {}
    client.commit("t", {0: 7, 3: 1})
    assert client.committed("t", [0, 1, 3]) == {0: 7, 3: 1}
    client.commit("t", {0: 9})
    assert client.committed("t", [0]) == {0: 9}
    others = Settings.load({"KAFKA_CONSUMER_GROUP": "others"})
    with Kafka(others, embedded_broker.broker()) as other:
        assert other.committed("t", [0]) == {}


def test_a_commit_for_a_partition_that_is_not_there_is_an_error(client: Kafka) -> None:
    with pytest.raises(TopicMissingError):
        client.commit("t", {9: 1})


def test_lag_is_what_is_there_and_not_committed(client: Kafka) -> None:
    put(client, {0: [b"x"] * 10, 1: [b"x"] * 3})
    assert client.lag("t") == {0: 10, 1: 3, 2: 0, 3: 0}
    client.commit("t", {0: 4, 1: 3})
    assert client.lag("t") == {0: 6, 1: 0, 2: 0, 3: 0}


def test_lag_without_a_committed_offset_counts_what_is_kept(client: Kafka) -> None:
    low = put_more_than_is_kept(client)
    assert client.lag("t")[0] == 700 - low


def test_reading_and_looking_commit_nothing(client: Kafka) -> None:
    put(client, {0: [b"x"] * 10})
    read(client, (0, 0, 10))
    client.lag("t")
    client.watermarks("t")
    assert client.committed("t", range(4)) == {}
    client.commit("t", {0: 5})
    read(client, (0, 0, 10))
    assert client.committed("t", range(4)) == {0: 5}


def test_the_embedded_broker_finds_no_offset_by_time_and_says_so(client: Kafka) -> None:
    with pytest.raises(PettwinError, match="PETTWIN_START to earliest or latest"):
        client.offsets_at("t", [0], 0)


def test_a_local_broker_is_spoken_to_in_the_clear_and_a_named_one_as_set() -> None:
    sasl = {"KAFKA_SASL_USERNAME": "key", "KAFKA_SASL_PASSWORD": "s3cret"}
    named = Settings.load({"KAFKA_BOOTSTRAP_SERVERS": "k:9092", **sasl})
    config = client_config(named, named.broker())
    assert config["bootstrap.servers"] == "k:9092"
    assert config["security.protocol"] == "SASL_SSL"
    assert (config["sasl.username"], config["sasl.password"]) == ("key", "s3cret")
    local = client_config(Settings.load(sasl), Broker("127.0.0.1:9", "kafka", "", "this stack"))
    assert {name for name in local if name.startswith(("sasl", "security", "ssl"))} == set()
