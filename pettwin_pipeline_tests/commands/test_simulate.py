"""`pettwin simulate` against an embedded broker: what lies in the topics afterwards."""

import time
from pathlib import Path

import pytest

from pettwin_pipeline.cli import run
from pettwin_pipeline.commands.simulate import Plan
from pettwin_pipeline.readings.simulator.labels import Label, parse_label
from pettwin_pipeline_tests.commands.place import Place, Sent, readings_of

START = "2026-03-01T00:00:00"
START_MS = 1_772_323_200_000
HOUR_MS = 3_600_000
Capsys = pytest.CaptureFixture[str]


def simulated(*arguments: str) -> None:
    assert run(["simulate", "--speed", "0", *arguments]) == 0


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def from_file(path: Path) -> list[Sent]:
    return [Sent(0, None, line, -1) for line in lines(path)]


def test_everything_is_acknowledged_and_lies_in_the_topic(place: Place, capsys: Capsys) -> None:
    simulated("--pets", "5", "--minutes", "20", "--noise", "0")
    readings = place.readings()
    most = 5 * 20 * 30  # a reading every 2 s, but for what the radio loses
    assert 0.95 * most < len(readings) <= most
    assert readings["pet_id"].unique().sort().to_list() == [f"sim-000{n}" for n in range(1, 6)]
    labels = place.labels()
    told = capsys.readouterr().out
    sent = f"{len(readings):,} readings of 5 pets and {len(labels)} labels"
    assert f"{sent} sent to {place.broker.address}" in told
    assert "all acknowledged" in told


def test_messages_are_keyed_by_pet(place: Place) -> None:
    simulated("--pets", "5", "--minutes", "2")
    for topic in (place.settings.kafka_topic, place.settings.kafka_labels_topic):
        for one in place.sent(topic):
            assert one.key is not None
            assert one.value is not None
            assert b'"pet_id":"%s"' % one.key in one.value


def test_labels_are_on_their_topic_and_nothing_of_them_is_in_a_reading(place: Place) -> None:
    simulated(
        *("--pets", "8", "--minutes", "60", "--ill-share", "1", "--onset", "0.1", "0.2"),
        *("--courses", "100"),
    )
    labels = place.labels()
    ill = {label.name for label in labels if label.kind == "illness"}
    assert ill
    words = {*ill, *(label.label_id for label in labels), "illness", "healthy", "label", "severity"}
    everything = b"\n".join(one.value or b"" for one in place.sent())
    assert [word for word in words if word.encode() in everything] == []


def test_without_ill_pets_no_label_says_illness(place: Place) -> None:
    simulated("--pets", "8", "--minutes", "30", "--ill-share", "0")
    kinds = {label.kind for label in place.labels()}
    assert "healthy" in kinds
    assert "illness" not in kinds


def test_the_same_seed_and_start_give_the_same_bytes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for topic, seed in (("one", "4"), ("two", "4"), ("three", "5")):
        monkeypatch.setenv("KAFKA_TOPIC", topic)
        monkeypatch.setenv("KAFKA_LABELS_TOPIC", f"{topic}-labels")
        simulated("--pets", "5", "--minutes", "10", "--seed", seed, "--start", START)
        found.append([place.sent(topic), [one.value for one in place.sent(f"{topic}-labels")]])
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_event_times_end_now(place: Place) -> None:
    began_ms = time.time() * 1000
    simulated("--pets", "5", "--minutes", "20", "--noise", "0")
    ended_ms = time.time() * 1000
    times = place.readings()["time_ms"].to_numpy()
    assert began_ms - 2000 <= times.max() <= ended_ms, "the last of a reading every 2 s"
    assert times.max() - times.min() > 19 * 60_000


def test_a_pace_is_kept_and_event_time_is_never_ahead_of_it(place: Place) -> None:
    simulated_ms = 0.1 * 60_000
    assert run(["simulate", "--pets", "3", "--minutes", "0.1", "--speed", "6"]) == 0
    readings = place.readings()
    assert (readings["time_ms"] <= readings["kafka_ms"]).all()
    sending_ms = int(readings["kafka_ms"].to_numpy().max() - readings["kafka_ms"].to_numpy().min())
    assert sending_ms < simulated_ms


