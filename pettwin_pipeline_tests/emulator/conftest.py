"""A local Datadog of the test's own."""

from collections.abc import Iterator

import pytest

from pettwin_pipeline.emulator.server import LocalDatadog, running_local_datadog


@pytest.fixture
def local() -> Iterator[LocalDatadog]:
    """Fresh, in memory, with seeded ids."""
    with running_local_datadog(seed=7) as running:
        yield running
