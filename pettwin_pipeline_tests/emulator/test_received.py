"""From lines to the points of buckets that are over; and what is told of the rest."""

import pytest

from pettwin_pipeline.datadog_protocol.aggregation import StoredPoint
from pettwin_pipeline.emulator import received as module
from pettwin_pipeline.emulator.received import NOT_WRITTEN, Received

START = 1_800_000_000


def told(points: list[StoredPoint]) -> list[tuple[str, int, object]]:
    return [(one.name, one.start_s - START, one.value) for one in points]


def test_a_bucket_is_given_once_when_it_is_over() -> None:
    received = Received()
    received.take(b"a:1|g", START + 3)
    assert received.over(START + 9.9) == []
    assert told(received.over(START + 10)) == [("a", 0, 1.0)]
    assert received.over(START + 11) == []


def test_what_comes_while_it_is_asked_belongs_to_the_open_bucket() -> None:
    received = Received()
    assert received.over(START) == []
    received.take(b"a:1|g", START + 1)
    received.over(START + 10)
    received.take(b"a:2|g", START + 10)
    assert told(received.over(START + 20)) == [("a", 10, 2.0)]


def test_at_the_end_the_open_bucket_is_given_too() -> None:
    received = Received()
    received.take(b"a:1|g", START)
    received.take(b"a:2|g", START + 12)
    assert told(received.all(START + 13)) == [("a", 0, 1.0), ("a", 10, 2.0)]


def test_a_clock_set_back_closes_what_is_open_and_begins_anew() -> None:
    received = Received()
    received.take(b"a:1|c", START)
    assert told(received.over(START - 3600)) == [("a", 0, 0.1)]
    received.take(b"a:2|c", START - 3600)
    assert told(received.over(START - 3590)) == [("a", -3600, 0.2)]


def test_a_clock_that_goes_back_a_little_changes_nothing() -> None:
    received = Received()
    received.take(b"a:1|g", START + 10)
    received.take(b"a:2|g", START + 5)
    assert told(received.over(START + 20)) == [("a", 0, 2.0), ("a", 10, 1.0)]


def test_points_that_cannot_be_written_come_again_up_to_a_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    received = Received()
    points = [StoredPoint(name, (), "gauge", START, 1.0) for name in "abc"]
    received.give_back(points, START)
    assert [one.name for one in received.over(START)] == ["b", "c"]
    assert received.told()["not_stored"] == {NOT_WRITTEN: 1}


def test_after_a_reset_nothing_is_known() -> None:
    received = Received()
    received.take(b"a:1|g\nx", START)
    received.took(1)
    received.clear()
    assert received.all(START + 10) == []
    assert received.told()["newest"] == []
    assert received.counted("lines") == received.counted("datagrams") == 0
