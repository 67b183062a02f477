"""Feedback loses nothing and says nothing false: many at once, older tables, and every fault."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import event
from sqlalchemy.orm import Session

from tests import postgresql
from tests.postgresql import Cluster
from webapp.feedback import schema
from webapp.feedback.backup import BadBackup, read_backup, write_backup
from webapp.feedback.database import Database, database_url
from webapp.feedback.entry import Base, Entry
from webapp.feedback.store import Store
from webapp.feedback.troubles import DiskFull, StoreError, StoreFull, TooManyNow, Uncertain

SITES = 8  # As many processes have a connection pool of their own.


def entry(picture: bytes = b"picture", right: str = "ship") -> Entry:
    return Entry(
        model="tiny",
        said="deer",
        probabilities={"deer": 0.75, "ship": 0.25},
        novelty=0.5,
        known=True,
        right_class=right,
        picture=picture,
        picture_kind="png",
    )


def open_store(
    url: str, *, limit: int = 1000, hourly: int = 1000, migrate: bool = True, folder: Path = Path()
) -> Store:
    database = Database(database_url(url, folder), migrate=migrate)
    return Store(database, limit=limit, hourly=hourly, days=180)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if postgresql.INITDB is None:
        pytest.skip("PostgreSQL is not installed")
    with postgresql.cluster() as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'feedback.sqlite'}"
    return new_database(request.getfixturevalue("cluster"))


def new_database(cluster: Cluster) -> str:
    name = f"site_{secrets.token_hex(4)}"
    cluster.run(f"CREATE DATABASE {name}")
    return cluster.url(name)


@pytest.fixture
def opened(url: str) -> Iterator[Callable[..., Store]]:
    """Opens the database of `url` as another process of the site would."""
    stores: list[Store] = []

    def another(limit: int = 1000, hourly: int = 1000) -> Store:
        stores.append(open_store(url, limit=limit, hourly=hourly))
        return stores[-1]

    yield another
    for store in stores:
        store.database.engine.dispose()


# Many at once


@pytest.mark.parametrize(
    ("limits", "refusal"), [({"limit": 150}, StoreFull), ({"hourly": 150}, TooManyNow)]
)
def test_of_many_that_come_at_once_exactly_as_many_are_kept_as_may_be(
    limits: dict[str, int],
    refusal: type[StoreError],
    opened: Callable[..., Store],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However slow this machine is: what is asked is how many, and not how fast.
    monkeypatch.setattr("webapp.feedback.database.BUSY_SECONDS", 120)
    # The first of them find no tables, and all make them at the same moment.
    stores = [opened(**limits) for _ in range(SITES)]

    def send(number: int) -> str:
        try:
            return stores[number % SITES].keep(f"ticket-{number}", entry(b"x" * 20_000)).right_class
        except StoreError as error:
            return type(error).__name__

    with ThreadPoolExecutor(2 * SITES) as visitors:
        said = Counter(visitors.map(send, range(200)))
    assert said == {"ship": 150, refusal.__name__: 50}
    assert len(stores[0].entries()) == 150


def test_the_same_form_sent_many_times_at_once_is_kept_once(opened: Callable[..., Store]) -> None:
    stores = [opened() for _ in range(SITES)]
    with ThreadPoolExecutor(SITES) as visitors:
        kept = list(visitors.map(lambda store: store.keep("ticket", entry()), stores))
    assert {one.id for one in kept} == {1}
    assert len(stores[0].entries()) == 1


def test_readers_wait_for_no_writer(opened: Callable[..., Store]) -> None:
    writer, reader = opened(), opened()
    writer.keep("ticket", entry())
    assert reader.find("ticket")

    def write(session: Session) -> Entry | None:
        session.connection()
        return reader.find("ticket")

    assert writer.database.write("keep", write)


# The tables

AS_IT_WAS = """
CREATE TABLE feedback (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, ticket_digest VARCHAR(64) NOT NULL,
    kept_at BIGINT NOT NULL, model VARCHAR NOT NULL, said VARCHAR NOT NULL,
    probabilities JSON NOT NULL, novelty DOUBLE NOT NULL, known BOOLEAN NOT NULL,
    right_class VARCHAR NOT NULL, picture BLOB NOT NULL, picture_kind VARCHAR NOT NULL,
    UNIQUE (ticket_digest)
)
"""
IN_POSTGRESQL = AS_IT_WAS.replace(
    "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "SERIAL PRIMARY KEY"
)
IN_POSTGRESQL = IN_POSTGRESQL.replace("BLOB", "BYTEA").replace("DOUBLE", "DOUBLE PRECISION")
A_ROW = (
    "INSERT INTO feedback (ticket_digest, kept_at, model, said, probabilities, novelty, known, "
    "right_class, picture, picture_kind) VALUES ('{digest}', {now}, 'tiny', 'deer', "
    "'{{\"deer\": 1.0}}', 0.5, {true}, 'ship', {picture}, 'png')"
)


def test_a_database_of_before_there_were_migrations_is_taken_over(
    url: str, opened: Callable[..., Store], request: pytest.FixtureRequest
) -> None:
    import hashlib

    values = {"digest": hashlib.sha256(b"ticket").hexdigest(), "now": int(time.time())}
    if url.startswith("sqlite"):
        file = Path(url.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(file)) as old, old:
            old.execute(AS_IT_WAS)
            old.execute(A_ROW.format(true=1, picture="x'706e67'", **values))
        file.chmod(0o644)
    else:
        with psycopg.connect(url, autocommit=True) as older:
            older.execute(IN_POSTGRESQL.encode())
            row = A_ROW.format(true="true", picture="'\\x706e67'", **values)
            older.execute(row.encode())
    store = opened()
    kept = store.find("ticket")
    assert kept is not None
    assert (kept.id, kept.picture, kept.right_class) == (1, b"png", "ship")
    assert store.database.version() == schema.HEAD
    assert store.keep("another", entry()).id == 2
    if url.startswith("sqlite"):
        assert file.stat().st_mode & 0o777 == 0o600


def test_the_migrations_lead_to_the_tables_that_the_code_knows(
    opened: Callable[..., Store],
) -> None:
    store = opened()
    assert store.database.prepare()
    assert not store.database.prepare(), "the second time there is nothing to do"
    with store.database.engine.connect() as connection:
        options = {"version_table": schema.VERSION_TABLE}
        assert (
            compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)
            == []
        )
    assert ScriptDirectory(str(schema.MIGRATIONS)).get_current_head() == schema.HEAD


def test_where_the_site_may_not_make_tables_it_says_which_command_does(
    url: str, opened: Callable[..., Store]
) -> None:
    strict = open_store(url, migrate=False)
    with pytest.raises(StoreError) as refused:
        strict.keep("ticket", entry())
    assert "your photo was not kept" in refused.value.message
    assert url.startswith("sqlite") or "flask db upgrade" in refused.value.reason
    opened().database.prepare(migrate=True)
    assert strict.keep("ticket", entry()).id == 1
    strict.database.engine.dispose()


def test_tables_of_a_later_version_are_left_alone(opened: Callable[..., Store]) -> None:
    store = opened()
    store.keep("ticket", entry())
    with store.database.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StoreError) as refused:
        opened().keep("another", entry())
    assert "a later version of this site" in refused.value.reason


# A fault while it is committed: nobody says whether the change was made


@pytest.mark.parametrize("made", [True, False])
def test_what_the_database_did_not_confirm_is_looked_up(
    made: bool, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    store.keep("first", entry())
    dialect = store.database.engine.dialect
    commit = type(dialect).do_commit
    lost = dialect.loaded_dbapi.OperationalError("the connection is lost")

    def lose_the_answer(connection: Any) -> None:
        monkeypatch.undo()
        if made:
            commit(dialect, connection)
        raise lost

    monkeypatch.setattr(dialect, "do_commit", lose_the_answer)
    if made:
        assert store.keep("second", entry()).id == 2
    else:
        with pytest.raises(StoreError, match="your photo was not kept"):
            store.keep("second", entry())
    assert (store.find("second") is not None) == made

    monkeypatch.setattr(dialect, "do_commit", lose_the_answer)
    if made:
        assert store.take_back("first")
    else:
        with pytest.raises(StoreError, match="your photo is still kept"):
            store.take_back("first")
    assert (store.find("first") is None) == made


def test_what_cannot_even_be_looked_up_is_called_uncertain(
    opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    store.keep("first", entry())
    dialect = store.database.engine.dialect
    lost = dialect.loaded_dbapi.OperationalError("the connection is lost")

    def lose(_connection: object) -> None:
        raise lost

    monkeypatch.setattr(dialect, "do_commit", lose)
    with pytest.raises(Uncertain, match="did not say whether your photo was kept"):
        store.keep("second", entry())
    with pytest.raises(Uncertain, match="did not say whether your photo was deleted"):
        store.take_back("first")


# Backups


def test_a_backup_holds_every_entry_and_can_be_read_into_any_database(
    opened: Callable[..., Store], tmp_path: Path
) -> None:
    store, file = opened(), tmp_path / "backup.sqlite"
    pictures = [secrets.token_bytes(1000) for _ in range(45)]
    for number, picture in enumerate(pictures):
        store.keep(f"ticket-{number}", entry(picture))
    store.take_back("ticket-0")
    assert write_backup(store.database, file) == 44
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.glob("*backup*")) == ["backup.sqlite"]

    copy = open_store(f"sqlite:///{tmp_path / 'other.sqlite'}")
    copy.keep("ticket-7", entry(b"newer"))
    copy.database.prepare()
    assert read_backup(copy.database, file) == 43
    assert read_backup(copy.database, file) == 0, "what is there is not added again"
    for number in range(1, 45):
        kept = copy.find(f"ticket-{number}")
        assert kept and kept.picture == (b"newer" if number == 7 else pictures[number])
    assert copy.find("ticket-0") is None

    assert read_backup(store.database, file) == 0
    assert store.delete() == 44
    assert read_backup(store.database, file) == 44
    assert len({one.id for one in store.entries()}) == 44
    # The file can also be put in the place of the database.
    assert len(open_store(f"sqlite:///{file}").entries()) == 44


def test_a_bad_backup_is_named_and_nothing_is_replaced(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'feedback.sqlite'}")
    store.keep("ticket", entry())
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(BadBackup, match="is there already"):
        write_backup(store.database, file)
    assert file.read_text() == "precious"
    with pytest.raises(BadBackup, match="cannot be written"):
        write_backup(store.database, tmp_path / "no folder" / "file")
    with pytest.raises(BadBackup, match="is no backup: file is not a database"):
        read_backup(store.database, file)
    with pytest.raises(BadBackup, match="is not there"):
        read_backup(store.database, tmp_path / "nothing")
    assert len(store.entries()) == 1


# SQLite's file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "feedback.sqlite"


def test_nobody_else_can_read_what_is_kept(file: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{file}")
        store.keep("ticket", entry())

        def modes(session: Session) -> dict[str, int]:
            session.connection()
            return {one.name: one.stat().st_mode & 0o777 for one in file.parent.glob("feedback*")}

        found = store.database.write("keep", modes)
    finally:
        os.umask(before)
    names = {file.name, f"{file.name}-wal", f"{file.name}-shm", f"{file.name}-reserve"}
    assert found == dict.fromkeys(names, 0o600)


def test_a_database_that_vanishes_is_missed_and_not_replaced(file: Path) -> None:
    store = open_store(f"sqlite:///{file}")
    store.keep("ticket", entry())
    away = file.rename(file.with_name("away"))
    for attempt, words in (
        (lambda: store.keep("another", entry()), "your photo was not kept"),
        (lambda: store.find("ticket"), "cannot be shown"),
        (lambda: store.take_back("ticket"), "your photo is still kept"),
    ):
        with pytest.raises(StoreError, match=words) as missed:
            attempt()
        assert missed.value.reason == f"{file} is not there"
    assert not file.exists()
    away.rename(file)
    assert store.find("ticket"), "and all is well when it is back"


@pytest.mark.parametrize("damage", ["its beginning", "its middle", "all"])
def test_a_damaged_database_is_said_to_be_unusable(damage: str, file: Path) -> None:
    store = open_store(f"sqlite:///{file}")
    for number in range(40):
        store.keep(f"ticket-{number}", entry(secrets.token_bytes(3000)))
    size = file.stat().st_size
    start, length = {"its beginning": (0, 100), "its middle": (4096, size), "all": (0, size)}[
        damage
    ]
    with file.open("r+b") as damaged:
        damaged.seek(start)
        damaged.write(b"\xff" * min(length, size - start))
    before = file.read_bytes()
    for attempt, words in (
        (lambda: store.keep("another", entry()), "your photo was not kept"),
        (lambda: store.take_back("ticket-30"), "your photo is still kept"),
    ):
        with pytest.raises(StoreError, match=words) as trouble:
            attempt()
        assert trouble.value.status == 503
    assert file.read_bytes() == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Take all the room that is left."""
    with (disk / "other").open("ab", buffering=0) as other, pytest.raises(OSError, match="space"):
        while True:
            other.write(bytes(64 * 1024)[: shutil.disk_usage(disk).free or 1])


