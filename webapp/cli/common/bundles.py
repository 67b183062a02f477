"""Finding bundles, for every command that takes one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask import current_app

from model_training.bundles.bundle import Bundle, BundleError
from model_training.bundles.reading import read_bundle

COMPARISON, TWIN = "compare", ".json"
"""What stands behind `/models/` for the comparison, and at the end of addresses for programs."""
TAKE_UP = "Run `flask models reload` to load it into a running site."


def folders() -> dict[str, Path]:
    """Return the folder of every bundle, sound or not, by its name."""
    folder: Path = current_app.config["MODELS_FOLDER"]
    paths = sorted(folder.iterdir()) if folder.is_dir() else ()
    return {path.name: path for path in paths if path.is_dir() and path.name[0] != "."}


def check_address(name: str, param_hint: str) -> None:
    """Check that a bundle called `name` can have a page of its own.

    Raises:
        click.BadParameter: its address would be that of another page.
    """
    if name == COMPARISON or name.endswith(TWIN):
        raise click.BadParameter(
            f"a model cannot be called {name!r}: /models/{COMPARISON} and addresses that end in "
            f"{TWIN} are other pages.",
            param_hint=param_hint,
        )


def find_folder(name: str, param_hint: str = "NAME") -> Path:
    """Return the folder of the bundle called `name`, sound or not.

    Raises:
        click.ClickException: it is not there.
    """
    there = folders()
    if name not in there:
        known = ", ".join(there) or "none yet: `flask train custom-cnn` trains the first"
        raise click.BadParameter(
            f"there is no model called {name!r} here. Available: {known}.", param_hint=param_hint
        )
    return there[name]


def find_bundle(name: str, param_hint: str = "NAME") -> Bundle:
    """Return the bundle called `name` in the models folder.

    Args:
        param_hint: what the command calls the name.

    Raises:
        click.ClickException: it is not there, or it is damaged.
    """
    path = find_folder(name, param_hint)
    try:
        return read_bundle(path)
    except (BundleError, OSError) as error:
        raise click.ClickException(f"The bundle {name} is damaged: {error}.") from error


@contextmanager
def kept_whole(name: str) -> Iterator[None]:
    """Say in a sentence that the bundle `name` could not be written.

    Raises:
        click.ClickException: it could not, and is as it was.
    """
    try:
        yield
    except OSError as error:
        raise click.ClickException(
            f"{name} could not be written ({error.strerror or error}). It is as it was: make room, "
            "or see that its folder may be written, and give the same command again."
        ) from error


def say_unsigned(name: str, was_signed: bool) -> None:
    """Say of the bundle `name`, which has just been changed, that its signature is gone."""
    if was_signed or current_app.config["MODELS_PUBLIC_KEY"]:
        gone = "Its signature is gone, since it was changed" if was_signed else "It is not signed"
        click.echo(f"{gone}: `flask models sign {name} --key FILE` signs it.")
