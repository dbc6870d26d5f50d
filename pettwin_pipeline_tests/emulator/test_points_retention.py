"""The store of points: hours are packed when they are over, and go when they are too old."""

import random
from pathlib import Path

import numpy as np
import pytest

from pettwin_pipeline.datadog_protocol.rolling import Grid
from pettwin_pipeline.datadog_protocol.syntax import EVERYTHING
from pettwin_pipeline.emulator.points import Points
from pettwin_pipeline.emulator.series_index import SeriesIndex
from pettwin_pipeline_tests.emulator.some_points import HOUR_S, gauge, rolled, sketch, values


class Ticks:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now_s


def packed(store: Points) -> list[tuple[int, str]]:
    """What is not packed yet: hours after the first, and metrics."""
    return [(hour - HOUR_S // 3600, metric) for hour, metric in store._recent.dirty()]


def test_an_hour_is_packed_once_nothing_comes_into_it_any_more() -> None:
    ticks = Ticks()
    store = Points(monotonic=ticks)
    store.add([gauge(1, 0), gauge(2, 3600)])
    store.tidy(HOUR_S + 3700)
    assert packed(store) == [(0, "a"), (1, "a")]
    ticks.now_s = 121.0
    store.tidy(HOUR_S + 3700)
    assert packed(store) == [(1, "a")]


@pytest.mark.parametrize("now_s", [HOUR_S - 10 * 86_400, HOUR_S + 10 * 86_400])
def test_hours_are_packed_wherever_the_clock_was_set(now_s: int) -> None:
    ticks = Ticks()
    store = Points(monotonic=ticks)
    store.add([gauge(1, 0)])
    ticks.now_s = 121.0
    store.tidy(now_s)
    assert packed(store) == []


def test_the_oldest_hours_go_when_they_are_too_old_against_the_newest() -> None:
    store = Points(kept_s=2 * 3600)
    store.add([gauge(1, 0, "h:old"), gauge(2, 3600), gauge(3, 7200), gauge(4, 3 * 3600)])
    store.pack_all()
    store.retain(HOUR_S + 400 * 86_400)  # a clock that was set forward for a while
    hours = Grid(HOUR_S, 3600, 4)
    assert [one.tags for one in store.find("a", EVERYTHING)] == [()]
    (row,) = rolled(store, hours).last.tolist()
    assert np.isnan(row[:2]).all()
    assert row[2:] == [3, 4]


def test_the_oldest_hours_go_when_they_are_too_much() -> None:
    dice = random.Random(1)
    store = Points(most_bytes=400_000)
    for hour in range(4):
        store.add(
            gauge(dice.random(), hour * 3600 + at_s, f"h:{series}")
            for series in range(40)
            for at_s in range(0, 3600, 10)
        )
        store.pack_all()
    store.retain(HOUR_S + 4 * 3600)
    assert store.told()["bytes"] <= 400_000
    left = rolled(store, Grid(HOUR_S, 3600, 4)).count.sum(axis=0).tolist()
    assert left[0] == 0
    assert left[3] == 40 * 360


def test_a_metric_of_which_nothing_is_left_is_forgotten() -> None:
    store = Points(kept_s=3600)
    store.add([gauge(1, 0, name="old"), gauge(1, 86_400, name="new")])
    store.pack_all()
    store.retain(HOUR_S + 86_400)
    assert [one.name for one in store.metrics()] == ["new"]
    assert store.find("old", EVERYTHING) == ()


def test_more_series_than_the_limit_are_given_back_and_others_go_on() -> None:
    store = Points(index=SeriesIndex(most=3, most_of_a_metric=2))
    refused = store.add(gauge(1, 0, f"h:{number}") for number in range(5))
    assert [one.tags for one in refused] == [("h:2",), ("h:3",), ("h:4",)]
    assert store.add([gauge(1, 10, "h:0"), gauge(1, 0, name="b")]) == []
    assert len(store.add([gauge(1, 0, name="c")])) == 1


def test_series_that_say_nothing_any_more_make_room_for_new_ones(tmp_path: Path) -> None:
    store = Points(tmp_path / "points.sqlite", index=SeriesIndex(most=10))
    day = 86_400
    store.add([gauge(1, 0, f"pod:{n}") for n in range(8)])
    store.add([gauge(1, 2 * day, "pod:0"), gauge(1, 2 * day, "pod:new")])
    store.pack_all()
    assert len(store.add([gauge(1, 2 * day, "pod:8"), gauge(1, 2 * day, "pod:9")])) == 1
    store.pack_all()
    store.retain(HOUR_S + 2 * day)
    left = {one.tags for one in store.find("a", EVERYTHING)}
    assert len(left) == 8
    assert {("pod:0",), ("pod:new",), ("pod:8",)} <= left
    assert store.add([gauge(1, 2 * day, "pod:9")]) == []
    store.close()
    again = Points(tmp_path / "points.sqlite")
    assert {one.tags for one in again.find("a", EVERYTHING)} == {*left, ("pod:9",)}
    again.close()


def test_a_metric_whose_points_were_not_taken_is_known(tmp_path: Path) -> None:
    store = Points(tmp_path / "points.sqlite")
    store.saw("late", "gauge", ("h:1",), HOUR_S)
    store.close()
    again = Points(tmp_path / "points.sqlite")
    known = again.metric("late")
    assert known is not None
    assert (known.tags, known.seen_s) == (["h:1"], HOUR_S)
    assert rolled(again, Grid(HOUR_S, 300, 1), "late").count.tolist() == [[0]]
    again.close()


def test_after_a_reset_nothing_is_known() -> None:
    store = Points()
    store.add([gauge(1, 0), sketch(0, 1)])
    store.pack_all()
    store.add([gauge(1, 10)])
    store.clear()
    assert store.metrics() == []
    store.add([gauge(7, 20)])
    assert values(store) == {20: 7}
