"""An index by time: the hourly limit and the purge read no pictures any more."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_feedback_kept_at", "feedback", ["kept_at"])
