"""What vets and the simulator say of the pets, and how good the detection was by it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Labels, the days that they change, the quality of each day, and when owners were told."""
    op.add_column("episodes", sa.Column("told_ms", sa.BigInteger))
    op.create_table(
        "labels",
        sa.Column("label_id", sa.String(200), primary_key=True),
        sa.Column("pet_id", sa.String(200), nullable=False, index=True),
        sa.Column("start_ms", sa.BigInteger, nullable=False),
        sa.Column("end_ms", sa.BigInteger),
        sa.Column("lead_reported", sa.Boolean, nullable=False),
        sa.Column("noted_s", sa.Float, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "label_days",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("changed_s", sa.Float, nullable=False),
        sa.Column("asked_s", sa.Float),
    )
    op.create_table(
        "qualities",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("detector", sa.String(16), primary_key=True),
        sa.Column("species", sa.String(16), primary_key=True),
        sa.Column("computed_s", sa.Float, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("reported", sa.Text, nullable=False),
    )
