"""The connection to SQLite or PostgreSQL: transactions that take turns, and what is said of faults.

Writers wait for each other, so that limits are exact: SQLite's `BEGIN IMMEDIATE`, PostgreSQL's
advisory lock.  Readers wait for nobody.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from webapp.feedback import schema
from webapp.feedback.reserve import Reserve
from webapp.feedback.troubles import Busy, DiskFull, Doing, StoreError, Uncertain, explain

BUSY_SECONDS = 5  # how long to wait for somebody else's write, or for a connection
TURN = 0x7E2C1A55  # The key of our advisory lock; any number that no other program would choose.
FULL_BYTES = 1024 * 1024  # with less than this free, a file that SQLite cannot make means full

T = TypeVar("T")


class BadDatabase(Exception):
    """The address of the database cannot work; the message says why."""


def database_url(text: str, instance: Path) -> URL:
    """Return the address `text` with a driver; a file of SQLite is looked for in `instance`.

    Raises:
        BadDatabase: it is not the address of a database that can be used here.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise BadDatabase("it does not look like sqlite:///file or postgresql://…") from error
    if url.get_backend_name() in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise BadDatabase("a database in memory would be another one in every thread")
        return url.set(database=str(instance / url.database))
    raise BadDatabase(f"it must begin with sqlite: or postgresql:, not with {url.drivername}:")


