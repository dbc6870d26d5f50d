"""Where the ledgers of the tests are kept."""

from collections.abc import Iterator

import pytest

from pettwin_pipeline_tests.adapters.ledgers import kept_in


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def database(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test runs on each kind of database that a ledger may be kept in."""
    if request.param == "sqlite":
        yield
        return
    with kept_in(request.getfixturevalue("postgres")):
        yield
