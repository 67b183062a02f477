"""The table, as the site made it by itself before there were migrations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("ticket_digest", sa.String(64), nullable=False, unique=True),
        sa.Column("kept_at", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("said", sa.String(), nullable=False),
        sa.Column("probabilities", sa.JSON(), nullable=False),
        sa.Column("novelty", sa.Double(), nullable=False),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("right_class", sa.String(), nullable=False),
        sa.Column("picture", sa.LargeBinary(), nullable=False),
        sa.Column("picture_kind", sa.String(), nullable=False),
        sqlite_autoincrement=True,
    )
