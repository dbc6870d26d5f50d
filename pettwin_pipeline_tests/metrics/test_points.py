import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.errors import UndeclaredPointError, UnknownFormatError
from pettwin_pipeline.metrics.catalogue import OneOf, TagValues
from pettwin_pipeline.metrics.definitions import METRICS
from pettwin_pipeline.metrics.points import (
    Point,
    encode_points,
    parse_points,
)
from pettwin_pipeline.metrics.thinning import rate_of


@st.composite
def declared_points(draw: st.DrawFn) -> Point:
    """Any point that the catalogue allows."""
    metric = draw(st.sampled_from(list(METRICS.values())))
    tags = {}
    for key, values in metric.tags.items():
        if not values.optional or draw(st.booleans()):
            tags[key] = draw(tag_values(values))
    lowest = 0.0 if metric.kind == "count" else None
    numbers = st.floats(min_value=lowest, allow_nan=False, allow_infinity=False)
    many = 5 if metric.kind == "distribution" else 1
    weight = draw(st.integers(1, 1000)) if metric.kind == "distribution" else 1
    return Point(
        metric.name,
        metric.kind,
        tuple(draw(st.lists(numbers, min_size=1, max_size=many))),
        tuple(sorted(tags.items())),
        sample_rate=rate_of(weight),
        timestamp_s=draw(st.none() | st.integers(0, 2**33)),
    )


def tag_values(values: TagValues) -> st.SearchStrategy[str]:
    if isinstance(values, OneOf):
        return st.sampled_from(values.values)
    return st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True)


@given(st.lists(declared_points(), max_size=5))
def test_points_come_back_from_a_file_as_they_were(points: list[Point]) -> None:
    assert parse_points(encode_points(points)) == points


def test_a_file_of_another_release_is_refused() -> None:
    with pytest.raises(UnknownFormatError, match="format 2, this release knows 1"):
        parse_points(b'{"format":2,"points":[]}')
    with pytest.raises(UnknownFormatError, match="not points"):
        parse_points(b"{}")
    with pytest.raises(UnknownFormatError, match="not points"):
        parse_points(b'{"format":1,"points":[{"name":"pipeline.heartbeat"}]}')


def test_a_kept_point_that_the_catalogue_no_longer_declares_is_refused() -> None:
    kept = encode_points([Point("pipeline.heartbeat", "gauge", (1.0,), (("component", "sensor"),))])
    with pytest.raises(UndeclaredPointError, match="pulse"):
        parse_points(kept.replace(b"heartbeat", b"pulse"))


@pytest.mark.parametrize(
    ("name", "kind", "values", "rate", "problem"),
    [
        ("pipeline.heartbeat", "gauge", (), 1.0, "at least one"),
        ("pipeline.heartbeat", "gauge", (1.0, 2.0), 1.0, "one value"),
        ("pipeline.heartbeat", "gauge", (1.0,), 0.5, "unsampled"),
        ("pipeline.heartbeat", "gauge", (math.nan,), 1.0, "finite"),
        ("pipeline.process.cpu", "count", (1.0,), 1.0, "a gauge, not a count"),
    ],
)
def test_a_wrong_point_cannot_be_built(
    name: str, kind: str, values: tuple[float, ...], rate: float, problem: str
) -> None:
    with pytest.raises(UndeclaredPointError, match=problem):
        Point(name, kind, values, (("component", "sensor"),), rate)  # type: ignore[arg-type]


def test_a_sample_rate_is_above_nought_and_at_most_one() -> None:
    for rate in (0.0, 1.5, -0.1):
        with pytest.raises(UndeclaredPointError, match="sample rate"):
            Point("kafka.produce.latency", "distribution", (1.0,), (("topic", "t"),), rate)


def test_tags_are_sorted_and_each_is_there_once() -> None:
    for tags in (
        (("topic", "t"), ("consumer_group", "g")),
        (("consumer_group", "g"), ("topic", "t"), ("topic", "u")),
    ):
        with pytest.raises(UndeclaredPointError, match="sorted by key, each key once"):
            Point("kafka.messages.consumed", "count", (1.0,), tags)
