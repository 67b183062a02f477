"""What several commands share: finding CIFAR-10, and bars that show how far something is."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from flask import current_app

from model_training.cifar10_sources import Progress
from model_training.data import Cifar10, DataError, load_cifar10


def find_data(path: Path | None) -> Cifar10:
    """CIFAR-10 from `path`, or wherever it is found; a bar shows how far that is.

    Raises:
        click.ClickException: it is not there, or not CIFAR-10.
    """
    try:
        with _data_progress() as progress:
            return load_cifar10(current_app.config["DATA_FOLDER"], path, progress)
    except DataError as error:
        raise click.ClickException(str(error)) from error


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
