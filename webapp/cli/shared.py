"""What several commands share: finding data and bundles, and bars that show how far one is."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from flask import current_app

from model_training.bundles.bundle import Bundle, BundleError
from model_training.bundles.reading import read_bundle
from model_training.datasets.catalog.cifar10 import load as load_cifar10
from model_training.datasets.catalog.cifar10_sources import Progress
from model_training.datasets.dataset import DataError, DataSet
from model_training.datasets.folders.class_folders import Opener
from model_training.datasets.pictures.opener import open_photo
from model_training.naming import SLUG


def find_data(path: Path | None) -> DataSet:
    """CIFAR-10 from `path`, or wherever it is found; a bar shows how far that is.

    Raises:
        click.ClickException: it is not there, or not CIFAR-10.
    """
    try:
        with _data_progress() as progress:
            return load_cifar10(current_app.config["DATA_FOLDER"], path, progress)
    except DataError as error:
        raise click.ClickException(str(error)) from error


def find_bundle(name: str, param_hint: str = "NAME") -> Bundle:
    """The bundle called `name` in the models folder.

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
    if not re.fullmatch(SLUG, name):
        raise click.BadParameter(
            "a name has lower-case letters, digits, dots and dashes, and begins with a letter or "
            f"digit; {name!r} has not.",
            param_hint=option,
        )
    return name


@contextlib.contextmanager
def _data_progress() -> Iterator[Progress]:
    with contextlib.ExitStack() as shown:
        doing_now, bar = "", None

        def progress(doing: str, done: int, total: int) -> None:
            nonlocal doing_now, bar
            if bar is None or doing != doing_now:
                shown.close()
                label = f"{doing:<12}"
                bar = shown.enter_context(
                    click.progressbar(length=total, label=label, file=sys.stderr)
                )
                doing_now = doing
            bar.update(done - bar.pos)

        yield progress


class Bars(contextlib.ExitStack):
    """Progress bars, one at a time: another label, or a full bar, makes room for a new one."""

    _label: str | None = None
    _bar: Any = None

    def advance(self, label: str, count: int, left: int) -> None:
        """Move on by `count`; a bar that begins now is `left` long."""
        if label != self._label or self._bar.finished:
            self.close()
            self._label = label
            self._bar = self.enter_context(
                click.progressbar(
                    length=left, label=label, show_pos=True, show_eta=True, file=sys.stderr
                )
            )
        self._bar.update(count)

    def each(self, label: str, total: int) -> Callable[[int], None]:
        """A function that is told how many more of `total` are done, under `label`."""
        left = total

        def show(count: int) -> None:
            nonlocal left
            self.advance(label, count, left)
            left -= count

        return show

    def until(self, label: str) -> Callable[[int, int], None]:
        """A function that shows how much of a total is done, under `label`."""
        before = 0

        def show(done: int, total: int) -> None:
            nonlocal before
            self.advance(label, done - before, total - before)
            before = done

        return show
