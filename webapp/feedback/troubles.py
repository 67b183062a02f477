"""What can go wrong with the database, in one sentence each for the visitor and the operator."""

from __future__ import annotations

import sqlite3
from typing import Literal

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from webapp.errors import Refusal

Doing = Literal["keep", "delete", "show"]
"""What a visitor had asked for: it decides what is true when it fails."""

OUTCOMES: dict[Doing, str] = {
    "keep": "so your photo was not kept",
    "delete": "so nothing was deleted and your photo is still kept",
    "show": "so what is kept cannot be shown",
}
# PostgreSQL's codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
DISK_FULL = "53100"
WAITED_TOO_LONG = ("55P03", "57014", "40001", "40P01")


class StoreError(Refusal):
    """The database cannot do it now, and nothing was changed.

    `reason` is for whoever runs the site: no photo, no ticket and no SQL are in it.
    """

    status = 503
    code = "feedback-unavailable"
    retry_after = 60
    why = "Our store of photos cannot be used at the moment"
    advice = "Please try again later."

    def __init__(self, doing: Doing, reason: str = "") -> None:
        self.reason = reason or self.why
        super().__init__(f"{self.why}, {OUTCOMES[doing]}. {self.advice}")


class Busy(StoreError):
    """Somebody else has been writing for too long."""

    retry_after = 5
    why = "The store of photos is busy at the moment"
    advice = "Please try again in a moment."


class DiskFull(StoreError):
    """There is no room on the disk."""

    status = 507
    code = "feedback-full"
    retry_after = 3600
    why = "Our disk is full"


class StoreFull(StoreError):
    """There are as many entries as may be."""

    status = 507
    code = "feedback-full"
    retry_after = 24 * 3600
    why = "There is no room for more photos at the moment"
    advice = "Please try again in a few days."


class TooManyNow(StoreError):
    """As many entries came within the last hour as may come."""

    status = 429
    code = "feedback-too-many"
    retry_after = 3600
    why = "Many photos came within the last hour"
    advice = "Please send it again in an hour."


class Uncertain(StoreError):
    """The change failed while it was being committed: it may have been made or not.

    `trouble` is what to say if it turns out that it was not.
    """

    def __init__(self, doing: Doing, trouble: StoreError) -> None:
        self.reason, self.trouble = trouble.reason, trouble
        Refusal.__init__(
            self,
            "The database did not say whether your photo was kept. Please send it again: it is "
            "kept only once."
            if doing == "keep"
            else "The database did not say whether your photo was deleted. Please try again.",
        )


def explain(error: SQLAlchemyError, doing: Doing) -> StoreError:
    """Return the trouble that `error` is."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    state = getattr(cause, "sqlstate", None)
    kind = (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF
    reason = _first_words(cause or error)
    if kind == sqlite3.SQLITE_FULL or state == DISK_FULL:
        return DiskFull(doing, reason)
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or state in WAITED_TOO_LONG:
        return Busy(doing, reason)
    return StoreError(doing, reason)


def _first_words(error: BaseException) -> str:
    """Return what a driver says, without the statement and the link that follow."""
    lines = [line.strip(" -\t") for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    # psycopg lists one line for each address that a name has; the first is only a heading.
    return (lines[-1] if lines[0].startswith("Multiple connection attempts") else lines[0])[:300]
