"""The promise of the detector: cuts and company change nothing."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pettwin_pipeline.detection.alerts import encode_alerts, plan_alerts
from pettwin_pipeline.detection.baseline import Baselines, encode_baselines, parse_baselines
from pettwin_pipeline.detection.episodes import encode_episodes
from pettwin_pipeline.detection.scoring import Scored, score_batch
from pettwin_pipeline.detection.verdicts import judge_statistically
from pettwin_pipeline_tests.detection.collars import (
    START_MS,
    Value,
    begun,
    in_order,
    score,
    stream,
    wear,
)

KINDS = {  # heart rate as a multiple of the usual one, activity
    "rest": (1.0, 3.0),
    "fast": (1.8, 3.0),
    "warm": (1.3, 3.0),
    "slow": (0.6, 3.0),
    "run": (2.2, 60.0),
    "no heart": (None, 3.0),
    "heart only": (1.1, None),
    "awake": (1.2, 10.0),
}
Segments = Sequence[tuple[str, int]]
EVENTFUL: Segments = [
    ("fast", 20),
    ("gap", 40),
    ("slow", 30),
    ("run", 9),
    ("warm", 80),
    ("rest", 50),
]

segments = st.lists(st.tuples(st.sampled_from([*KINDS, "gap"]), st.integers(1, 45)), max_size=7)


def _collar(pet_id: str, parts: Segments, dice: np.random.Generator) -> pl.DataFrame:
    """Readings every 7 s or so of a pet that rests for a quarter of an hour, then these parts."""
    bpm, moves, still, times = list[Value](), list[Value](), list[Value](), list[int]()
    now_ms = START_MS + int(dice.integers(9000))
    for kind, slots in [("rest", 90), *parts]:
        if kind == "gap":
            now_ms += slots * 100_000
            continue
        factor, activity = KINDS[kind]
        for _ in range(slots):
            noise = float(np.exp(0.1 * dice.standard_normal()))
            bpm.append(None if factor is None else 62 * factor * noise)
            moves.append(activity)
            still.append(None if activity is None else 0.95 - activity / 100)
            times.append(now_ms)
            now_ms += int(dice.integers(6000, 12_000))
    worn = wear(bpm, pet_id=pet_id, activity=moves, stillness=still)
    return worn.with_columns(pl.Series("time_ms", times))


def _mixed(pets: Sequence[Segments], seed: int) -> pl.DataFrame:
    """A stream of the pets, some readings sent again later, some delayed."""
    dice = np.random.default_rng(seed)
    names = ["rex", "mia\n", "zoe"]
    readings = stream(*[_collar(names[i], parts, dice) for i, parts in enumerate(pets)])
    place = np.arange(len(readings), dtype=float)
    delayed = dice.random(len(readings)) < 0.04
    place[delayed] += dice.integers(1, 12, int(delayed.sum())) + 0.5
    again = np.flatnonzero(dice.random(len(readings)) < 0.04)
    rows = np.concatenate([np.arange(len(readings)), again])
    places = np.concatenate([place, again + dice.integers(0, 9, len(again)) + 0.25])
    return in_order(readings[rows[np.argsort(places, kind="stable")]])


def _in_batches(readings: pl.DataFrame, edges: Sequence[int]) -> Scored:
    """Scored batch by batch; baselines go through their bytes in between."""
    baselines, scores, episodes = Baselines.empty(), [], []
    for begin, end in pairwise([0, *sorted(edges), len(readings)]):
        scored = score_batch(readings[begin:end], baselines)
        scores.append(scored.scores)
        episodes += scored.episodes
        baselines = parse_baselines(encode_baselines(scored.baselines))
    return Scored(pl.concat(scores), episodes, baselines)


def _bytes(scored: Scored) -> tuple[bytes, bytes, bytes, bytes]:
    alerts = plan_alerts(scored.episodes, judge_statistically(scored.episodes))
    return (
        scored.scores.write_csv().encode(),
        encode_episodes(scored.episodes),
        encode_alerts(alerts),
        encode_baselines(scored.baselines),
    )


@settings(deadline=None, max_examples=40)
@given(
    pets=st.lists(segments, min_size=1, max_size=3),
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.floats(0, 1), max_size=12),
)
@example(pets=[EVENTFUL, EVENTFUL[::-1]], seed=1, cuts=[n / 150 for n in range(150)])
def test_how_readings_are_cut_into_batches_changes_nothing(
    pets: list[Segments], seed: int, cuts: list[float]
) -> None:
    readings = _mixed(pets, seed)
    whole = _bytes(_in_batches(readings, []))
    edges = [int(cut * len(readings)) for cut in cuts]
    assert _bytes(_in_batches(readings, edges)) == whole
    assert _bytes(_in_batches(readings, [])) == whole


@settings(deadline=None, max_examples=20)
@given(pets=st.lists(segments, min_size=2, max_size=3), seed=st.integers(0, 2**32))
@example(pets=[EVENTFUL, EVENTFUL[::-1]], seed=1)
def test_the_other_pets_of_a_batch_change_nothing(pets: list[Segments], seed: int) -> None:
    readings = _mixed(pets, seed)
    together = score_batch(readings, Baselines.empty())
    for pet_id in readings["pet_id"].unique():
        alone = score_batch(readings.filter(pl.col("pet_id") == pet_id), Baselines.empty())
        assert together.scores.filter(pl.col("pet_id") == pet_id).equals(alone.scores)
        assert [one for one in together.episodes if one.pet_id == pet_id] == alone.episodes
        row = together.baselines.pet_ids.to_list().index(pet_id)
        assert together.baselines.states[row].tobytes() == alone.baselines.states[0].tobytes()


def test_the_streams_of_these_tests_have_episodes_and_readings_of_every_status() -> None:
    scored = _in_batches(_mixed([EVENTFUL, EVENTFUL[::-1]], 1), [])
    assert {one.direction for one in begun(scored)} == {"high", "low"}
    assert any(one.ended_ms is not None for one in scored.episodes)
    assert len({one.severity for one in scored.episodes}) > 1
    assert set(scored.scores["status"]) == {"scored", "late", "repeated"}


def test_one_reading_at_a_time_is_the_same_as_all_at_once() -> None:
    readings = stream(wear([62.0] * 80 + [120.0] * 20))
    whole = _bytes(_in_batches(readings, []))
    assert _bytes(_in_batches(readings, range(1, len(readings)))) == whole


def test_one_reading_is_scored_with_nothing_to_say() -> None:
    scored = score(wear([62.0]))
    assert scored.scores.rows() == [(0, 100, "rex", START_MS, "scored", 0.0, False, "")]
    assert scored.episodes == []
    assert scored.baselines.pet_ids.to_list() == ["rex"]


def test_an_empty_batch_changes_nothing_and_has_the_columns_of_any_other() -> None:
    before = score(wear([62.0] * 30))
    nothing = score_batch(stream(wear([])), before.baselines)
    assert nothing.scores.schema == before.scores.schema
    assert len(nothing.scores) == 0
    assert nothing.episodes == []
    assert encode_baselines(nothing.baselines) == encode_baselines(before.baselines)


def test_a_batch_of_repeated_readings_changes_no_baseline() -> None:
    readings = stream(wear([62.0] * 30))
    before = score_batch(readings, Baselines.empty())
    again = score_batch(readings, before.baselines)
    assert set(again.scores["status"]) == {"late", "repeated"}
    assert encode_baselines(again.baselines) == encode_baselines(before.baselines)


def test_scores_stand_in_the_order_of_the_stream() -> None:
    readings = stream(wear([62.0] * 5, pet_id="b"), wear([62.0] * 5, pet_id="a"))
    scores = score_batch(readings, Baselines.empty()).scores
    assert scores["offset"].to_list() == readings["offset"].to_list()
    assert scores["pet_id"].to_list() == readings["pet_id"].to_list()


def test_episodes_come_in_the_order_in_which_they_were_known() -> None:
    ill = [62.0] * 100 + [120.0] * 30
    collars = [
        wear(ill, pet_id=pet, start_ms=START_MS + late * 1000)
        for pet, late in (("c", 0), ("a", 3), ("b", 6))
    ]
    episodes = score(*collars).episodes
    assert [one.pet_id for one in episodes[:3]] == ["c", "a", "b"]
    offsets = [one.offset for one in episodes]
    assert offsets == sorted(offsets)
