"""Progress of a command: a bar for each stage on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from webapp.filters import duration

LINE_EVERY = 300
"""Seconds between the lines that a log has of one stage: an epoch may take much longer."""


class Bars:
    """Shows one stage at a time, on standard error; a context that ends the last one.

    A stage begins when it is first named, and ends when all of it is done or another begins.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._has_bars = self._console.is_terminal and not self._console.is_dumb_terminal
        self._stage: str | None = None
        self._finished: str | None = None
        self._done = self._total = 0
        self._done_then = 0  # When it was last told.
        self._started = self._told = 0.0
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def show(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` are done in `stage`."""
        if stage == self._finished and done >= total:
            return  # Some tell more than once that they are done.
        if stage != self._stage or done < self._done:
            self._end()
            self._begin(stage, done, total)
        self._done, self._total = done, total
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)
        if done >= total:
            self._end()
            self._finished = stage
        elif self._bar is None and time.monotonic() - self._told >= LINE_EVERY:
            self._tell()

    def each(self, stage: str, total: int) -> Callable[[int], None]:
        """Return a function that is told how many more of `total` are done in `stage`."""
        done = 0

        def show(count: int) -> None:
            nonlocal done
            done += count
            self.show(stage, done, total)

        return show

    def until(self, stage: str) -> Callable[[int, int], None]:
        """Return a function that is told how many of how many are done in `stage`."""
        return lambda done, total: self.show(stage, done, total)

    def echo(self, text: str) -> None:
        """Print a line of the command's own to standard output, above the bar if there is one."""
        if self._bar is not None and sys.stdout.isatty():
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(text)

    def _begin(self, stage: str, done: int, total: int) -> None:
        self._stage, self._finished, self._done_then = stage, None, done
        self._started = self._told = time.monotonic()
        if not self._has_bars:
            click.echo(f"{stage}: {total - done:,} to do", err=True)
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self._console,
            # What is printed to a file belongs there, also while a bar is on the screen.
            redirect_stdout=False,
            redirect_stderr=False,
            speed_estimate_period=600,  # A step may take a minute.
        )
        self._task = self._bar.add_task(stage, total=total, completed=done)
        self._bar.start()

    def _tell(self) -> None:
        # At the pace since the last line: a step of every layer takes a hundred times as long as
        # one of a head, and both are steps of one training.
        now = time.monotonic()
        left = ""
        if done := self._done - self._done_then:
            seconds = (now - self._told) / done * (self._total - self._done)
            left = f", about {duration(seconds)} left"
        self._told, self._done_then = now, self._done
        click.echo(f"{self._stage}: {self._done:,} of {self._total:,}{left}", err=True)

    def _end(self) -> None:
        if self._stage is None:
            return
        if self._bar is not None:
            self._bar.stop()
        else:
            seconds = time.monotonic() - self._started
            click.echo(
                f"{self._stage}: {self._done:,} of {self._total:,} done, {seconds:.0f} s", err=True
            )
        self._stage = self._bar = None
        self._done = 0
