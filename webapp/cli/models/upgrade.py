"""`flask models upgrade`: bundles of an earlier version, brought up to date without training."""

from __future__ import annotations

from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from model_training.bundles.bundle import SIGNATURE, BundleError
from model_training.bundles.upgrade import is_outdated, upgrade
from webapp.cli.common.bundles import say_unsigned


@click.command("upgrade")
@click.argument("name", metavar="[NAME]", required=False)
@with_appcontext
def upgrade_command(name: str | None) -> None:
    """Bring the bundle NAME, or every one of an earlier version, up to date.

    Its network and its figures stay as they are, to the last bit. A bundle that cannot be brought
    up to date stays as it was.
    """
    folder: Path = current_app.config["MODELS_FOLDER"]
    children = sorted(folder.iterdir()) if folder.is_dir() else []
    there = {path.name: path for path in children if path.is_dir() and path.name[0] != "."}
    if name is not None and name not in there:
        known = ", ".join(there) or "none yet"
        raise click.BadParameter(
            f"there is no model called {name!r} here. Available: {known}.", param_hint="NAME"
        )
    chosen = there if name is None else {name: there[name]}
    outdated = [path for path in chosen.values() if is_outdated(path)]
    if not outdated:
        click.echo(f"{name} is up to date." if name else "Every model is up to date.")
        return
    done = [path for path in outdated if _upgraded(path)]
    if done:
        them = "it" if len(done) == 1 else "them"
        click.echo(f"Run `flask models reload` to load {them} into a running site.")
    if len(done) < len(outdated):
        raise click.exceptions.Exit(1)


def _upgraded(path: Path) -> bool:
    """Bring the bundle in `path` up to date and say so, or say why not."""
    was_signed = (path / SIGNATURE).is_file()
    try:
        bundle = upgrade(path)
    except BundleError as error:
        click.echo(f"{path.name}: not brought up to date, and left as it was: {error}.", err=True)
        return False
    except OSError as error:
        click.echo(
            f"{path.name}: not brought up to date, and left as it was: it could not be written "
            f"({error}). Where the disk is full or read-only, mend that and start again.",
            err=True,
        )
        return False
    size = sum(file.stat().st_size for file in bundle.files.values())
    click.echo(f"{path.name}: brought up to date, {size / 1e6:.1f} MB.")
    say_unsigned(path.name, was_signed)
    if bundle.judge is None and bundle.model_path is not None:
        click.echo(
            f"It cannot answer photos before it has a judge: `flask calibrate {path.name}` makes "
            "one."
        )
    return True
