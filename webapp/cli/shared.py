"""What several commands share: finding bundles, and bars that show how far one is."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from flask import current_app

from model_training.bundles.bundle import Bundle, BundleError
from model_training.bundles.reading import read_bundle


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
