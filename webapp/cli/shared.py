"""What several commands share: finding data, bundles and names."""

from __future__ import annotations

import re
from pathlib import Path

import click
from flask import current_app

from model_training.bundles.bundle import Bundle, BundleError, read_bundle
from model_training.bundles.card import BUNDLE_NAME
from model_training.datasets.class_folders import Opener
from model_training.datasets.dataset import Cifar10, DataError, load_cifar10
from model_training.datasets.opener import open_photo
from webapp.cli.bars import Bars


def find_data(path: Path | None) -> Cifar10:
    """CIFAR-10 from `path`, or wherever it is found; a bar shows how far that is.

    Raises:
        click.ClickException: it is not there, or not CIFAR-10.
    """
    try:
        with Bars() as bars:
            return load_cifar10(current_app.config["DATA_FOLDER"], path, bars.show)
    except DataError as error:
        raise click.ClickException(str(error)) from error


def find_bundle(name: str) -> Bundle:
    """The bundle called `name` in the models folder.

    Raises:
        click.ClickException: it is not there, or it is damaged.
    """
    folder: Path = current_app.config["MODELS_FOLDER"]
    paths = folder.iterdir() if folder.is_dir() else ()
    there = sorted(path.name for path in paths if path.is_dir() and path.name[0] != ".")
    if name not in there:
        known = ", ".join(there) or "none yet: `flask train custom-cnn` trains the first"
        raise click.BadParameter(
            f"there is no model called {name!r} here. There is: {known}.", param_hint="NAME"
        )
    try:
        return read_bundle(folder / name)
    except (BundleError, OSError) as error:
        raise click.ClickException(f"The bundle {name} is damaged: {error}.") from error


def photo_opener(side: int) -> Opener:
    """Opens pictures for training with the care that a visitor's get.

    Args:
        side: pixels that the shorter side should keep.
    """
    most = current_app.config["MAX_PHOTO_PIXELS"]
    # The longer side is what is reduced, and few pictures are four times as long as wide.
    return lambda data: open_photo(data, max_pixels=most, working_side=4 * side)


def name_of_folder(
    folder: Path, option: str, given: str | None = None, otherwise: str | None = None
) -> str:
    """What the data set in `folder` is called: as `given`, or else after the folder.

    Args:
        option: what to give another name with.
        otherwise: what to call it where the folder's name has no letter or digit that a name may
            have, as one in Chinese has not.

    Raises:
        click.BadParameter: that is no name.
    """
    after_it = re.sub(r"[^a-z0-9.-]+", "-", folder.resolve().name.lower()).strip("-.")[:64]
    name = given or after_it or otherwise or ""
    if not re.fullmatch(BUNDLE_NAME, name):
        raise click.BadParameter(
            "a name has lower-case letters, digits, dots and dashes, and begins with a letter or "
            f"digit; {name!r} has not.",
            param_hint=option,
        )
    return name
