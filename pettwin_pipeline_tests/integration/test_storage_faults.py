"""A disk that is full, a ledger that is locked or goes away: a reason, no half file, no harm."""

import re
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from pettwin_pipeline.adapters import ledger_tables
from pettwin_pipeline.adapters.files import BatchFiles
from pettwin_pipeline_tests.adapters.ledgers import kept_in, url
from pettwin_pipeline_tests.defs.pipeline import DAGSTERS_OWN, Pipeline, failures
from pettwin_pipeline_tests.integration.dying_worker import disturbed
from pettwin_pipeline_tests.integration.outcomes import (
    LONG_S,
    Outcome,
    new_pipeline,
    outcome,
    run_until_done,
)
from pettwin_pipeline_tests.postgres import Postgres, installed, postgres_server

pytestmark = [pytest.mark.integration, DAGSTERS_OWN]

FILES: Final = {
    "readings": "telemetry_batch",
    "baselines": "anomaly_scores",
    "scores": "anomaly_scores",
    "verdicts": "verdicts",
    "alerts": "health_alerts",
}
"""Folders, and the asset that writes there."""


def come_to_the_same(pipeline: Pipeline, undisturbed: Outcome, attempt: int = 2) -> None:
    """The same range is tried again, and its outcome is that of a run that nobody disturbed."""
    pipeline.let_pass(LONG_S)
    run_until_done(pipeline)
    assert outcome(pipeline) == undisturbed
    (record,) = pipeline.ledger.recent(pipeline.settings.kafka_topic, 9)
    assert (record.status, record.attempt) == ("done", attempt)
    assert pipeline.ledger.outcomes.totals(pipeline.settings.kafka_topic)["messages"] == 604


# the disk


@contextmanager
def full() -> Iterator[None]:
    """While the block runs, no file of this process can grow beyond 64 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def no_room_for(what: str) -> Iterator[None]:
    """While the block runs, files of this kind find the disk full."""
    real = BatchFiles.write

    def write(files: BatchFiles, path: Any, *arguments: Any) -> Any:
        if f"/{what}/" not in str(path):
            return real(files, path, *arguments)
        with full():
            return real(files, path, *arguments)

    BatchFiles.write = write  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        BatchFiles.write = real  # type: ignore[method-assign]


@pytest.mark.parametrize("what", FILES)
def test_a_full_disk_leaves_no_half_file_and_with_room_the_same_range_comes_to_the_same(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Outcome, what: str
) -> None:
    pipeline = new_pipeline(kafka, tmp_path / "pipeline", monkeypatch)
    with no_room_for(what):
        failed = failures(pipeline.step())
    assert list(failed) == [FILES[what]]
    assert "File too large" in failed[FILES[what]]
    assert "File too large" in (pipeline.record().error or "")
    assert list(Path(str(pipeline.files.root / what)).rglob("*.*")) == []
    come_to_the_same(pipeline, undisturbed)


def test_a_disk_so_full_that_not_even_the_ledger_can_note_it_fails_the_run_and_says_why(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Outcome
) -> None:
    pipeline = new_pipeline(kafka, tmp_path / "pipeline", monkeypatch)
    (request,) = pipeline.tick().run_requests
    with ExitStack() as stack, disturbed("after reading", lambda: stack.enter_context(full())):
        failed = failures(pipeline.run(request.tags))
    told = r"the ledger at sqlite:///.* does not answer: (disk I/O error|database or disk is full)"
    assert re.fullmatch(told, failed["telemetry_batch"])
    assert pipeline.record().status == "running", "nobody could note it: its lease runs out"
    come_to_the_same(pipeline, undisturbed)


# the ledger


@contextmanager
def locked(ledger: Path) -> Iterator[None]:
    """While the block runs, another program holds the database."""
    with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_ledger_that_is_locked_for_too_long_fails_the_run_and_says_so(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Outcome
) -> None:
    monkeypatch.setattr(ledger_tables, "BUSY_TIMEOUT_MS", 200)
    pipeline = new_pipeline(kafka, tmp_path / "pipeline", monkeypatch)
    (request,) = pipeline.tick().run_requests
    with ExitStack() as stack:
        hold = locked(pipeline.settings.state.ledger_file)
        with disturbed("after reading", lambda: stack.enter_context(hold)):
            failed = failures(pipeline.run(request.tags))
            with pytest.raises(Exception, match="does not answer: database is locked"):
                pipeline.tick()
    told = r"the ledger at sqlite:///.* does not answer: database is locked"
    assert re.fullmatch(told, failed["telemetry_batch"])
    come_to_the_same(pipeline, undisturbed)


def test_a_ledger_that_is_locked_for_a_moment_is_waited_for(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Outcome
) -> None:
    pipeline = new_pipeline(kafka, tmp_path / "pipeline", monkeypatch)
    ledger, is_held = pipeline.settings.state.ledger_file, threading.Event()

    def hold_for_a_moment() -> None:
        with locked(ledger):
            is_held.set()
            threading.Event().wait(0.5)

    def disturb() -> None:
        threading.Thread(target=hold_for_a_moment).start()
        assert is_held.wait(LONG_S)

    (request,) = pipeline.tick().run_requests
    with disturbed("after reading", disturb):
        assert failures(pipeline.run(request.tags)) == {}
    come_to_the_same(pipeline, undisturbed, attempt=1)


@pytest.fixture(scope="module")
def frail_postgres() -> Iterator[Postgres]:
    """A PostgreSQL that tests may stop, if they start it again."""
    with postgres_server(installed()) as server:
        yield server


@pytest.fixture
def with_postgres(
    kafka: str, frail_postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Pipeline:
    """A pipeline whose ledger is kept there."""
    with kept_in(frail_postgres.url):
        ledger = url(tmp_path)
    return new_pipeline(kafka, tmp_path / "pipeline", monkeypatch, PETTWIN_LEDGER_URL=ledger)


@pytest.mark.parametrize(
    ("point", "asset"),
    [("after reading", "telemetry_batch"), ("after the transaction", "health_alerts")],
)
def test_a_postgresql_that_goes_away_fails_the_run_and_once_it_is_back_nothing_is_lost_or_twice(
    with_postgres: Pipeline,
    frail_postgres: Postgres,
    undisturbed: Outcome,
    point: str,
    asset: str,
) -> None:
    pipeline = with_postgres
    (request,) = pipeline.tick().run_requests
    try:
        with disturbed(point, frail_postgres.stop):
            failed = failures(pipeline.run(request.tags))
            with pytest.raises(Exception, match=r"the ledger at .* does not answer: conn"):
                pipeline.tick()
    finally:
        frail_postgres.start()
    assert list(failed) == [asset]
    assert re.match(r"the ledger at postgresql\+psycopg://.* does not answer: ", failed[asset])
    come_to_the_same(pipeline, undisturbed)
