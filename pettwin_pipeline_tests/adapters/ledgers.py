"""A ledger in a folder of the test's own, and the values that go into one."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pettwin_pipeline.adapters.ledger import Ledger, open_ledger
from pettwin_pipeline.adapters.ledger_records import Lease, RangeRecord
from pettwin_pipeline.batches import OffsetRange, PartitionRange
from pettwin_pipeline.detection.alerts import Alert
from pettwin_pipeline.detection.episodes import Episode

TOPIC, EPOCH = "readings", "epoch-1"
NOW_S = 1_772_323_200.0
LEASE_S = 60.0


_server: list[str] = []
"""URL of a PostgreSQL in which the ledgers are kept, while there is one."""


@contextmanager
def kept_in(server: str) -> Iterator[None]:
    """While the block runs, each folder's ledger is a database of its own in this PostgreSQL."""
    _server.append(server)
    yield
    _server.pop()


def url(folder: Path) -> str:
    """The ledger of a folder."""
    if not _server:
        return f"sqlite:///{folder}/ledger.sqlite"
    name = "ledger_" + hashlib.blake2b(str(folder).encode(), digest_size=8).hexdigest()
    engine = sa.create_engine(f"{_server[-1]}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as sql, suppress(sa.exc.ProgrammingError, sa.exc.IntegrityError):
        sql.exec_driver_sql(f"CREATE DATABASE {name}")  # it may be there already
    engine.dispose()
    return f"{_server[-1]}/{name}"


@contextmanager
def opened(folder: Path) -> Iterator[Ledger]:
    """The ledger of a folder."""
    ledger = open_ledger(url(folder))
    yield ledger
    ledger.close()


def offsets(*parts: tuple[int, int, int], lane: int = 0, epoch: str = EPOCH) -> OffsetRange:
    """A range of (partition, start, end)."""
    return OffsetRange(TOPIC, epoch, lane, tuple(PartitionRange(*part) for part in parts))


def requested(ledger: Ledger, *parts: tuple[int, int, int], lane: int = 0) -> RangeRecord:
    return ledger.request(offsets(*parts, lane=lane), NOW_S)


def begun(ledger: Ledger, record: RangeRecord, run: str, now_s: float = NOW_S) -> Lease:
    """The lease of a run that began the latest attempt of a range."""
    return ledger.begin(record, record.attempt, run, now_s, LEASE_S)


def finish(
    ledger: Ledger, record: RangeRecord, lease: Lease, now_s: float = NOW_S, **given: Any
) -> None:
    """Mark a range done, with nothing but what is given."""
    nothing: dict[str, Any] = {"episodes": (), "alerts": (), "counts": {}}
    ledger.finish(record, lease, now_s=now_s, **nothing | given)


def status(ledger: Ledger, record: RangeRecord) -> tuple[str, int]:
    """How a range stands and at which attempt."""
    now = ledger.of_id(record.id)
    assert now is not None
    return now.status, now.attempt


def episode(episode_id: str = "e1", **given: Any) -> Episode:
    fields: dict[str, Any] = {
        "pet_id": "rex",
        "species": "dog",
        "direction": "high",
        "severity": "low",
        "partition": 0,
        "offset": 7,
        "raised_ms": 1_772_323_260_000,
        "started_ms": 1_772_323_200_000,
        "ended_ms": None,
        "peak": 1.5,
        "median_bpm": 90.0,
        "level_bpm": 60.0,
        "reason": "high at rest",
        "is_still": True,
        "recent_bpm": (88.0, 90.0),
        "detector_version": "1",
    }
    return Episode(episode_id=episode_id, **fields | given)


def alert(alert_id: str = "a1", **given: Any) -> Alert:
    fields: dict[str, Any] = {
        "episode_id": "e1",
        "pet_id": "rex",
        "species": "dog",
        "severity": "low",
        "kind": "health",
        "signal": "heart_rate",
        "direction": "high",
        "raised_at": "2026-03-01T00:01:00.000Z",
        "started_at": "2026-03-01T00:00:00.000Z",
        "reason": "high at rest",
        "owner_message": "have a look",
        "verdict_origin": "statistical",
        "model": None,
        "note": "",
        "detector_version": "1",
    }
    return Alert(alert_id=alert_id, **fields | given)
