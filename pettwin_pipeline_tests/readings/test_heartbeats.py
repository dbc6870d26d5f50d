from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettwin_pipeline.errors import InputFileError
from pettwin_pipeline.readings.decode import decode_batch
from pettwin_pipeline.readings.encode import encode_readings
from pettwin_pipeline.readings.heartbeats import (
    COLUMNS,
    FIELDS,
    Session,
    parse_sessions,
    recorded_readings,
    resample,
)
from pettwin_pipeline.readings.schema import READING_SCHEMA
from pettwin_pipeline.stack.recordings import dog_heartbeats
from pettwin_pipeline_tests.readings.strategies import NOON_MS, at_offsets

SHARED = Path(__file__).parents[3] / "shared" / "data" / "dog_heartbeats" / "sessions.csv"
HEADER = ",".join(COLUMNS)


def session(
    beats_s: list[float], duration_s: float = 20.0, pet_id: str = "dog-001", kg: float = 12.0
) -> Session:
    return Session(1, pet_id, duration_s, "mixed", kg, 3.0, tuple(beats_s))


def rates(one: Session) -> dict[float, float]:
    moments, found = resample(one)
    return dict(zip(moments.tolist(), found.tolist(), strict=True))


def test_a_row_becomes_a_session() -> None:
    (one,) = parse_sessions([HEADER, "3,20.5,7,boxer,34.0,4.5,0.5 1.25 2"])
    assert one == Session(3, "dog-007", 20.5, "boxer", 34.0, 4.5, (0.5, 1.25, 2.0))


def test_a_session_may_have_no_beats() -> None:
    (one,) = parse_sessions([HEADER, "3,20.5,7,boxer,34.0,4.5,"])
    assert one.beats_s == ()
    assert rates(one) == {}


@pytest.mark.parametrize(
    "row",
    [
        "3,20.5,7,boxer,34.0,4.5,0.5 x",
        "3,20.5,7,boxer,34.0,4.5,2 1",
        "3,20.5,7,boxer,34.0,4.5,-1 1",
        "3,20.5,7,boxer,34.0,4.5,1 nan",
        "3,inf,7,boxer,34.0,4.5,1 2",
        "3,0,7,boxer,34.0,4.5,",
        "3,20.5,seven,boxer,34.0,4.5,1 2",
        "3,20.5,7,boxer",
        "3,20.5,7,boxer,,4.5,1 2",
    ],
)
def test_a_row_that_is_no_session_is_named_by_its_line(row: str) -> None:
    with pytest.raises(InputFileError, match=r"^line 3: "):
        list(parse_sessions([HEADER, "3,20.5,7,boxer,34.0,4.5,0.5", row]))


def test_a_file_without_the_columns_says_which() -> None:
    with pytest.raises(InputFileError, match="no column duration_s, beat_times_s"):
        list(parse_sessions(["session,pet_id,breed,weight_kg,age_years", ""]))
    with pytest.raises(InputFileError, match="no column session"):
        list(parse_sessions([]))


def test_a_beat_every_second_is_60_a_minute_once_there_are_10_s() -> None:
    found = rates(session([float(second) for second in range(21)], duration_s=21.9))
    assert found == dict.fromkeys([10.0, 12.0, 14.0, 16.0, 18.0, 20.0], 60.0)


