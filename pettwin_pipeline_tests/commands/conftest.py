"""A place in which commands find a broker."""

from pathlib import Path

import pytest

from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker
from pettwin_pipeline_tests.commands.files import Write
from pettwin_pipeline_tests.commands.place import Place


@pytest.fixture
def place(
    tmp_path: Path, embedded_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> Place:
    """A folder of the test's own, entered, in which a stack with an embedded broker runs."""
    return Place.made(tmp_path, embedded_broker, monkeypatch)


@pytest.fixture
def write(place: Place) -> Write:
    """Writes a file into the folder; returns its name."""

    def to(name: str, text: str) -> str:
        (place.folder / name).write_text(text, encoding="utf-8")
        return name

    return to
