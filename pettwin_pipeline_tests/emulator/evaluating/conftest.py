"""A local Datadog whose clock stands."""

import pytest

from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.monitored import Scene


@pytest.fixture
def scene(local: LocalDatadog) -> Scene:
    """At a full hour; nothing has happened."""
    return Scene(local)
