"""A local Datadog of the test's own."""

from collections.abc import Iterator

import pytest

from pettwin_pipeline.emulator.server import LocalDatadog, running_local_datadog
from pettwin_pipeline_tests.emulator.statsd import stand


@pytest.fixture
def local() -> Iterator[LocalDatadog]:
    """Fresh, in memory, with seeded ids."""
    with running_local_datadog(seed=7) as running:
        yield running


@pytest.fixture
def standing(local: LocalDatadog) -> LocalDatadog:
    """One whose clock stands on a full hour."""
    stand(local)
    return local
