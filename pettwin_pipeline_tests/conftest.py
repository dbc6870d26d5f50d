"""What many tests need from outside: brokers and a state folder."""

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from pettwin_pipeline.stack.apache_kafka import prepare_kafka
from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker
from pettwin_pipeline.stack.supervisor import Supervisor
from pettwin_pipeline.state import StateFolder
from pettwin_pipeline_tests.postgres import installed, running_postgres

MUST_RUN = "TESTS_MUST_RUN"
"""Set where a skipped test is a failure: everything that the tests need is there, or must be."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where every test must run."""
    del item, call
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get(MUST_RUN):
        report.outcome = "failed"
        report.longrepr = f"skipped, but {MUST_RUN} is set: {report.longrepr}"
    return report


@pytest.fixture
def state_folder(tmp_path: Path) -> StateFolder:
    """An empty state folder of the test's own."""
    return StateFolder((tmp_path / "state").resolve())


@pytest.fixture
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """An embedded broker without topics, of the test's own."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL that runs for the whole session, without a database."""
    with running_postgres(installed()) as server:
        yield server


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of an Apache Kafka that runs for the whole session: use topics of your own.

    Where Java or Maven is missing the test is skipped with the reason.
    """
    missing = [name for name in ("java", "mvn") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"Apache Kafka needs {' and '.join(missing)}, not found here")
    prepared = prepare_kafka(tmp_path_factory.mktemp("kafka"))
    with Supervisor([prepared.part(prepared.folder / "kafka.log")]) as supervisor:
        supervisor.start()
        yield prepared.address
