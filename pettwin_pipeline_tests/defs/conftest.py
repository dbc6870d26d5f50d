"""A pipeline of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker
from pettwin_pipeline_tests.defs.pipeline import Pipeline


@pytest.fixture
def pipeline(
    tmp_path: Path, embedded_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> Pipeline:
    """Topics are there, nothing was sent yet."""
    return Pipeline(tmp_path / "pipeline", embedded_broker, monkeypatch)


@pytest.fixture
def later_broker() -> Iterator[EmbeddedBroker]:
    """Another embedded broker, with another epoch."""
    with EmbeddedBroker() as broker:
        yield broker
