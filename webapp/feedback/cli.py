"""`flask feedback` and `flask db`: what visitors sent, for whoever runs the site."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
from flask import current_app
from flask.cli import AppGroup, with_appcontext

from webapp.feedback import schema
from webapp.feedback.backup import BadBackup, read_backup, write_backup
from webapp.feedback.entry import NONE_OF_THESE
from webapp.feedback.store import Store
from webapp.feedback.troubles import StoreError

feedback_commands = AppGroup("feedback", help="The photos that visitors asked to have kept.")
db_commands = AppGroup("db", help="The tables that they are kept in.")

P = ParamSpec("P")
T = TypeVar("T")


def in_a_sentence(command: Callable[P, T]) -> Callable[P, T]:
    """Say in one sentence what is wrong with the database, the disk or a backup."""

    @wraps(command)
    def run(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return command(*arguments, **options)
        except StoreError as error:
            reason = error.reason.rstrip(".")
            raise click.ClickException(f"The database cannot be used: {reason}.") from error
        except BadBackup as error:
            raise click.ClickException(f"{error}.") from error

    return run


@feedback_commands.command("list")
@with_appcontext
@in_a_sentence
def list_command() -> None:
    """Show every entry: when it came, what a model said, and what the visitor says."""
    if _nothing():
        return
    entries = _store().entries()
    for entry in entries:
        nearest = f"{entry.said} ({entry.probabilities[entry.said]:.0%})"
        none = "" if entry.known else "none of the classes, the nearest being "
        said = f"{entry.model} said {none}{nearest}"
        click.echo(f"{entry.id:>6}  {entry.kept_on:%Y-%m-%d %H:%M}  {entry.right_class:<14} {said}")
    click.echo(f"{len(entries)} of at most {_store().limit}, kept for {_store().days} days each")


@feedback_commands.command("export")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--with-none",
    is_flag=True,
    help=f"Write the photos of none of the classes too, in a folder {NONE_OF_THESE}.",
)
@with_appcontext
@in_a_sentence
def export_command(folder: Path, with_none: bool) -> None:
    """Write the pictures to FOLDER, one folder for each class that visitors named."""
    if folder.exists() and any(folder.iterdir()):
        raise click.ClickException(f"{folder} is not empty. Give the name of a new folder.")
    if _nothing():
        return
    written: Counter[str] = Counter()
    try:
        for entry in _store().entries():
            # Classes come from a bundle, which may be somebody else's.
            if not re.fullmatch(r"\w[\w .-]*", entry.right_class):
                click.echo(f"{entry.id} is left out: {entry.right_class!r} cannot be a folder")
                continue
            written[entry.right_class] += 1
            picture = _store().picture(entry.id)
            if picture is None or (entry.right_class == NONE_OF_THESE and not with_none):
                continue
            place = folder / entry.right_class
            place.mkdir(parents=True, exist_ok=True)
            (place / entry.file_name).write_bytes(picture)
    except OSError as error:
        raise click.ClickException(f"{folder} cannot be written: {error.strerror}.") from error
    for name, count in sorted(written.items()):
        left_out = name == NONE_OF_THESE and not with_none
        click.echo(f"{count:>6}  {name}{' (left out: --with-none)' if left_out else ''}")
    if not written:
        click.echo("Nothing is kept, so nothing was written.")


@feedback_commands.command("delete")
@click.argument("numbers", type=int, nargs=-1, metavar="[NUMBER]...")
@click.option("--all", "everything", is_flag=True, help="Delete every entry.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_appcontext
@in_a_sentence
def delete_command(numbers: tuple[int, ...], everything: bool, yes: bool) -> None:
    """Delete the entries with these numbers, as shown by `flask feedback list`."""
    if everything == bool(numbers):
        raise click.UsageError("Give the numbers of entries, or --all.")
    if _nothing():
        return
    if everything and not yes:
        click.confirm("Delete every entry?", abort=True)
    click.echo(f"{_store().delete(None if everything else numbers)} deleted")


@feedback_commands.command("purge")
@with_appcontext
@in_a_sentence
def purge_command() -> None:
    """Delete the entries that are older than the setting FEEDBACK_DAYS allows."""
    if _nothing():
        return
    click.echo(f"{_store().purge()} deleted, kept for more than {_store().days} days")


@feedback_commands.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@with_appcontext
@in_a_sentence
def backup_command(file: Path) -> None:
    """Write a consistent copy of all entries to the new FILE.

    The site may keep running meanwhile.  FILE is an SQLite database, also for entries kept in
    PostgreSQL.  It still holds photos that visitors take back later: delete it by the time you
    have promised that these are gone.
    """
    if _nothing():
        return
    count = write_backup(_store().database, file)
    click.echo(f"{count} {'entry is' if count == 1 else 'entries are'} in {file}")


@feedback_commands.command("restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@with_appcontext
@in_a_sentence
def restore_command(file: Path) -> None:
    """Add the entries of a backup, FILE, that are not kept already.

    What visitors have taken back since then is among them.
    """
    _store().database.prepare()
    count = read_backup(_store().database, file)
    click.echo(f"{count} {'entry was' if count == 1 else 'entries were'} added from {file}")


@db_commands.command("upgrade")
@click.option("--sql", is_flag=True, help="Only print the statements, for another program to run.")
@with_appcontext
@in_a_sentence
def upgrade_command(sql: bool) -> None:
    """Create the tables or bring them up to date. The site does this itself if its role may."""
    database = _store().database
    if sql:
        schema.write_sql(database.url.get_backend_name(), sys.stdout)
        return
    changed = database.prepare(migrate=True)
    click.echo(f"The tables {'are now' if changed else 'were already'} of version {schema.HEAD}.")


@db_commands.command("current")
@with_appcontext
@in_a_sentence
def current_command() -> None:
    """Show the version of the tables."""
    if _nothing():
        return
    found = _store().database.version()
    click.echo(
        f"The tables are of version {found}; this site needs {schema.HEAD}."
        if found
        else "There are no tables yet: `flask db upgrade` makes them."
    )


def _nothing() -> bool:
    """Say so where nothing was ever kept: looking would make a file."""
    file = _store().database.file
    if file is None or file.exists():
        return False
    click.echo(f"Nothing is kept: {file} is not there.")
    return True


def _store() -> Store:
    store: Store = current_app.extensions["feedback"]
    return store
