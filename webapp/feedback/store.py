"""The photos that visitors asked to have kept, in a database: SQLite, or PostgreSQL.

Of a visitor nothing is kept: no address, no name, no file name.  An entry can be taken back with
its *ticket*, which only the visitor has; the database holds a digest of it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Select, delete, func, select
from sqlalchemy.orm import Session, defer

from webapp.feedback.database import Database
from webapp.feedback.entry import Entry
from webapp.feedback.troubles import StoreError, StoreFull, TooManyNow, Uncertain

HOUR = 3600
DAY = 24 * HOUR
AT_ONCE = 5
"""Entries deleted in one transaction, so that the reserve of a full disk is enough for it."""


class Store:
    """The entries in `database`.

    Args:
        limit: entries; a further one is refused.
        hourly: entries within an hour, from all visitors together: of whom they come is not known.
        days: how long an entry is kept.

    Every method raises StoreError where the database cannot be reached, is locked or is full.
    """

    def __init__(self, database: Database, *, limit: int, hourly: int, days: int) -> None:
        self.database = database
        self.limit, self.hourly, self.days = limit, hourly, days

    def keep(self, ticket: str, entry: Entry) -> Entry:
        """Keep `entry`; one with the same `ticket` only gets another right class.

        Returns the entry that is kept.

        Raises:
            StoreFull: there are as many entries as may be.
            TooManyNow: as many came within the last hour as may come.
            Uncertain: it may be kept or not; to call it again does no harm.
        """
        entry.ticket_digest = _digest(ticket)
        entry.kept_at = int(time.time())
        try:
            return self.database.write("keep", lambda session: self._keep(session, entry))
        except Uncertain as uncertain:
            found = self._look_again(ticket, uncertain)
            if found is None:
                raise uncertain.trouble from uncertain
            return found

    def find(self, ticket: str) -> Entry | None:
        """Return the entry of `ticket`, if it is still kept."""
        query = _with(ticket).where(Entry.kept_at >= self._oldest())
        return self.database.read("show", lambda session: session.scalar(query))

    def take_back(self, ticket: str) -> bool:
        """Delete the entry of `ticket`; whether there was one."""
        try:
            return self._delete(_is(ticket)) > 0
        except Uncertain as uncertain:
            if self._look_again(ticket, uncertain) is not None:
                raise uncertain.trouble from uncertain
            return True

    def entries(self) -> list[Entry]:
        """Return all entries without their pictures, the oldest first."""
        query = select(Entry).options(defer(Entry.picture, raiseload=True)).order_by(Entry.id)
        return self.database.read("show", lambda session: list(session.scalars(query)))

    def count(self) -> int:
        """Return the number of entries."""
        return self.database.read("show", _number)

    def picture(self, number: int) -> bytes | None:
        """Return the picture of the entry `number`, if it is still kept."""
        query = select(Entry.picture).where(Entry.id == number)
        return self.database.read("show", lambda session: session.scalar(query))

    def delete(self, numbers: Sequence[int] | None = None) -> int:
        """Delete the entries `numbers`, or all; how many there were."""
        return self._delete(*([] if numbers is None else [Entry.id.in_(numbers)]))

    def purge(self) -> int:
        """Delete what has been kept for long enough; how many there were."""
        return self._delete(Entry.kept_at < self._oldest())

    def _keep(self, session: Session, entry: Entry) -> Entry:
        session.execute(delete(Entry).where(Entry.kept_at < self._oldest()))
        kept = session.scalar(select(Entry).where(Entry.ticket_digest == entry.ticket_digest))
        if kept is not None:
            kept.right_class = entry.right_class
            return kept
        # Nobody else writes meanwhile, so what is counted here is still true at the end.
        if _number(session) >= self.limit:
            raise StoreFull("keep")
        if _number(session, Entry.kept_at > entry.kept_at - HOUR) >= self.hourly:
            raise TooManyNow("keep")
        session.add(entry)
        return entry

    def _delete(self, *which: ColumnElement[bool]) -> int:
        count = 0
        while deleted := self.database.write("delete", lambda session: _some(session, *which)):
            count += deleted
            self.database.forget_deleted()
            if deleted < AT_ONCE:
                break
        return count

    def _look_again(self, ticket: str, uncertain: Uncertain) -> Entry | None:
        """Return the entry of `ticket` once a change that nobody answered for has ended."""
        try:
            # As a writer: it waits until the server has let go of the interrupted transaction.
            return self.database.write("show", lambda session: session.scalar(_with(ticket)))
        except StoreError as error:
            raise uncertain from error

    def _oldest(self) -> int:
        return int(time.time()) - self.days * DAY


def _some(session: Session, *which: ColumnElement[bool]) -> int:
    """Delete a few of the entries; how many there were."""
    few = select(Entry.id).where(*which).order_by(Entry.id).limit(AT_ONCE)
    result: Any = session.execute(delete(Entry).where(Entry.id.in_(list(session.scalars(few)))))
    assert isinstance(result, CursorResult)
    return result.rowcount


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


def _is(ticket: str) -> ColumnElement[bool]:
    return Entry.ticket_digest == _digest(ticket)


def _with(ticket: str) -> Select[Entry]:
    return select(Entry).where(_is(ticket))


def _number(session: Session, *which: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count(Entry.id)).where(*which)) or 0
