"""Finding bundles, for every command that takes one."""

from __future__ import annotations

from pathlib import Path

import click
from flask import current_app

from model_training.bundles.bundle import Bundle, BundleError
from model_training.bundles.reading import read_bundle

TAKE_UP = "A running site takes it up with `flask models reload`."


def find_bundle(name: str, param_hint: str = "NAME") -> Bundle:
    """Return the bundle called `name` in the models folder.

    Args:
        param_hint: what the command calls the name.

    Raises:
        click.ClickException: it is not there, or it is damaged.
    """
    folder: Path = current_app.config["MODELS_FOLDER"]
    paths = folder.iterdir() if folder.is_dir() else ()
    there = sorted(path.name for path in paths if path.is_dir() and path.name[0] != ".")
    if name not in there:
        known = ", ".join(there) or "none yet: `flask train custom-cnn` trains the first"
        raise click.BadParameter(
            f"there is no model called {name!r} here. There is: {known}.", param_hint=param_hint
        )
    try:
        return read_bundle(folder / name)
    except (BundleError, OSError) as error:
        raise click.ClickException(f"The bundle {name} is damaged: {error}.") from error
