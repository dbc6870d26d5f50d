"""The first tables: what is read, what came of it, what was changed by hand."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables of the first release."""
    _create_stream()
    _create_outcomes()
    _create_upkeep()


def _create_stream() -> None:
    """What is read, by whom, how far."""
    op.create_table(
        "ranges",
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
    )
    op.create_index("ranges_by_status", "ranges", ["topic", "epoch", "status"])
    op.create_index("ranges_by_run", "ranges", ["run_id"])
    op.create_table(
        "leases",
        sa.Column("topic", sa.String(255), primary_key=True),
        sa.Column("epoch", sa.String(64), primary_key=True),
        sa.Column("lane", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.String(64)),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("taken_s", sa.Float, nullable=False),
        sa.Column("expires_s", sa.Float, nullable=False),
    )
    op.create_table(
        "positions",
        sa.Column("topic", sa.String(255), primary_key=True),
        sa.Column("epoch", sa.String(64), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("scored_to", sa.BigInteger),
    )
    op.create_table(
        "gaps",
        sa.Column("topic", sa.String(255), primary_key=True),
        sa.Column("epoch", sa.String(64), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("start_offset", sa.BigInteger, primary_key=True),
        sa.Column("end_offset", sa.BigInteger, nullable=False),
        sa.Column("noticed_s", sa.Float, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "redriven",
        sa.Column("topic", sa.String(255), primary_key=True),
        sa.Column("epoch", sa.String(64), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("start_offset", sa.BigInteger, primary_key=True),
        sa.Column("piece", sa.String(32), primary_key=True),
        sa.Column("end_offset", sa.BigInteger, nullable=False),
        sa.Column("settled", sa.Boolean, nullable=False),
    )


def _create_outcomes() -> None:
    """What came of it."""
    op.create_table(
        "episodes",
        sa.Column("episode_id", sa.String(32), primary_key=True),
        sa.Column("pet_id", sa.String(128), nullable=False, index=True),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("raised_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("noted_s", sa.Float, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.String(32), primary_key=True),
        sa.Column("episode_id", sa.String(32), nullable=False, index=True),
        sa.Column("pet_id", sa.String(128), nullable=False, index=True),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("raised_ms", sa.BigInteger, nullable=False),
        sa.Column("noted_s", sa.Float, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "outbox",
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
    )
    op.create_index("outbox_by_turn", "outbox", ["channel", "status", "attempts", "queued_s"])
    op.create_table(
        "tallies",
        sa.Column("metric", sa.String(200), primary_key=True),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.Column("last_value", sa.Float, nullable=False),
        sa.Column("last_s", sa.Float, nullable=False),
    )
    op.create_table(
        "owed_points",
        sa.Column("transport", sa.String(16), primary_key=True),
        sa.Column("outcome", sa.String(16), primary_key=True),
        sa.Column("points", sa.BigInteger, nullable=False),
    )


def _create_upkeep() -> None:
    """What outlives the rows that are trimmed, and what people changed."""
    op.create_table(
        "totals",
        sa.Column("topic", sa.String(255), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "baseline_changes",
        sa.Column("topic", sa.String(255), primary_key=True),
        sa.Column("epoch", sa.String(64), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("at_offset", sa.BigInteger, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("noted_s", sa.Float, nullable=False),
    )
    op.create_table(
        "erasures",
        sa.Column("pet_digest", sa.String(64), primary_key=True),
        sa.Column("erased_s", sa.Float, nullable=False),
    )