@pytest.mark.parametrize(("speed", "first_s"), [(0.0, -3600), (1.0, 0), (60.0, -3540), (0.5, 0)])
def test_the_first_event_time_is_never_after_now(speed: float, first_s: int) -> None:
    now_s = START_MS / 1000
    assert Plan(minutes=60.0, speed=speed).start_ms(now_s) == START_MS + first_s * 1000


def test_a_rate_of_the_fleet_is_a_pace(place: Place) -> None:
    # 10 pets, a reading every 2 s each, are 5 readings/s at the pace of the clock
    assert run(["simulate", "--pets", "10", "--minutes", "0.2", "--rate", "50"]) == 0
    assert len(place.readings()) == pytest.approx(10 * 6, abs=6)  # sensors have their faults


def test_a_start_is_kept_by_event_times_and_kafka_timestamps(place: Place) -> None:
    simulated("--pets", "3", "--minutes", "10", "--start", START)
    readings = place.readings()
    assert readings["time_ms"].is_between(START_MS, START_MS + HOUR_MS // 6).all()
    assert (readings["kafka_ms"] == readings["time_ms"]).all()
    assert {label.start_ms for label in place.labels() if label.kind == "healthy"} == {START_MS}


def test_a_start_with_an_offset_is_that_moment(tmp_path: Path) -> None:
    for name, start in (
        ("utc", START),
        ("zulu", f"{START}Z"),
        ("berlin", "2026-03-01T01:00:00+01:00"),
    ):
        simulated(
            *("--pets", "1", "--minutes", "1", "--start", start), "--out", str(tmp_path / name)
        )
    assert lines(tmp_path / "utc") == lines(tmp_path / "zulu") == lines(tmp_path / "berlin")


def test_a_file_holds_readings_and_the_labels_lie_beside_it(tmp_path: Path, capsys: Capsys) -> None:
    out, beside = tmp_path / "fleet.ndjson", tmp_path / "fleet.labels.ndjson"
    simulated("--pets", "4", "--minutes", "10", "--noise", "0", "--out", str(out))
    readings = readings_of(from_file(out))
    assert 0.95 * 4 * 10 * 30 < len(readings) <= 4 * 10 * 30
    labels = [one for line in lines(beside) if isinstance(one := parse_label(line), Label)]
    assert len(labels) == len(lines(beside)) > 0
    told = f"{len(readings):,} readings in {out}, {len(labels)} labels in {beside}\n"
    assert capsys.readouterr().out == told


def test_standard_output_gets_readings_only(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    arguments = ("--pets", "2", "--minutes", "5", "--seed", "9")
    simulated(*arguments, "--out", "-")
    printed = capfdbinary.readouterr()
    simulated(*arguments, "--out", str(tmp_path / "same.ndjson"))
    assert printed.out.splitlines() == lines(tmp_path / "same.ndjson")
    assert len(readings_of(from_file(tmp_path / "same.ndjson"))) > 0
    assert printed.err == b""


@pytest.mark.parametrize("out", [".", "", "/", "no/such/folder/x.ndjson"])
def test_a_file_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["simulate", "--minutes", "1", "--out", out]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("pettwin: ")
    assert told.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--every", "7"), "step_s 7.0: seconds that divide a minute"),
        (("--every", "-2"), "step_s -2.0"),
        (("--onset", "24", "2"), "earliest and latest, in this order"),
        (("--start", "1969-01-01"), "allowed are the years 1970 to 2099"),
        (("--start", "2150-01-01"), "allowed are the years 1970 to 2099"),
        (("--minutes", "20000", "--speed", "0"), "PETTWIN_MAX_AGE_H=168"),
    ],
)
def test_what_the_simulation_cannot_do_is_one_line(
    place: Place, capsys: Capsys, arguments: tuple[str, ...], told: str
) -> None:
    assert run(["simulate", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("pettwin: ")
    assert err.count("\n") == 1
    assert told in err
    assert place.sent() == []
