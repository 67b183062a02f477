"""`flask feedback`: what visitors sent, for whoever runs the site."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import click
from flask import current_app
from flask.cli import AppGroup, with_appcontext
from sqlalchemy.exc import DBAPIError

from webapp.feedback.store import NONE_OF_THESE, Store, StoreError

feedback_commands = AppGroup("feedback", help="The photos that visitors asked to have kept.")


@feedback_commands.command("list")
@with_appcontext
def list_command() -> None:
    """Show every entry: when it came, what a model said, and what the visitor says."""
    try:
        entries = _store().entries()
    except StoreError as error:
        raise _failed(error) from error
    for entry in entries:
        said = f"{entry.model} said {entry.said} ({entry.probabilities[entry.said]:.0%})"
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
def export_command(folder: Path, with_none: bool) -> None:
    """Write the pictures to FOLDER, one folder for each class that visitors named."""
    if folder.exists() and any(folder.iterdir()):
        raise click.ClickException(f"{folder} is not empty. Give the name of a new folder.")
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
    except StoreError as error:
        raise _failed(error) from error
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
def delete_command(numbers: tuple[int, ...], everything: bool, yes: bool) -> None:
    """Delete the entries of these numbers, as `flask feedback list` shows them."""
    if everything == bool(numbers):
        raise click.UsageError("Give the numbers of entries, or --all.")
    if everything and not yes:
        click.confirm("Delete every entry?", abort=True)
    try:
        count = _store().delete(None if everything else numbers)
    except StoreError as error:
        raise _failed(error) from error
    click.echo(f"{count} deleted")


@feedback_commands.command("purge")
@with_appcontext
def purge_command() -> None:
    """Delete what has been kept for long enough (the setting FEEDBACK_DAYS)."""
    try:
        count = _store().purge()
    except StoreError as error:
        raise _failed(error) from error
    click.echo(f"{count} deleted, kept for more than {_store().days} days")


def _store() -> Store:
    store: Store = current_app.extensions["feedback"]
    return store


def _failed(error: StoreError) -> click.ClickException:
    # Of a driver's error its own first line: around it SQLAlchemy puts the statement and a link.
    cause = error.__cause__
    reason = cause.orig if isinstance(cause, DBAPIError) else cause
    lines = str(reason or error.message).strip().splitlines() or ["nobody says why"]
    return click.ClickException(f"The database cannot be used: {lines[0].rstrip('.')}.")
