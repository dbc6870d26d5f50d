"""`pettwin replay`: the packaged dogs and a user's own files, as readings in the topic."""

import time

import polars as pl
import pytest

from pettwin_pipeline.cli import run
from pettwin_pipeline.commands.replay import CHUNK, bursts
from pettwin_pipeline.detection.blocks import BLOCK_MS
from pettwin_pipeline.readings.heartbeats import parse_sessions, recorded_readings
from pettwin_pipeline.readings.tables import RowProblem, TableRow
from pettwin_pipeline.stack.recordings import dog_heartbeats
from pettwin_pipeline_tests.commands.files import CSV, HEADER, MAP, Capsys, Write
from pettwin_pipeline_tests.commands.place import Place

START_MS = 1_772_323_200_000


def replayed(*arguments: str) -> None:
    assert run(["replay", *arguments]) == 0


def said(readings: pl.DataFrame) -> list[tuple[str, int, float]]:
    """Pet, event time and heart rate of each reading."""
    rows = readings.sort("time_ms").select("pet_id", "time_ms", "heart_rate").iter_rows()
    return list(rows)


def test_the_packaged_dogs_are_published_up_to_now(place: Place, capsys: Capsys) -> None:
    began_ms = time.time() * 1000
    replayed()
    recorded = recorded_readings(parse_sessions(dog_heartbeats()))
    readings = place.readings()
    assert len(readings) == len(recorded) > 10_000
    last_ms = readings["time_ms"].to_numpy().max()
    assert began_ms - BLOCK_MS < last_ms <= time.time() * 1000
    shift = last_ms - recorded["time_ms"].to_numpy().max()
    moved = recorded.with_columns(pl.col("time_ms") + shift).sort("time_ms", "pet_id")
    columns = ["pet_id", "time_ms", "heart_rate", "breed", "weight_kg"]
    assert readings.sort("time_ms", "pet_id").select(columns).equals(moved.select(columns))
    assert place.labels() == []
    assert f"{len(recorded):,} readings and 0 labels sent" in capsys.readouterr().out


def test_the_labels_of_injected_episodes_move_with_the_readings(place: Place) -> None:
    replayed("--episodes")
    readings, labels = place.readings(), place.labels()
    assert {label.name for label in labels} >= {"injected_tachycardia", "injected_bradycardia"}
    for label in labels:
        own = readings.filter(pl.col("pet_id") == label.pet_id)
        times = own["time_ms"].to_numpy()
        assert label.end_ms is not None
        assert times.min() < label.start_ms < label.end_ms <= times.max()
        during = own.filter(pl.col("time_ms").is_between(label.start_ms, label.end_ms, "left"))
        assert label.name != "injected_tachycardia" or _is_fast(during, own)


def _is_fast(during: pl.DataFrame, own: pl.DataFrame) -> bool:
    """Whether a rate was multiplied by 1.8 in there."""
    inside, outside = (one["heart_rate"].to_numpy().mean() for one in (during, own))
    return bool(inside > 1.3 * outside)


def test_a_label_of_a_replay_is_named_by_its_time_there(place: Place) -> None:
    replayed("--episodes")
    assert place.labels()
    assert all(one.label_id.endswith(f"/{one.start_ms}") for one in place.labels())


def test_a_recording_is_moved_by_whole_blocks_so_that_every_replay_finds_the_same(
    place: Place, write: Write
) -> None:
    replayed(write("dogs.csv", CSV), *MAP)
    assert {at % BLOCK_MS for _, at, _ in said(place.readings())} == {0, 2000, 4000}


def test_files_keep_their_distance_in_time(place: Place, write: Write) -> None:
    day = "timestamp,pet_id,heart_rate\n2026-03-0{}T00:00:00Z,rex,6{}\n"
    replayed(write("one.csv", day.format(1, 1)), write("two.csv", day.format(2, 2)))
    times = {bpm: at for _, at, bpm in said(place.readings())}
    assert times[62] - times[61] == 86_400_000


def test_a_recording_that_is_longer_than_readings_may_be_old_is_refused_with_the_ways_out(
    place: Place, write: Write, capsys: Capsys
) -> None:
    day = "timestamp,pet_id,heart_rate\n2026-03-{:02d}T00:00:00Z,rex,61\n"
    files = write("one.csv", day.format(1)), write("two.csv", day.format(20))
    assert run(["replay", *files]) == 2
    told = capsys.readouterr().err
    assert "456 hours are to end now, but PETTWIN_MAX_AGE_H=168" in told
    assert "--keep-times" in told
    assert place.sent() == []


def test_a_csv_file_is_mapped_and_moved_to_now(place: Place, write: Write) -> None:
    began_ms = time.time() * 1000
    replayed(write("dogs.csv", CSV), *MAP)
    (first, _, _), (second, _, _), (third, end_ms, _) = found = said(place.readings())
    assert (first, second, third) == ("rex", "bo", "rex")
    assert [(bpm, end_ms - at) for _, at, bpm in found] == [(60, 4000), (80.5, 2000), (62, 0)]
    assert began_ms - BLOCK_MS < end_ms <= time.time() * 1000
    assert {one.key for one in place.sent()} == {b"rex", b"bo"}


