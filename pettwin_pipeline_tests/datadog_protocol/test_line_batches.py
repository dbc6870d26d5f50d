"""Batches of lines say what the lines say one by one."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.datadog_protocol import line_batches
from pettwin_pipeline.datadog_protocol.aggregation import Aggregator, StoredPoint
from pettwin_pipeline.datadog_protocol.datagram import (
    Event,
    Item,
    Reason,
    Reject,
    Sample,
    ServiceCheck,
    SetSample,
    parse_datagram,
)
from pettwin_pipeline.datadog_protocol.line_batches import LineReader
from pettwin_pipeline.datadog_protocol.sketches import Sketch

NAMES = st.sampled_from(["a", "b.c", "", "9", "é"])
VALUES = st.sampled_from(["1", "2.5", "-3", "1:2:3", "1::2", "", "x", "1_0", " 1", "1e999", "nan"])
TYPES = st.sampled_from(["c", "g", "h", "ms", "d", "s", "q", ""])
FIELDS = st.sampled_from(
    ["", "|#x:1", "|#y,x:1", "|@0.5", "|@2", "|#x:1|@0.5", "|c:ci-1", "|T1800000000", "\r"]
)
LINES = st.one_of(
    st.builds("{}:{}|{}{}".format, NAMES, VALUES, TYPES, FIELDS).map(str.encode),
    st.sampled_from([b"_e{1,1}:t|x", b"_e{9,9}:t|x", b"_sc|up|0", b"_sc|up|7", b"", b"\r"]),
    st.binary(max_size=30),
)


def points_of(items: list[Item]) -> list[StoredPoint]:
    aggregator = Aggregator()
    for item in items:
        if isinstance(item, Sample | SetSample):
            aggregator.add(item, 0.0)
    return aggregator.flush(10.0)


def others_of(items: list[Item]) -> list[str]:
    return sorted(map(repr, (one for one in items if isinstance(one, Event | ServiceCheck))))


def reasons_of(items: list[Item]) -> list[Reason]:
    return sorted(one.reason for one in items if isinstance(one, Reject))


@given(st.lists(st.lists(LINES, max_size=12), min_size=1, max_size=4))
def test_a_batch_says_what_its_lines_say(batches: list[list[bytes]]) -> None:
    reader, read, plain, lines = LineReader(), [], [], 0
    for batch in batches:
        number, items = reader.read(b"\n".join(batch))
        lines += number
        read += items
        plain += [item for line in batch for item in parse_datagram(line)]
    assert lines == len(plain)
    assert_same(points_of(read), points_of(plain))
    assert others_of(read) == others_of(plain)
    assert reasons_of(read) == reasons_of(plain)


def assert_same(some: list[StoredPoint], others: list[StoredPoint]) -> None:
    """The same points; sums to within rounding, because they are added up in another order."""
    assert [one.name for one in some] == [one.name for one in others]
    for one, other in zip(some, others, strict=True):
        assert (one.tags, one.type, one.start_s) == (other.tags, other.type, other.start_s)
        if isinstance(one.value, Sketch):
            assert isinstance(other.value, Sketch)
            assert one.value.positive == other.value.positive
            assert one.value.total == pytest.approx(other.value.total)
        else:
            assert one.value == pytest.approx(other.value)


def test_shuffled_lines_of_counts_sets_and_distributions_come_to_the_same() -> None:
    dice = random.Random(3)
    lines = [
        f"{dice.choice('ab')}{kind}:{dice.randrange(50)}|{kind}|#h:{dice.randrange(3)}".encode()
        for kind in dice.choices(["c", "s", "d", "h"], k=500)
    ]
    first = points_of(LineReader().read(b"\n".join(lines))[1])
    dice.shuffle(lines)
    assert_same(points_of(LineReader().read(b"\n".join(lines))[1]), first)


def test_values_of_one_series_become_one_sample_however_its_tags_are_written() -> None:
    reader = LineReader()
    reader.read(b"a:1|c|#x,y\na:1|c|#y,x")
    assert reader.read(b"a:1|c|#x,y\na:2|c|#y,x\na:3:4|c|#x,y") == (
        3,
        [Sample("a", "count", (1.0, 2.0, 3.0, 4.0), ("x", "y"))],
    )


def test_the_last_of_a_gauge_is_the_last_whatever_surrounds_it() -> None:
    reader = LineReader()
    reader.read(b"a:0|g|#x\na:0|g|@0.5|#x")
    (point,) = points_of(reader.read(b"a:1|g|#x\na:2|g|@0.5|#x\na:3|g|#x")[1])
    assert point.value == 3.0


def test_a_value_that_cannot_be_read_spoils_no_other_of_its_series() -> None:
    reader = LineReader()
    reader.read(b"a:1|c")
    _, items = reader.read(b"a:1|c\na:x|c\na:2|c")
    assert points_of(items)[0].value == 0.3
    assert reasons_of(items) == [Reason.BAD_VALUE]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_batches, "_MOST_KNOWN", 10)
    reader = LineReader()
    for number in range(100):
        assert reader.read(b"a:1|c|#n:%d" % number)[0] == 1
    assert len(reader._known) <= 10