@pytest.mark.parametrize("filled_by", ["photos", "another program"])
def test_on_a_full_disk_everything_works_but_keeping(filled_by: str, small_disk: Path) -> None:
    store = open_store(f"sqlite:///{small_disk / 'feedback.sqlite'}")
    tickets = [f"ticket-{number}" for number in range(60)]
    kept = 0
    with pytest.raises(DiskFull, match="Our disk is full, so your photo was not kept"):
        for kept, ticket in enumerate(tickets):
            if filled_by == "another program" and kept == 20:
                fill(small_disk)
            store.keep(ticket, entry(secrets.token_bytes(300_000)))
    fill(small_disk)
    # Another process too, which has not had the files open before.
    for one in (store, open_store(f"sqlite:///{small_disk / 'feedback.sqlite'}")):
        assert one.find(tickets[kept]) is None
        assert len(one.entries()) == kept
        assert one.find(tickets[1])
    assert store.take_back(tickets[0])
    assert store.find(tickets[0]) is None
    assert store.delete() == kept - 1
    assert store.entries() == []
    (small_disk / "other").unlink()
    assert store.keep("later", entry(secrets.token_bytes(300_000)))


def test_a_disk_that_became_read_only_is_said_to_be_unusable(small_disk: Path) -> None:
    store = open_store(f"sqlite:///{small_disk / 'feedback.sqlite'}")
    store.keep("ticket", entry())
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreError, match="your photo was not kept"):
        store.keep("another", entry())
    with pytest.raises(StoreError, match="your photo is still kept"):
        store.take_back("ticket")
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert [one.id for one in store.entries()] == [1]
    assert store.take_back("ticket")


