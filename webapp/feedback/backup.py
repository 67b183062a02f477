"""A copy of all entries in one file, and its way back.

The file is a database of SQLite, wherever the entries come from: it can be put in the place of
`feedback.sqlite`, or be read into PostgreSQL.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import create_engine, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from webapp.feedback import schema
from webapp.feedback.database import Database
from webapp.feedback.entry import Base, Entry
from webapp.feedback.troubles import explain

AT_ONCE = 20  # Entries that are held in memory, of at most 320 kB each.
_TABLE = Base.metadata.tables[Entry.__tablename__]


class BadBackup(Exception):
    """A backup cannot be written or read; the message says why."""


def write_backup(database: Database, file: Path) -> int:
    """Copy all entries as they are at one moment to the new `file`; how many there are.

    Raises:
        BadBackup: `file` cannot be written, or is there already.
        StoreError: the entries cannot be read.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL, 0o600))
        engine = create_engine(_address(temporary, "rw"), poolclass=NullPool, hide_parameters=True)
        with engine.begin() as target:
            schema.upgrade(target)
            count = database.read(
                "show",
                lambda session: sum(
                    target.execute(insert(_TABLE), rows).rowcount for rows in _rows(session)
                ),
            )
        os.link(temporary, file)  # Never half of it, and never in the place of another.
    except FileExistsError as error:
        raise BadBackup(f"{file} is there already. Give the name of a new file") from error
    except OSError as error:
        raise BadBackup(f"{file} cannot be written: {error.strerror}") from error
    except SQLAlchemyError as error:
        raise BadBackup(f"{file} cannot be written: {explain(error, 'show').reason}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return count


def read_backup(database: Database, file: Path) -> int:
    """Add the entries in `file` that are not kept already; how many were added.

    They get new numbers.  With whatever limit there is, none is left out.

    Raises:
        BadBackup: `file` is no backup.
        StoreError: nothing of a few entries could be kept; those before them were.
    """
    if not file.is_file():
        raise BadBackup(f"{file} is not there")
    engine = create_engine(_address(file, "ro"), poolclass=NullPool)
    count = 0
    try:
        with Session(engine) as source:
            for rows in _rows(source):
                count += database.write("keep", partial(_add, rows=rows))
    except SQLAlchemyError as error:
        raise BadBackup(f"{file} is no backup: {explain(error, 'show').reason}") from error
    return count


def _rows(session: Session) -> Iterator[list[dict[str, Any]]]:
    """Yield the entries, a few at a time, in the order in which they came."""
    last = 0
    query = select(_TABLE).order_by(_TABLE.c.id).limit(AT_ONCE)
    while found := session.execute(query.where(_TABLE.c.id > last)).mappings().all():
        yield [dict(row) for row in found]
        last = found[-1]["id"]


def _add(session: Session, rows: list[dict[str, Any]]) -> int:
    digests = [row["ticket_digest"] for row in rows]
    known = set(
        session.scalars(select(_TABLE.c.ticket_digest).where(_TABLE.c.ticket_digest.in_(digests)))
    )
    new = [
        {name: value for name, value in row.items() if name != "id"}
        for row in rows
        if row["ticket_digest"] not in known
    ]
    if new:
        session.execute(insert(_TABLE), new)
    return len(new)


def _address(file: Path, mode: str) -> str:
    return f"sqlite:///file:{quote(str(file.resolve()))}?mode={mode}&uri=true"
