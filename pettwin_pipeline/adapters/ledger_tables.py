"""The ledger's tables as SQLAlchemy sees them, and how a database is opened and brought up to date.

SQLite by default: WAL, a busy timeout, BEGIN IMMEDIATE, so that several processes write in turns.
The tables are made by the migrations beside this file; this module and they must agree (a test
compares them).
"""

import sqlite3
import time
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from pettwin_pipeline.errors import LedgerUnreachableError, PettwinError, UnknownFormatError

HEAD: Final = "0002"
BUSY_TIMEOUT_MS: Final = 30_000
BACKENDS: Final = ("sqlite", "postgresql")
_TROUBLE: Final = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.DatabaseError)
"""Of the database; their subclasses say that a statement is wrong, or a row there already."""

metadata = sa.MetaData()

ranges = sa.Table(
    "ranges",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("topic", sa.String(255), nullable=False),
    sa.Column("epoch", sa.String(64), nullable=False),
    sa.Column("lane", sa.Integer, nullable=False),
    sa.Column("parts", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("requested_s", sa.Float, nullable=False),
    sa.Column("not_before_s", sa.Float, nullable=False),
    sa.Column("run_id", sa.String(64)),
    sa.Column("error", sa.Text),
    sa.Column("counts", sa.Text),
    sa.Column("finished_s", sa.Float),
    sa.Column("reported_s", sa.Float),
    sa.Column("compacted_s", sa.Float),
    sa.Index("ranges_by_status", "topic", "epoch", "status"),
    sa.Index("ranges_by_run", "run_id"),
)
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("topic", sa.String(255), primary_key=True),
    sa.Column("epoch", sa.String(64), primary_key=True),
    sa.Column("lane", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.String(64)),
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("taken_s", sa.Float, nullable=False),
    sa.Column("expires_s", sa.Float, nullable=False),
)
positions = sa.Table(
    "positions",
    metadata,
    sa.Column("topic", sa.String(255), primary_key=True),
    sa.Column("epoch", sa.String(64), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
    sa.Column("scored_to", sa.BigInteger),
)
gaps = sa.Table(
    "gaps",
    metadata,
    sa.Column("topic", sa.String(255), primary_key=True),
    sa.Column("epoch", sa.String(64), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("start_offset", sa.BigInteger, primary_key=True),
    sa.Column("end_offset", sa.BigInteger, nullable=False),
    sa.Column("noticed_s", sa.Float, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
redriven = sa.Table(
    "redriven",
    metadata,
    sa.Column("topic", sa.String(255), primary_key=True),
    sa.Column("epoch", sa.String(64), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("start_offset", sa.BigInteger, primary_key=True),
    sa.Column("piece", sa.String(32), primary_key=True),
    sa.Column("end_offset", sa.BigInteger, nullable=False),
    sa.Column("settled", sa.Boolean, nullable=False),
)
totals = sa.Table(
    "totals",
    metadata,
    sa.Column("topic", sa.String(255), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
baseline_changes = sa.Table(
    "baseline_changes",
    metadata,
    sa.Column("topic", sa.String(255), primary_key=True),
    sa.Column("epoch", sa.String(64), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("at_offset", sa.BigInteger, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("noted_s", sa.Float, nullable=False),
)
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("pet_digest", sa.String(64), primary_key=True),
    sa.Column("erased_s", sa.Float, nullable=False),
)
episodes = sa.Table(
    "episodes",
    metadata,
    sa.Column("episode_id", sa.String(32), primary_key=True),
    sa.Column("pet_id", sa.String(128), nullable=False, index=True),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("started_ms", sa.BigInteger, nullable=False),
    sa.Column("raised_ms", sa.BigInteger, nullable=False),
    sa.Column("ended_ms", sa.BigInteger),
    sa.Column("noted_s", sa.Float, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("told_ms", sa.BigInteger),
)
labels = sa.Table(
    "labels",
    metadata,
    sa.Column("label_id", sa.String(200), primary_key=True),
    sa.Column("pet_id", sa.String(200), nullable=False, index=True),
    sa.Column("start_ms", sa.BigInteger, nullable=False),
    sa.Column("end_ms", sa.BigInteger),
    sa.Column("lead_reported", sa.Boolean, nullable=False),
    sa.Column("noted_s", sa.Float, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
label_days = sa.Table(
    "label_days",
    metadata,
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("changed_s", sa.Float, nullable=False),
    sa.Column("asked_s", sa.Float),
)
qualities = sa.Table(
    "qualities",
    metadata,
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("detector", sa.String(16), primary_key=True),
    sa.Column("species", sa.String(16), primary_key=True),
    sa.Column("computed_s", sa.Float, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("reported", sa.Text, nullable=False),
)
alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("alert_id", sa.String(32), primary_key=True),
    sa.Column("episode_id", sa.String(32), nullable=False, index=True),
    sa.Column("pet_id", sa.String(128), nullable=False, index=True),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("raised_ms", sa.BigInteger, nullable=False),
    sa.Column("noted_s", sa.Float, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("alert_id", sa.String(32), primary_key=True),
    sa.Column("channel", sa.String(16), primary_key=True),
    sa.Column("pet_id", sa.String(128), nullable=False, index=True),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("queued_s", sa.Float, nullable=False),
    sa.Column("not_before_s", sa.Float, nullable=False),
    sa.Column("tried_s", sa.Float),
    sa.Column("ended_s", sa.Float),
    sa.Column("error", sa.Text),
    sa.Index("outbox_by_turn", "channel", "status", "attempts", "queued_s"),
)
tallies = sa.Table(
    "tallies",
    metadata,
    sa.Column("metric", sa.String(200), primary_key=True),
    sa.Column("points", sa.BigInteger, nullable=False),
    sa.Column("last_value", sa.Float, nullable=False),
    sa.Column("last_s", sa.Float, nullable=False),
)
owed_points = sa.Table(
    "owed_points",
    metadata,
    sa.Column("transport", sa.String(16), primary_key=True),
    sa.Column("outcome", sa.String(16), primary_key=True),
    sa.Column("points", sa.BigInteger, nullable=False),
)


def open_engine(url: str) -> sa.Engine:
    """Connect, and bring the tables up to date.

    Raises:
        PettwinError: the URL is wrong.
        LedgerUnreachableError: the database does not answer; from then on any statement raises it.
        UnknownFormatError: the tables were made by a newer release.
    """
    engine = _make_engine(url)
    _bring_up_to_date(engine)
    return engine


def _make_engine(url: str) -> sa.Engine:
    try:
        address = sa.make_url(url)
        backend = address.get_backend_name()
        if backend not in BACKENDS:
            raise PettwinError(
                f"PETTWIN_LEDGER_URL: {backend} does not keep a ledger; allowed: "
                "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"
            )
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        if backend == "sqlite" and address.database:
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(address, pool_pre_ping=True)  # it may have been started again
    except ModuleNotFoundError as error:
        raise PettwinError(
            f"PETTWIN_LEDGER_URL needs {error.name}: pip install 'pettwin-pipeline[postgres]'"
        ) from None
    except (sa.exc.ArgumentError, OSError) as error:
        raise PettwinError(f"PETTWIN_LEDGER_URL: {error}") from None
    sa.event.listen(engine, "handle_error", _tell)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_immediate)
    return engine


def _tell(context: sa.engine.ExceptionContext) -> None:
    """Put what is wrong with the database, and not with a statement of ours, into one line."""
    if context.is_pre_ping or type(context.sqlalchemy_exception) not in _TROUBLE:
        return
    where = "" if context.engine is None else f" at {context.engine.url!r}"
    told = " ".join(str(context.original_exception).split())
    raise LedgerUnreachableError(f"the ledger{where} does not answer: {told}")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    _use_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; SQLite's own busy timeout does not cover that of processes at once."""
    end_s = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end_s:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def take_turns(connection: sa.Connection, what: str) -> None:
    """Wait until no other transaction is at `what`; ends with this one.

    SQLite lets only one transaction write by itself; PostgreSQL is asked for a lock by this name,
    because there may be no row yet that could be locked.
    """
    if connection.dialect.name == "postgresql":
        number = sa.func.hashtextextended(what, 0)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def _bring_up_to_date(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        take_turns(connection, "migrations")
        version = _version(connection)
        if version == HEAD:
            return
        if version is not None and version > HEAD:
            raise UnknownFormatError(
                f"the ledger has format {version}, this release knows up to {HEAD}: upgrade "
                "pettwin-pipeline, or name another PETTWIN_LEDGER_URL"
            )
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise UnknownFormatError(
                f"the ledger has format {version}, which this release does not know: {error}"
            ) from None


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found
