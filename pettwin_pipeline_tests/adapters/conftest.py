"""Where the ledgers of the tests are kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline_tests.adapters.ledgers import kept_in, opened


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def database(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test runs on each kind of database that a ledger may be kept in."""
    if request.param == "sqlite":
        yield
        return
    with kept_in(request.getfixturevalue("postgres")):
        yield


@pytest.fixture
def ledger(database: None, tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger, of each kind."""
    del database
    with opened(tmp_path) as ledger:
        yield ledger
