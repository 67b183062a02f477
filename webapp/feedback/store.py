"""The photos that visitors asked to have kept, in a database: SQLite, or PostgreSQL.

Of a visitor nothing is kept: no address, no name, no file name.  An entry can be taken back with
its *ticket*, which only the visitor has; the database holds a digest of it.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    CursorResult,
    LargeBinary,
    Select,
    String,
    create_engine,
    delete,
    event,
    func,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, defer, mapped_column
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable

from webapp.errors import Refusal

BUSY_SECONDS = 5  # how long to wait for somebody else's write, or for a connection
HOUR = 3600
DAY = 24 * HOUR
NONE_OF_THESE = "none-of-these"
"""The right class of a photo that shows none of the classes, and its folder in an export."""


class StoreError(Refusal):
    """The database cannot do it now; nothing was changed."""

    status = 503
    code = "feedback-unavailable"


class StoreFull(StoreError):
    """There is no room: no entries are left, or no bytes."""

    status = 507
    code = "feedback-full"


class TooManyNow(StoreError):
    """As many entries came within the last hour as may come."""

    status = 429
    code = "feedback-too-many"


class BadDatabase(Exception):
    """The address of the database cannot work; the message says why."""


class _Base(DeclarativeBase):
    pass


class Entry(_Base):
    """One photo, what a model said of it, and what the visitor says it is."""

    __tablename__ = "feedback"
    __table_args__ = {"sqlite_autoincrement": True}  # a deleted entry's number is never used again

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


_TABLE = _Base.metadata.tables[Entry.__tablename__]


def database_url(text: str, instance: Path) -> URL:
    """The address `text` with a driver; a file of SQLite is looked for in `instance`.

    Raises:
        BadDatabase: it is not the address of a database that can be used here.
    """
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise BadDatabase("it does not look like sqlite:///file or postgresql://…") from error
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise BadDatabase("a database in memory would be another one in every thread")
        return url.set(database=str(instance / url.database))
    return url


class Store:
    """The database at `url`, which is made when the first entry comes.

    Args:
        limit: entries; a further one is refused.
        hourly: entries within an hour, from all visitors together: of whom they come is not known.
        days: how long an entry is kept.

    Every method raises StoreError where the database cannot be reached, is locked or is full.

    Raises:
        BadDatabase: no driver for it is installed.
    """

    def __init__(self, url: URL, *, limit: int, hourly: int, days: int) -> None:
        self.limit, self.hourly, self.days = limit, hourly, days
        self._is_file = url.get_backend_name() == "sqlite"
        self._file = Path(url.database or "") if self._is_file else None
        options: dict[str, Any] = (
            # A file that is opened anew each time is missed when it is gone; one that is kept open
            # would swallow what is written to it.
            {"poolclass": NullPool, "connect_args": {"timeout": BUSY_SECONDS}}
            if self._is_file
            else {"pool_pre_ping": True, "connect_args": {"connect_timeout": BUSY_SECONDS}}
        )
        try:
            self.engine = create_engine(url, **options)
        except (ImportError, SQLAlchemyError) as error:
            raise BadDatabase(
                f"there is no driver for {url.drivername!r} here ({error}). For PostgreSQL: "
                "pip install -r requirements-postgresql.txt"
            ) from error
        if self._is_file:
            event.listen(self.engine, "connect", _overwrite_what_is_deleted)

    def keep(self, ticket: str, entry: Entry) -> None:
        """Keep `entry`; one with the same `ticket` only gets another right class.

        Raises:
            StoreFull: there are as many entries as may be.
            TooManyNow: as many came within the last hour as may come.
        """
        entry.ticket_digest = _digest(ticket)
        entry.kept_at = int(time.time())
        with self._session() as session:
            self._purge(session)
            kept = session.scalar(_with(ticket))
            if kept is not None:
                kept.right_class = entry.right_class
                return
            session.add(entry)
            session.flush()
            # Counted after it was added: SQLite lets one in at a time from there on, so that two
            # who come at once cannot both be the last.
            if _number(session) > self.limit:
                raise StoreFull(
                    "There is no room for more photos at the moment, so yours was not kept. "
                    "Please try again in a few days."
                )
            if _number(session, Entry.kept_at > entry.kept_at - HOUR) > self.hourly:
                raise TooManyNow(
                    "Many photos came within the last hour, so yours was not kept. Please send it "
                    "again in an hour."
                )

    def find(self, ticket: str) -> Entry | None:
        """The entry of `ticket`, if it is still kept."""
        if not self._exists():
            return None
        with self._session() as session:
            self._purge(session)
            return session.scalar(_with(ticket))

    def take_back(self, ticket: str) -> bool:
        """Delete the entry of `ticket`; whether there was one."""
        if not self._exists():
            return False
        with self._session() as session:
            return _count(session.execute(delete(Entry).where(_is(ticket)))) > 0

    def entries(self) -> list[Entry]:
        """All entries without their pictures, the oldest first."""
        if not self._exists():
            return []
        with self._session() as session:
            query = select(Entry).options(defer(Entry.picture, raiseload=True)).order_by(Entry.id)
            return list(session.scalars(query))

    def picture(self, number: int) -> bytes | None:
        """The picture of the entry `number`, if it is still kept."""
        with self._session() as session:
            return session.scalar(select(Entry.picture).where(Entry.id == number))

    def delete(self, numbers: Sequence[int] | None = None) -> int:
        """Delete the entries `numbers`, or all; how many there were."""
        if not self._exists():
            return 0
        query = delete(Entry)
        with self._session() as session:
            if numbers is not None:
                query = query.where(Entry.id.in_(numbers))
            return _count(session.execute(query))

    def purge(self) -> int:
        """Delete what has been kept for long enough; how many there were."""
        if not self._exists():
            return 0
        with self._session() as session:
            return self._purge(session)

    def _purge(self, session: Session) -> int:
        oldest = int(time.time()) - self.days * DAY
        return _count(session.execute(delete(Entry).where(Entry.kept_at < oldest)))

    def _exists(self) -> bool:
        """Return whether there can be entries: reading would make a file where there is none."""
        return self._file is None or self._file.exists()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """A session that is committed when all went well, with the table there."""
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                session.execute(CreateTable(_TABLE, if_not_exists=True))
                yield session
        except SQLAlchemyError as error:
            raise _explained(error) from error


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


def _is(ticket: str) -> ColumnElement[bool]:
    return Entry.ticket_digest == _digest(ticket)


def _with(ticket: str) -> Select[Entry]:
    return select(Entry).where(_is(ticket))


def _number(session: Session, *which: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count(Entry.id)).where(*which)) or 0


def _count(result: Any) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount


def _overwrite_what_is_deleted(connection: Any, _record: object) -> None:
    # Or the bytes of a photo that was taken back would stay in the file until they are reused.
    connection.execute("PRAGMA secure_delete = ON")


def _explained(error: SQLAlchemyError) -> StoreError:
    """Return the error with the sentence for the visitor and the right status."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    kind = (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF
    if kind == sqlite3.SQLITE_FULL or getattr(cause, "sqlstate", None) == "53100":
        return StoreFull("Our disk is full, so your photo was not kept. Please try again later.")
    # The third: the same form twice at the same moment, of which one has won.
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or isinstance(error, IntegrityError):
        return StoreError(
            "Others are sending theirs at this moment, so yours was not kept. Please send it again."
        )
    return StoreError(
        "What visitors send cannot be stored at the moment, so your photo was not kept. Please "
        "try again later."
    )
