import pytest

from pettwin_pipeline.commands.progress import Progress


def test_where_nobody_looks_lines_go_where_they_are_sent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said: list[str] = []
    with Progress("walking", 200, said.append, line_every_s=0.0) as one:
        one.advance_to(50, "10 steps")
        one.say("a dog")
        one.advance_to(200, "40 steps")
    assert said == ["walking: 25 %, 10 steps", "a dog", "walking: 100 %, 40 steps"]
    told = capsys.readouterr()
    assert told.out == ""


def test_lines_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    with Progress("walking", 1000, said.append) as one:
        for step in range(1000):
            one.advance_to(step)
    assert said == []


def test_on_a_terminal_there_is_a_bar_on_standard_error_and_lines_above_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    said: list[str] = []
    with Progress("walking", 200, said.append) as one:
        one.advance_to(50, "10 steps")
        one.say("[a] dog")
    told = capsys.readouterr()
    assert said == []
    assert told.out == ""
    assert "walking" in told.err
    assert "[a] dog" in told.err
