"""Which of the places that name a setting counts."""

from pathlib import Path

import pytest

from pettwin_pipeline.environment import HANDED_DOWN, hand_down, read_environment
from pettwin_pipeline.settings import Settings

NAME = "KAFKA_TOPIC"


@pytest.fixture
def dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and the place of its `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv(HANDED_DOWN, raising=False)
    return tmp_path / ".env"


def test_a_variable_beats_the_file_and_what_a_stack_handed_down_beats_both(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dotenv.write_text(f"{NAME}=file")
    assert Settings.load().kafka_topic == "file"
    monkeypatch.setenv(NAME, "variable")
    assert Settings.load().kafka_topic == "variable"
    for name, value in hand_down(Settings.names(), {}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(NAME, "file")  # as Dagster does for its code servers
    assert Settings.load().kafka_topic == "variable"


def test_what_a_part_is_given_beats_what_the_stack_was_given(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del dotenv
    monkeypatch.setenv(NAME, "of-the-stack")
    for name, value in hand_down(Settings.names(), {NAME: "of-the-part"}).items():
        monkeypatch.setenv(name, value)
    assert Settings.load().kafka_topic == "of-the-part"


def test_an_empty_one_that_is_handed_down_is_the_default_whatever_the_file_says(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dotenv.write_text(f"{NAME}=file")
    for name, value in hand_down(Settings.names(), {NAME: ""}).items():
        monkeypatch.setenv(name, value)
    assert Settings.load().kafka_topic == "pet-health-stream"


def test_a_stack_within_a_stack_hands_on_what_it_was_handed(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del dotenv
    for name, value in hand_down(Settings.names(), {NAME: "outer"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(NAME)
    monkeypatch.setenv(HANDED_DOWN, hand_down(Settings.names(), {})[HANDED_DOWN])
    assert read_environment()[NAME] == "outer"


def test_only_settings_are_handed_down(dotenv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del dotenv
    monkeypatch.setenv("KAFKA_HEAP_OPTS", "-Xmx1g")
    monkeypatch.setenv(NAME, "mine")
    assert hand_down(Settings.names(), {}) == {HANDED_DOWN: '{"KAFKA_TOPIC": "mine"}'}