def test_the_rate_is_that_of_the_last_10_s_only() -> None:
    slow, fast = np.arange(0.0, 10.0, 1.0), np.arange(10.0, 20.01, 0.5)
    found = rates(session([*slow.tolist(), *fast.tolist()]))
    # From 4 s to 14 s: six intervals of 1 s and eight of 0.5 s.
    assert found[14.0] == pytest.approx(60 * 14 / 10)
    assert found[20.0] == pytest.approx(120.0)


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), max_size=60), st.integers(1, 320))
def test_rates_are_those_of_each_window_on_its_own(eighths: list[int], duration: int) -> None:
    beats = [eighth / 8 for eighth in sorted(eighths)]
    expected = {}
    for moment in range(10, duration // 8 + 1, 2):
        inside = [beat for beat in beats if moment - 10 <= beat <= moment]
        gaps = [later - beat for beat, later in pairwise(inside)]
        possible = [gap for gap in gaps if 0.2 <= gap <= 6]
        if len(possible) >= 3:
            expected[float(moment)] = pytest.approx(60 * len(possible) / sum(possible))
    assert rates(session(beats, duration / 8)) == expected


def test_impossible_intervals_are_left_out() -> None:
    beats = [0.0, 1.0, 2.0, 2.1, 3.0, 4.0]  # 2.1: one beat seen twice
    assert rates(session(beats, 10.0))[10.0] == pytest.approx(60 * 4 / 3.9)
    lost = [0.0, 0.5, 1.0, 7.5, 8.0, 8.5]  # 6.5 s without a beat
    assert rates(session(lost, 10.0))[10.0] == pytest.approx(120.0)
    pause = [0.0, 1.0, 6.9, 7.9, 8.9]  # 5.9 s: a pause that healthy dogs have
    assert rates(session(pause, 10.0))[10.0] == pytest.approx(60 * 4 / 8.9)


def test_a_moment_with_too_few_beats_has_no_rate() -> None:
    beats = [0.0, 1.0, 2.0, 3.0, 30.0, 31.0, 32.0, 33.0, 34.0]
    assert list(rates(session(beats, 50.0))) == [10.0, 34.0, 36.0, 38.0, 40.0]


def test_readings_say_what_was_recorded_and_no_more() -> None:
    readings = recorded_readings([session([float(second) for second in range(11)], 10.5)], NOON_MS)
    assert readings.schema == pl.Schema({name: READING_SCHEMA[name] for name in FIELDS})
    assert readings.rows() == [
        ("dog-001", NOON_MS + 10_000, 60.0, "dog", "mixed", "medium", 12.0, 3.0)
    ]
    assert recorded_readings([]).schema == readings.schema


def test_sessions_of_a_dog_are_joined_and_dogs_run_beside_one_another() -> None:
    beats = [float(second) for second in range(13)]
    first, second = session(beats, 12.5), session(beats, 10.0)
    other = session(beats, 10.0, pet_id="dog-000")
    readings = recorded_readings([first, other, second], NOON_MS)
    # The first session ends at 12.5 s, the second begins on the grid: at 14 s.
    assert readings.select(pl.col("time_ms") - NOON_MS, "pet_id").rows() == [
        (10_000, "dog-000"),
        (10_000, "dog-001"),
        (12_000, "dog-001"),
        (24_000, "dog-001"),
    ]


@pytest.mark.parametrize(
    ("kg", "size"),
    [
        (9.9, "small"),
        (10.0, "medium"),
        (24.9, "medium"),
        (25.0, "large"),
        (45.0, "giant"),
        (90, "giant"),
    ],
)
def test_size_follows_from_weight(kg: float, size: str) -> None:
    assert session([], kg=kg).size == size


def test_the_packaged_recordings_are_whole_and_decode() -> None:
    sessions = list(parse_sessions(dog_heartbeats()))
    pets = {one.pet_id for one in sessions}
    assert (len(sessions), len(pets)) == (96, 8)
    readings = recorded_readings(sessions, NOON_MS - 4_000_000)
    rest = readings.group_by("pet_id").agg(pl.col("heart_rate").median(), pl.len())
    assert rest["len"].min() == 1751  # of 12 times 146 moments: an hour a dog
    assert 38 < min(rest["heart_rate"]) < 45
    assert 75 < max(rest["heart_rate"]) < 85
    decoded = decode_batch(**at_offsets(encode_readings(readings)))
    assert decoded.rejects == []
    assert decoded.readings.select(FIELDS).equals(readings)


@pytest.mark.skipif(not SHARED.exists(), reason=f"the whole set of recordings is not at {SHARED}")
def test_the_whole_set_is_read_and_its_slow_hearts_are_as_slow_as_published() -> None:
    lines = SHARED.read_text(encoding="utf-8").splitlines()
    sessions = list(parse_sessions(lines))
    assert len(sessions) == len(lines) - 1 == 590
    found = recorded_readings(sessions)["heart_rate"]
    assert found.quantile(0.01) == pytest.approx(37, abs=1)
    assert found.quantile(0.05) == pytest.approx(44, abs=1)
    assert set(dog_heartbeats()) <= set(lines)
