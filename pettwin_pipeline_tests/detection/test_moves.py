"""Pets in several partitions: where their home is, and what they take along."""

import polars as pl

from pettwin_pipeline.detection.baseline import Baselines
from pettwin_pipeline.detection.moves import Move, bring_home, forget_moved, plan_moves


def partition(**pets: tuple[int, int]) -> Baselines:
    """Baselines of pets: when each was heard of last, ms, and how many slots it learnt."""
    made, rows = Baselines.empty().with_pets(pl.Series("pet_id", list(pets), pl.String))
    for row, (last_ms, learnt) in zip(rows, pets.values(), strict=True):
        made.states["last_ms"][row] = last_ms
        made.states["weight"][row] = learnt
        made.states["level"][row] = learnt / 100
        made.states["frozen"][row] = last_ms
    return made


def state(baselines: Baselines, pet: str) -> dict[str, float]:
    row = baselines.pet_ids.index_of(pet)
    assert row is not None
    names = ("last_ms", "frozen")
    found = {name: float(baselines.states[name][row]) for name in names}
    return found | {name: float(baselines.states[name][row][0]) for name in ("weight", "level")}


def test_pets_in_one_partition_stay_where_they_are() -> None:
    assert plan_moves({0: partition(bo=(5, 1)), 1: partition(rex=(5, 1))}) == []
    assert plan_moves({}) == []


def test_the_home_of_a_pet_is_where_it_was_heard_of_last() -> None:
    baselines = {0: partition(rex=(100, 500), bo=(900, 9)), 3: partition(rex=(200, 30))}
    assert plan_moves(baselines) == [Move("rex", learnt_in=0, home=3, left=(0,))]


def test_what_was_learnt_comes_along_and_the_last_minutes_are_those_of_the_home() -> None:
    baselines = {0: partition(rex=(100, 500)), 3: partition(rex=(200, 30), tia=(7, 7))}
    home = bring_home(baselines, plan_moves(baselines))[3]
    assert state(home, "rex") == {"last_ms": 200, "frozen": 200, "weight": 500, "level": 5.0}
    assert state(home, "tia") == state(baselines[3], "tia")
    assert state(baselines[3], "rex")["weight"] == 30, "what was handed in is not changed"


def test_the_places_that_a_pet_left_forget_it_and_no_other() -> None:
    baselines = {0: partition(bo=(1, 1), rex=(100, 500)), 3: partition(rex=(200, 30))}
    left = forget_moved(baselines, plan_moves(baselines))
    assert {p: one.pet_ids.to_list() for p, one in left.items()} == {0: ["bo"]}


def test_a_home_that_knows_more_than_the_place_before_keeps_what_it_knows() -> None:
    baselines = {0: partition(rex=(100, 5)), 3: partition(rex=(200, 30))}
    moves = plan_moves(baselines)
    assert moves == [Move("rex", learnt_in=3, home=3, left=(0,))]
    assert bring_home(baselines, moves) == {}


def test_two_pets_that_changed_places_both_keep_what_was_learnt() -> None:
    baselines = {
        0: partition(bo=(900, 3), rex=(100, 500)),
        1: partition(bo=(100, 400), rex=(900, 2)),
    }
    moves = plan_moves(baselines)
    arrived = baselines | bring_home(baselines, moves)
    left = arrived | forget_moved(arrived, moves)
    assert left[0].pet_ids.to_list() == ["bo"]
    assert left[1].pet_ids.to_list() == ["rex"]
    assert state(left[0], "bo")["weight"] == 400
    assert state(left[1], "rex")["weight"] == 500


def test_a_move_that_was_cut_off_after_the_homes_were_written_is_finished_by_the_next() -> None:
    places = {0: (100, 500), 1: (150, 60), 3: (200, 3)}
    baselines = {number: partition(rex=known) for number, known in places.items()}
    once = baselines | bring_home(baselines, plan_moves(baselines))
    again = plan_moves(once)
    assert again == [Move("rex", learnt_in=3, home=3, left=(0, 1))]
    assert state((once | bring_home(once, again))[3], "rex")["weight"] == 500
