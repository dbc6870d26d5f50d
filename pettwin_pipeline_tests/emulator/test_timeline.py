"""Documents by time."""

from pathlib import Path

import pytest

from pettwin_pipeline.emulator import timeline as module
from pettwin_pipeline.emulator.timeline import Timeline
from pettwin_pipeline.errors import UnknownFormatError


def numbers(timeline: Timeline, *window: int, **more: bool | str) -> list[int]:
    return [one["n"] for one in timeline.between("log", *window, **more)]  # type: ignore[arg-type]


def test_a_window_is_read_in_both_directions_over_many_pages() -> None:
    timeline = Timeline()
    timeline.keep_all("log", [(n // 3, f"{n:05d}", {"n": n}) for n in range(2000)])
    assert numbers(timeline, newest_first=False) == list(range(2000))
    assert numbers(timeline) == list(reversed(range(2000)))
    assert numbers(timeline, 100, 101) == [305, 304, 303, 302, 301, 300]
    assert numbers(timeline, 5_000) == []


def test_kinds_and_labels_are_apart() -> None:
    timeline = Timeline()
    timeline.keep("log", 1, "a", {"n": 1}, "x")
    timeline.keep("log", 2, "b", {"n": 2}, "y")
    timeline.keep("event", 2, "a", {"n": 3})
    assert numbers(timeline, label="x") == [1]
    assert timeline.get("event", "a") == {"n": 3}
    assert timeline.get("check", "a") is None
    assert timeline.counts() == {"log": 2, "event": 1}


def test_one_with_the_same_id_takes_the_place_of_the_first() -> None:
    timeline = Timeline()
    timeline.keep("log", 1, "a", {"n": 1})
    timeline.keep("log", 9, "a", {"n": 2})
    assert numbers(timeline) == [2]
    assert numbers(timeline, 0, 5) == []


def test_the_oldest_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", {"check": 9, "event": 9, "log": 50})
    timeline = Timeline()
    timeline.keep("event", 0, "old", {})
    for n in range(1000):
        timeline.keep("log", n, str(n), {"n": n})
    assert numbers(timeline)[:50] == list(reversed(range(950, 1000)))
    assert timeline.counts()["log"] < 60
    assert timeline.counts()["event"] == 1


def test_the_oldest_go_when_they_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", {"check": 9, "event": 9, "log": 100_000})
    timeline = Timeline()
    for n in range(1000):
        timeline.keep("log", n, str(n), {"n": n, "text": "x" * 1000})
    assert 90 <= timeline.counts()["log"] <= 110
    assert numbers(timeline)[0] == 999


def test_it_survives_a_restart_and_is_forgotten_by_a_reset(tmp_path: Path) -> None:
    timeline = Timeline(tmp_path / "t.sqlite")
    timeline.keep("log", 1, "a", {"n": 1})
    timeline.close()
    again = Timeline(tmp_path / "t.sqlite")
    assert numbers(again) == [1]
    again.clear()
    assert numbers(again) == []
    again.close()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.sqlite").write_text("mine")
    with pytest.raises(UnknownFormatError, match=r"t\.sqlite"):
        Timeline(tmp_path / "t.sqlite")