# PostgreSQL's server


def test_a_role_without_create_can_do_all_that_the_site_does(cluster: Cluster) -> None:
    owners = new_database(cluster)
    name = owners.partition("?")[0].rpartition("/")[2]
    cluster.run("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    cluster.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database=name)
    guest = open_store(cluster.url(name, "guest"))
    with pytest.raises(StoreError) as refused:
        guest.keep("ticket", entry())
    assert "your photo was not kept" in refused.value.message
    assert "permission denied for schema public" in refused.value.reason

    owner = open_store(owners)
    owner.database.prepare()
    cluster.run(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON feedback TO guest",
        "GRANT USAGE ON SEQUENCE feedback_id_seq TO guest",
        f"GRANT SELECT ON {schema.VERSION_TABLE} TO guest",
        database=name,
    )
    assert guest.keep("ticket", entry()).id == 1
    assert guest.find("ticket")
    assert guest.take_back("ticket")
    assert guest.purge() == 0
    for store in (guest, owner):
        store.database.engine.dispose()


def test_a_server_that_went_away_is_found_again(cluster: Cluster) -> None:
    store = open_store(new_database(cluster))
    store.keep("ticket", entry())
    cluster.stop()
    try:
        with pytest.raises(StoreError, match="your photo was not kept") as trouble:
            store.keep("another", entry())
        assert "failed" in trouble.value.reason and "\n" not in trouble.value.reason
        with pytest.raises(StoreError, match="your photo is still kept"):
            store.take_back("ticket")
    finally:
        cluster.start()
    assert store.find("ticket")
    assert store.keep("another", entry()).id == 2
    store.database.engine.dispose()


# For whoever runs the site


def test_no_fault_shows_an_operator_a_statement_or_a_traceback(
    tiny_site: Callable[..., Flask],
) -> None:
    app = tiny_site(DATABASE_URL="postgresql://me:secret@127.0.0.1:1/site")
    for command in ("list", "purge", "export x", "delete 1", "backup x", "restore x"):
        result = app.test_cli_runner().invoke(args=["feedback", *command.split()])
        assert result.exit_code == 1
        assert result.output.startswith("Error: The database cannot be used: ")
        assert result.output.count("\n") == 1
        assert "SELECT" not in result.output and "secret" not in result.output


def test_a_fault_puts_neither_photo_nor_ticket_nor_traceback_into_the_log(
    tiny_site: Callable[..., Flask], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    app = tiny_site()
    store: Store = app.extensions["feedback"]
    store.keep("ticket", entry())
    event.listen(store.database.engine, "before_cursor_execute", _break_inserts, retval=True)
    with pytest.raises(StoreError) as trouble:
        store.keep("another-ticket", entry(b"the photo itself"))
    for text in (trouble.value.reason, str(trouble.value.__cause__)):
        assert "the photo itself" not in text and "another-ticket" not in text


def _break_inserts(
    _connection: object,
    _cursor: object,
    statement: str,
    parameters: object,
    _context: object,
    _many: object,
) -> tuple[str, object]:
    return statement.replace("INSERT INTO feedback ", "INSERT INTO vanished "), parameters


def test_the_statements_of_the_migrations_can_be_had(runner_of: Callable[[str], str]) -> None:
    assert "CREATE TABLE feedback" in runner_of("postgresql://me@127.0.0.1:1/site")
    assert "BYTEA NOT NULL" in runner_of("postgresql://me@127.0.0.1:1/site")
    assert "AUTOINCREMENT" in runner_of("sqlite:///feedback.sqlite")


@pytest.fixture
def runner_of(tiny_site: Callable[..., Flask]) -> Callable[[str], str]:
    def run(url: str) -> str:
        app = tiny_site(DATABASE_URL=url)
        return app.test_cli_runner().invoke(args=["db", "upgrade", "--sql"]).output

    return run


def test_the_commands_look_after_the_tables_and_the_copies(
    tiny_site: Callable[..., Flask], tmp_path: Path
) -> None:
    app = tiny_site()
    run = app.test_cli_runner().invoke
    assert "is not there" in run(args=["db", "current"]).output
    assert "are now of version" in run(args=["db", "upgrade"]).output
    assert "were already of version" in run(args=["db", "upgrade"]).output
    assert f"of version {schema.HEAD}" in run(args=["db", "current"]).output
    app.extensions["feedback"].keep("ticket", entry())
    file = tmp_path / "copy"
    assert run(args=["feedback", "backup", str(file)]).output == f"1 entry is in {file}\n"
    assert file.is_file()
    assert "is there already" in run(args=["feedback", "backup", str(file)]).output
    assert "1 deleted" in run(args=["feedback", "delete", "--all", "--yes"]).output
    said = run(args=["feedback", "restore", str(file)]).output
    assert said == f"1 entry was added from {file}\n"
    assert app.extensions["feedback"].find("ticket")
