"""The store of points: what is asked, what survives, what is let go of."""

import random
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettwin_pipeline.datadog_protocol.aggregation import StoredPoint
from pettwin_pipeline.datadog_protocol.parsing import parse_metric
from pettwin_pipeline.datadog_protocol.rolling import Grid
from pettwin_pipeline.datadog_protocol.sketches import Sketch
from pettwin_pipeline.datadog_protocol.syntax import EVERYTHING, MetricQuery, Scope
from pettwin_pipeline.emulator.points import Points
from pettwin_pipeline.errors import UnknownFormatError
from pettwin_pipeline_tests.datadog_protocol.memory_store import MemoryStore
from pettwin_pipeline_tests.emulator.some_points import HOUR_S, gauge, rolled, sketch, values

POINTS = st.lists(
    st.builds(
        gauge,
        st.floats(-1e6, 1e6),
        st.integers(-3600, 7300),
        st.sampled_from(["h:1", "h:2", "h:3"]),
    ),
    max_size=40,
)
GRIDS = st.builds(
    Grid,
    st.integers(-4000, 4000).map(lambda at_s: HOUR_S + at_s),
    st.integers(1, 900),
    st.integers(0, 20),
) | st.builds(
    Grid,
    st.integers(-12, 24).map(lambda slot: HOUR_S + slot * 300),
    st.sampled_from([300, 600, 3600, 7200]),
    st.integers(0, 20),
)


@given(POINTS, st.integers(0, 40), GRIDS)
@settings(max_examples=200, deadline=None)
def test_it_answers_as_plain_arrays_do_packed_or_not(
    given_points: list[StoredPoint], packed_after: int, over: Grid
) -> None:
    store = Points()
    store.add(given_points[:packed_after])
    store.pack_all()
    store.add(given_points[packed_after:])
    latest = {(one.tags, one.start_s): one for one in given_points}
    plain = MemoryStore(latest.values())
    ours, theirs = store.find("a", EVERYTHING), plain.find("a", EVERYTHING)
    order = [[one.tags for one in ours].index(one.tags) for one in theirs]
    found, expected = store.roll(ours, over), plain.roll(theirs, over)
    for name in ("count", "total", "low", "high", "last"):
        np.testing.assert_allclose(
            getattr(found, name)[order].reshape(getattr(expected, name).shape),
            getattr(expected, name),
            rtol=1e-9,
            atol=1e-6,
        )
    store.close()


def test_series_are_answered_in_the_order_in_which_they_are_asked() -> None:
    store = Points()
    store.add([gauge(1, 0, "h:1"), gauge(2, 0, "h:2"), gauge(3, 0, "h:3")])
    one, two, three = store.find("a", EVERYTHING)
    over = Grid(HOUR_S, 300, 1)
    assert store.roll([three, one], over).last.tolist() == [[3], [1]]
    store.pack_all()
    assert store.roll([two], over).last.tolist() == [[2]]
    assert store.roll([], over).last.shape == (0, 1)


def test_the_later_of_two_points_of_a_second_holds() -> None:
    store = Points()
    store.add([gauge(1, 5), gauge(2, 5)])
    store.add([gauge(3, 5)])
    assert values(store) == {5: 3}
    store.pack_all()
    store.add([gauge(4, 5)])
    assert values(store) == {5: 4}


def test_sketches_of_a_second_are_added_up() -> None:
    store = Points()
    store.add([sketch(0, 1, 2)])
    store.add([sketch(0, 3)])
    store.pack_all()
    store.add([sketch(0, 10), sketch(20, 5)])
    ((first, second, third),) = store.sketches(store.find("d", EVERYTHING), Grid(HOUR_S, 10, 3))
    assert isinstance(first, Sketch)
    assert (first.count, first.total, first.low, first.high) == (4, 16, 1, 10)
    assert second is None
    assert third is not None
    ((whole,),) = store.sketches(store.find("d", EVERYTHING), Grid(HOUR_S, 300, 1))
    assert whole is not None
    assert (whole.count, whole.total) == (5, 21)


def test_a_shuffled_order_of_coming_changes_nothing() -> None:
    points = [gauge(place, place * 10, f"h:{place % 3}") for place in range(600)]
    over = Grid(HOUR_S, 60, 100)
    found = []
    for seed in range(3):
        shuffled = [*points]
        random.Random(seed).shuffle(shuffled)
        store = Points()
        store.add(shuffled[:300])
        store.pack_all()
        store.add(shuffled[300:])
        order = sorted(store.find("a", EVERYTHING), key=lambda one: one.tags)
        found.append(store.roll(order, over).total.tolist())
    assert found[0] == found[1] == found[2]