class Database:
    """The database at `url`.

    Args:
        migrate: make the tables, or bring them up to date, when they are first needed.

    Raises:
        BadDatabase: no driver for it is installed.
    """

    def __init__(self, url: URL, *, migrate: bool) -> None:
        self.url, self.file = url, None
        self._migrate = migrate
        self._ready = self._seen = False
        self._preparing, self._turn = Lock(), Lock()
        options: dict[str, Any] = {
            "pool_pre_ping": True,
            "pool_timeout": BUSY_SECONDS,
            "connect_args": {"connect_timeout": BUSY_SECONDS},
        }
        if url.get_backend_name() == "sqlite":
            self.file = Path(url.database or "")
            # A file that is opened anew each time is missed when it is gone; one that is kept open
            # would swallow what is written to it.
            options = {"poolclass": NullPool, "creator": self._open}
        try:
            # Without `hide_parameters`, an error's text has the photo's bytes in it.
            self.engine = create_engine(url, hide_parameters=True, **options)
        except (ImportError, SQLAlchemyError) as error:
            raise BadDatabase(
                f"there is no driver for it here ({error}); for PostgreSQL, `pip install -r "
                "requirements-postgresql.txt` installs it"
            ) from error
        self._reserve = Reserve(self.file) if self.file else None
        self._writer = self.engine.execution_options(takes_turn=True)
        self._reader = (
            self.engine
            if self.file
            else self.engine.execution_options(isolation_level="REPEATABLE READ")
        )
        event.listen(self.engine, "begin", self._begin)

    def read(self, doing: Doing, work: Callable[[Session], T]) -> T:
        """Give `work` a session in which nothing changes under its eyes.

        Raises:
            StoreError: the database cannot be reached, is broken or is full.
        """
        return self._with_reserve(doing, lambda: self._transact(self._reader, doing, work))

    def write(self, doing: Doing, work: Callable[[Session], T]) -> T:
        """Give `work` a session in which nobody else writes, and commit what it did.

        Raises:
            Uncertain: it may have been committed or not.
            StoreError: nothing was changed.
        """
        if not self._turn.acquire(timeout=BUSY_SECONDS):
            raise Busy(doing, "database is locked")
        try:
            return self._with_reserve(doing, lambda: self._transact(self._writer, doing, work))
        finally:
            self._turn.release()

    def prepare(self, *, migrate: bool | None = None) -> bool:
        """Make the tables or bring them up to date, if they are not; whether they were changed.

        Args:
            migrate: whatever the setting says.

        Raises:
            StoreError: that cannot be done.
        """
        migrate = self._migrate if migrate is None else migrate
        with self._preparing:
            try:
                return self._prepare(migrate, "show")
            except SQLAlchemyError as error:
                raise self._explain(error, "show") from error

    def version(self) -> str | None:
        """Return the version of the tables, or None where there are none.

        Raises:
            StoreError: the database cannot be reached.
        """
        try:
            with self.engine.connect() as connection:
                return schema.version(connection)
        except SQLAlchemyError as error:
            raise self._explain(error, "show") from error

    def forget_deleted(self) -> None:
        """Empty SQLite's log of changes, which may still hold the bytes of a deleted photo."""
        if self.file and self.file.with_name(f"{self.file.name}-wal").exists():
            self._outside_transactions("PRAGMA wal_checkpoint(TRUNCATE)")

    def _transact(self, engine: Engine, doing: Doing, work: Callable[[Session], T]) -> T:
        committing = False
        try:
            if not self._ready:
                with self._preparing:
                    self._prepare(self._migrate, doing)
            with Session(engine, expire_on_commit=False) as session:
                result = work(session)
                session.flush()
                committing = True
                try:
                    session.commit()
                except SQLAlchemyError:
                    session.invalidate()  # In what state this connection is, nobody knows.
                    raise
                return result
        except SQLAlchemyError as error:
            self._ready = False
            trouble = self._explain(error, doing)
            # Of these two the database itself says that the change was not made.
            if committing and not isinstance(trouble, (Busy, DiskFull)):
                raise Uncertain(doing, trouble) from error
            raise trouble from error

    def _with_reserve(self, doing: Doing, attempt: Callable[[], T]) -> T:
        """Attempt it, and once more with the reserve's room where the disk is full."""
        try:
            return attempt()
        except DiskFull:
            if doing == "keep" or self._reserve is None:
                raise
        with self._reserve.released():
            return attempt()

    def _prepare(self, migrate: bool, doing: Doing) -> bool:
        changed = False
        if self.file and not self.file.exists():
            # One that was here a moment ago is missed, not replaced: it may only be unmounted.
            if self._seen or not migrate:
                raise StoreError(doing, f"{self.file} is not there")
            self._make_file(doing)
        with self.engine.connect() as connection:
            found = schema.version(connection)
        if found != schema.HEAD:
            if self._seen or not migrate or (found or "") > schema.HEAD:
                raise StoreError(doing, _wrong_version(found))
            if self.file:
                # The file remembers both: it shrinks when photos are deleted, and readers and a
                # writer work at the same time.
                self._outside_transactions("PRAGMA auto_vacuum = FULL", "PRAGMA journal_mode = WAL")
            with self._writer.begin() as connection:
                # Again, because another process may have been first.
                if schema.version(connection) != schema.HEAD:
                    schema.upgrade(connection)
                    changed = True
        if self.file and self._reserve:
            _close_to_others(self.file)
            self._reserve.make()
        self._ready = self._seen = True
        return changed

    def _make_file(self, doing: Doing) -> None:
        assert self.file is not None
        try:
            with suppress(FileExistsError):
                os.close(os.open(self.file, os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise StoreError(doing, f"{self.file} cannot be made: {error.strerror}") from error

    def _outside_transactions(self, *statements: str) -> None:
        """Run what SQLite can do without, and a busy database or a file system may refuse."""
        with suppress(sqlite3.Error), closing(self._open()) as connection:
            for statement in statements:
                connection.execute(statement)

    def _open(self) -> sqlite3.Connection:
        assert self.file is not None
        # `mode=rw`: SQLite itself never makes the file. Transactions are begun by `_begin`.
        connection = sqlite3.connect(
            f"file:{quote(str(self.file))}?mode=rw",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        # Or the bytes of a photo that was taken back would stay in the file until they are reused.
        connection.execute("PRAGMA secure_delete = ON")
        return connection

    def _begin(self, connection: Connection) -> None:
        takes_turn = connection.get_execution_options().get("takes_turn", False)
        if self.file:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if takes_turn else "BEGIN")
        elif takes_turn:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({TURN})")

    def _explain(self, error: SQLAlchemyError, doing: Doing) -> StoreError:
        trouble = explain(error, doing)
        if self.file is None or type(trouble) is not StoreError:
            return trouble
        if not self.file.exists():
            return StoreError(doing, f"{self.file} is not there")
        with suppress(OSError):
            # What SQLite cannot even make a file for, it does not call full.
            if shutil.disk_usage(self.file.parent).free < FULL_BYTES:
                return DiskFull(doing, trouble.reason)
        return trouble


def _wrong_version(found: str | None) -> str:
    if found is not None and found > schema.HEAD:
        return f"its tables are of version {found}, which a later version of this site made"
    state = "has no tables yet" if found is None else f"has tables of version {found}"
    return f"it {state}: run `flask db upgrade` as a role that may make them"


def _close_to_others(file: Path) -> None:
    # Of before, when SQLite made it for everybody to read; its other files take after it.
    with suppress(OSError):
        if file.stat().st_mode & 0o077:
            file.chmod(0o600)
