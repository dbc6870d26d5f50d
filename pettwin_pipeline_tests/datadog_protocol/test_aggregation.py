"""Ten seconds of samples as points, worked out by hand."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.datadog_protocol.aggregation import Aggregator, StoredPoint, sketch_points
from pettwin_pipeline.datadog_protocol.datagram import Sample, SetSample, parse_datagram
from pettwin_pipeline.datadog_protocol.payloads import SentPoints
from pettwin_pipeline.datadog_protocol.sketches import Sketch

START = 1_700_000_000


def points(datagram: bytes) -> list[StoredPoint]:
    aggregator = Aggregator()
    for item in parse_datagram(datagram):
        assert isinstance(item, Sample | SetSample)
        aggregator.add(item, START + 3.5)
    return aggregator.flush(START + 10)


def values(found: Sequence[StoredPoint]) -> dict[str, float | Sketch]:
    return {point.name: point.value for point in found}


def test_a_gauge_is_its_last_value_at_the_start_of_its_bucket() -> None:
    assert points(b"a:1|g|#x\na:5:3|g|#x") == [StoredPoint("a", ("x",), "gauge", START, 3.0)]


def test_a_count_is_its_sum_per_second() -> None:
    assert points(b"a:10|c\na:5|c") == [StoredPoint("a", (), "rate", START, 1.5)]


def test_a_sample_rate_scales_counts() -> None:
    assert values(points(b"a:1|c|@0.1\na:5|c")) == {"a": 1.5}


def test_a_set_counts_what_is_different() -> None:
    assert points(b"a:x|s\na:y|s\na:x|s") == [StoredPoint("a", (), "gauge", START, 2.0)]


def test_a_histogram_becomes_five_series() -> None:
    found = points(b"a:1:2:3:4|h")
    assert values(found) == {
        "a.avg": 2.5,
        "a.count": 0.4,
        "a.median": 2.0,
        "a.95percentile": 4.0,
        "a.max": 4.0,
    }
    assert {point.name: point.type for point in found}["a.count"] == "rate"


def test_the_95th_of_a_hundred_is_the_95th() -> None:
    packed = b":".join(b"%d" % value for value in range(1, 101))
    assert values(points(b"a:" + packed + b"|ms"))["a.95percentile"] == 95.0


def test_a_sample_rate_weighs_histograms() -> None:
    # one at rate 0.25 stands for four: (4 * 10 + 20) / 5
    assert values(points(b"a:10|h|@0.25\na:20|h")) == {
        "a.avg": 12.0,
        "a.count": 0.5,
        "a.median": 10.0,
        "a.95percentile": 20.0,
        "a.max": 20.0,
    }


def test_a_distribution_is_a_sketch_under_its_own_name() -> None:
    (point,) = points(b"a:1:2:3:4|d\na:100|d|@0.5")
    assert isinstance(point.value, Sketch)
    assert (point.name, point.type) == ("a", "distribution")
    assert (point.value.count, point.value.total) == (6.0, 210.0)
    assert (point.value.low, point.value.high, point.value.average) == (1.0, 100.0, 35.0)
    assert point.value.quantile(0.5) == pytest.approx(3, rel=0.01)


def test_a_timestamp_is_kept_and_nothing_is_added_up() -> None:
    sent = b"a:1|g|T%d\na:2|g|T%d\nc:15|c|T%d\nc:15|c|T%d"
    assert points(sent % (START - 60, START - 60, START - 50, START - 50)) == [
        StoredPoint("a", (), "gauge", START - 60, 1.0, None),
        StoredPoint("a", (), "gauge", START - 60, 2.0, None),
        StoredPoint("c", (), "rate", START - 50, 1.5),
        StoredPoint("c", (), "rate", START - 50, 1.5),
    ]


def test_nothing_is_given_before_its_ten_seconds_are_over_or_twice() -> None:
    aggregator = Aggregator()
    aggregator.add(Sample("a", "gauge", (1.0,)), START + 9.99)
    assert aggregator.flush(START + 9.999) == []
    assert len(aggregator.flush(START + 10)) == 1
    assert aggregator.flush(START + 10) == []
    assert aggregator.flush(START + 100) == []


def test_a_counter_reports_zero_for_300_seconds_after_its_last_sample() -> None:
    aggregator = Aggregator()
    aggregator.add(Sample("a", "count", (5.0,)), START)
    found = aggregator.flush(START + 10)
    for later in range(20, 1000, 10):
        found += aggregator.flush(START + later)
    assert [(point.start_s - START, point.value) for point in found] == [
        (0, 0.5),
        *((silent, 0.0) for silent in range(10, 301, 10)),
    ]


def test_flushes_that_came_late_report_the_same() -> None:
    aggregator = Aggregator()
    aggregator.add(Sample("a", "count", (5.0,)), START)
    found = aggregator.flush(START + 100_000)
    assert [point.start_s - START for point in found] == list(range(0, 301, 10))
    assert aggregator.flush(START + 200_000) == []


def test_a_clock_that_jumps_back_changes_no_bucket_that_was_given() -> None:
    aggregator = Aggregator()
    aggregator.add(Sample("a", "gauge", (1.0,)), START)
    aggregator.flush(START + 10)
    aggregator.add(Sample("a", "gauge", (2.0,)), START - 500)
    assert [point.start_s for point in aggregator.flush(START + 20)] == [START + 10]


def test_tags_make_series() -> None:
    found = points(b"a:1|c|#x\na:2|c|#y\na:4|c|#X")
    assert [(point.tags, point.value) for point in found] == [(("x",), 0.5), (("y",), 0.2)]


def test_points_of_http_are_sketched_by_their_own_times() -> None:
    sent = SentPoints("a", "distribution", ((START + 3, 1.0), (START + 9, 3.0), (START + 10, 5.0)))
    found = sketch_points([sent])
    assert [(one.start_s, one.value.total) for one in found if isinstance(one.value, Sketch)] == [
        (START, 4.0),
        (START + 10, 5.0),
    ]


samples = st.builds(
    Sample,
    st.sampled_from("ab"),
    st.sampled_from(["count", "histogram", "timing", "distribution"]),
    st.lists(st.integers(-1000, 1000).map(float), min_size=1, max_size=4).map(tuple),
    st.sampled_from([(), ("x",), ("x", "y")]),
    st.sampled_from([1.0, 0.5, 0.25]),
) | st.builds(SetSample, st.sampled_from("ab"), st.text(max_size=2))
arrivals = st.lists(st.tuples(samples, st.floats(0, 29.9)), max_size=30)


@given(arrivals, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing_but_gauges(
    came: list[tuple[Sample | SetSample, float]], dice: random.Random
) -> None:
    found = []
    shuffled = dice.sample(came, len(came))
    for order in (came, shuffled):
        aggregator = Aggregator()
        for sample, after_s in order:
            aggregator.add(sample, START + after_s)
        found.append(aggregator.flush(START + 30))
    assert found[0] == found[1]
