"""One row of the table `feedback`: a photo, what was said of it, and what the visitor says."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import JSON, BigInteger, Index, LargeBinary, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NONE_OF_THESE = "none-of-these"
"""The right class of a photo that shows none of the classes, and its folder in an export."""


class Base(DeclarativeBase):
    """All tables of the database; migrations are compared with it."""


class Entry(Base):
    """One photo, what a model said of it, and what the visitor says it is."""

    __tablename__ = "feedback"
    __table_args__ = (
        Index("ix_feedback_kept_at", "kept_at"),
        {"sqlite_autoincrement": True},  # a deleted entry's number is never used again
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_digest: Mapped[str] = mapped_column(String(64), unique=True)
    kept_at: Mapped[int] = mapped_column(BigInteger)
    """Seconds since 1970."""
    model: Mapped[str]
    said: Mapped[str]
    """The class that the model held for the most probable."""
    probabilities: Mapped[dict[str, float]] = mapped_column(JSON)
    novelty: Mapped[float]
    known: Mapped[bool]
    right_class: Mapped[str]
    """One of the model's classes, or `NONE_OF_THESE`."""
    picture: Mapped[bytes] = mapped_column(LargeBinary)
    picture_kind: Mapped[str]
    """"jpeg" or "png"."""

    @property
    def kept_on(self) -> datetime:
        """Return the time when it came, in UTC."""
        return datetime.fromtimestamp(self.kept_at, UTC)

    @property
    def file_name(self) -> str:
        """Return the name of the picture in an export."""
        return f"feedback-{self.id:06d}.{'jpg' if self.picture_kind == 'jpeg' else 'png'}"