def scope_of(text: str) -> Scope:
    (query,) = parse_metric(f"avg:a{{{text}}}")
    assert isinstance(query, MetricQuery)
    return query.scope


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        ("*", "123"),
        ("env:prod", "12"),
        ("host:web-*", "13"),
        ("env:prod,!host:db-1", "1"),
        ("env:prod AND host:db*", "2"),
        ("host IN (web-1, db-1)", "12"),
        ("NOT env:prod", "3"),
        ("host:web-1 OR env:dev", "13"),
        ("host:WEB-1", "1"),
        ("host:none", ""),
    ],
)
def test_scopes_choose_series(scope: str, found: str) -> None:
    store = Points()
    store.add(
        [
            gauge(1, 0, "env:prod", "host:web-1", "n:1"),
            gauge(1, 0, "env:prod", "host:db-1", "n:2"),
        ]
    )
    assert store.find("a", scope_of(scope)) is not None  # what it answers is kept
    store.add([gauge(1, 0, "env:dev", "host:web-2", "n:3")])
    numbers = [one.tags[-1][-1] for one in store.find("a", scope_of(scope))]
    assert "".join(numbers) == found


def test_of_a_series_that_changes_its_type_the_latest_holds() -> None:
    store = Points()
    store.add([StoredPoint("a", (), "gauge", HOUR_S, 1.0, None)])
    store.add([StoredPoint("a", (), "count", HOUR_S + 10, 2.0, 20)])
    (series,) = store.find("a", EVERYTHING)
    assert (series.type, series.interval_s) == ("count", 20)
    assert values(store) == {0: 1, 10: 2}


# Restarts


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "points.sqlite"
    store = Points(file)
    store.add([gauge(1, 0, "h:1"), gauge(2, 4000, "h:1"), sketch(0, 1, 2)])
    store.pack_all()
    store.add([gauge(3, 10, "h:1"), gauge(9, 0, "h:2"), sketch(10, 7)])
    store.close()
    again = Points(file)
    one, two = again.find("a", EVERYTHING)
    assert (one.tags, two.tags) == (("h:1",), ("h:2",))
    over = Grid(HOUR_S, 10, 2)
    assert again.roll([one], over).last.tolist() == [[1, 3]]
    assert again.roll([two], Grid(HOUR_S, 10, 1)).last.tolist() == [[9]]
    (row,) = again.sketches(again.find("d", EVERYTHING), over)
    assert [kept.count for kept in row if kept] == [2, 1]
    seen = again.metric("a")
    assert seen is not None
    assert seen.seen_s == HOUR_S + 4000
    again.close()


@pytest.mark.parametrize("packed", [0, 1, 2])
def test_what_was_packed_before_the_end_is_not_counted_twice(tmp_path: Path, packed: int) -> None:
    """Hours are packed metric by metric; the journal goes when the last of an hour is."""
    file = tmp_path / "points.sqlite"
    store = Points(file)
    store.add([sketch(0, 1, 2), sketch(0, 5, name="e")])
    for hour, metric in list(store._recent.dirty())[:packed]:
        store._hours.pack(hour, metric)
    store.close()
    again = Points(file)
    counts = [
        row[0].count if row[0] else None
        for name in ("d", "e")
        for row in again.sketches(again.find(name, EVERYTHING), Grid(HOUR_S, 10, 1))
    ]
    assert counts == [2, 1]
    again.pack_all()
    assert list(again._file.journal()) == []
    again.close()


def test_an_end_between_packing_and_forgetting_the_journal_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "points.sqlite"
    store = Points(file)
    store.add([sketch(0, 1, 2), gauge(3, 0)])
    monkeypatch.setattr(store._file, "forget_journal", lambda _: None)
    store.pack_all()
    store.close()
    again = Points(file)
    assert values(again) == {0: 3}
    ((row,),) = again.sketches(again.find("d", EVERYTHING), Grid(HOUR_S, 10, 1))
    assert row is not None
    assert row.count == 2
    assert list(again._file.journal()) == []
    again.tidy(HOUR_S + 86_400)
    again.close()


def test_a_point_that_came_after_packing_holds_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "points.sqlite"
    store = Points(file)
    store.add([gauge(1, 0), gauge(1, 0, name="b")])
    store._hours.pack(HOUR_S // 3600, "a")
    store.add([gauge(2, 0)])
    store.close()
    again = Points(file)
    assert values(again) == {0: 2}
    assert values(again, "b") == {0: 1}
    again.close()


def test_a_file_of_another_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "points.sqlite"
    file.write_text("not a database, but mine")
    with pytest.raises(UnknownFormatError, match=r"points\.sqlite"):
        Points(file)
    assert file.read_text() == "not a database, but mine"


def test_what_a_full_disk_refuses_may_come_again_and_nothing_is_half_kept(tmp_path: Path) -> None:
    file = tmp_path / "points.sqlite"
    store = Points(file)
    base = store._file._base
    (pages,) = base.execute("pragma page_count").fetchone()
    base.execute(f"pragma max_page_count = {pages}")
    dice = random.Random(1)
    many = [gauge(dice.random(), at_s, f"h:{n}") for n in range(40) for at_s in range(100)]
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.add(many)
    assert rolled(store, Grid(HOUR_S, 3600, 1)).count.sum() == 0
    base.execute("pragma max_page_count = 1000000")
    assert store.add(many) == []
    store.close()
    again = Points(file)
    assert rolled(again, Grid(HOUR_S, 3600, 1)).count.sum() == 4000
    assert len(again.find("a", EVERYTHING)) == 40
    again.close()