def test_times_are_kept_when_told_to(place: Place, write: Write) -> None:
    replayed(write("dogs.csv", CSV), *MAP, "--keep-times")
    readings = place.readings()
    assert said(readings) == [
        ("rex", START_MS, 60.0),
        ("bo", START_MS + 2000, 80.5),
        ("rex", START_MS + 4000, 62.0),
    ]
    assert (readings["kafka_ms"] == readings["time_ms"]).all()


def test_a_file_of_one_pet_needs_no_column_for_it(place: Place, write: Write) -> None:
    text = "timestamp,heart_rate\n2026-03-01T00:00:00Z,60\n1772323202,61\n"
    replayed(write("rex.csv", text), "--pet-id", "rex", "--keep-times")
    assert said(place.readings()) == [("rex", START_MS, 60.0), ("rex", START_MS + 2000, 61.0)]


@pytest.mark.parametrize("name", ["dogs.ndjson", "dogs.jsonl", "dogs.txt"])
def test_ndjson_is_known_by_its_name_or_its_first_line(
    place: Place, write: Write, name: str
) -> None:
    line = '{"pet_id": "rex", "timestamp": "2026-03-01T00:00:00Z", "heart_rate": 60, "x": 1}\n'
    replayed(write(name, f"\ufeff{line}"), "--keep-times")
    assert said(place.readings()) == [("rex", START_MS, 60.0)]


def test_heart_beats_are_known_by_their_columns(place: Place, write: Write) -> None:
    beats = " ".join(str(second) for second in range(21))  # 60 a minute
    replayed(write("beats.csv", f"{HEADER}1,20,7,beagle,9,4,{beats}\n"), "--keep-times")
    rates = said(place.readings())
    assert [(pet, bpm) for pet, _, bpm in rates] == [("dog-007", 60.0)] * 6  # at 10, 12, ... 20 s


def test_bad_rows_are_shown_counted_and_left_out(
    place: Place, write: Write, capsys: Capsys
) -> None:
    bad = "rex,tomorrow,60\nrex,2026-03-01T00:00:06Z,fast\nrex\n,2026-03-01T00:00:06Z,60\n"
    replayed(write("dogs.csv", CSV + bad + "rex,2026-03-01T00:00:06Z,9000\n" * 3), *MAP)
    assert len(place.readings()) == 3
    told = capsys.readouterr().out
    assert "line 5: when: 'tomorrow' is neither ISO 8601" in told
    assert "line 6: bpm: 'fast' is not a number" in told
    assert "line 7: 1 cells for 3 columns" in told
    assert "line 8: " in told
    assert "and 2 more bad rows" in told
    assert "3 readings and 0 labels sent" in told
    assert "7 bad rows left out" in told


def test_several_files_are_published_one_after_the_other(place: Place, write: Write) -> None:
    other = write("cats.csv", CSV.replace("rex", "tom").replace("bo", "kit"))
    replayed(write("dogs.csv", CSV), other, *MAP)
    assert set(place.readings()["pet_id"]) == {"rex", "bo", "tom", "kit"}


@pytest.mark.parametrize("speed", ["0.25", "20"])
def test_event_time_is_never_ahead_of_the_clock(place: Place, write: Write, speed: str) -> None:
    rows = "".join(f"rex,2026-03-01T00:00:{n:02d}.500Z,60\n" for n in range(20))
    slow = "".join(f"rex,2026-03-01T00:00:00.{n}00Z,60\n" for n in range(5))
    text = slow if speed == "0.25" else rows
    replayed(write("dogs.csv", f"pet_id,timestamp,heart_rate\n{text}"), "--speed", speed)
    readings = place.readings()
    ahead_ms = (readings["time_ms"] - readings["kafka_ms"]).to_numpy()
    assert ahead_ms.max() <= 500, "what is sent together is sent half a second early at most"
    assert len(readings) == text.count("\n")


def row(second: float) -> TableRow:
    return TableRow(1, "rex", round(second * 1000), b"{}")


def test_at_a_pace_only_what_is_due_is_sent_together() -> None:
    rows: list[TableRow | RowProblem] = [
        row(0),
        row(0.4),
        RowProblem(3, "bad"),
        row(2),
        row(1),
        row(2.4),
        row(2.6),
    ]
    sizes = [[one.time_ms for one in burst] for burst in bursts(rows, 1.0)]
    assert sizes == [[0, 400], [2000, 1000, 2400], [2600]]
    assert [len(burst) for burst in bursts(rows, 6.0)] == [6]
    many = [row(n) for n in range(2 * CHUNK + 1)]
    assert [len(burst) for burst in bursts(many, 0.0)] == [CHUNK, CHUNK, 1]
