"""`flask classify`: any number of pictures, a row for each."""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from flask.cli import with_appcontext

from model_training.classifying.cluster.joining import ClusterError
from model_training.classifying.journal import Journal, JournalError
from model_training.classifying.pipeline import BATCH, SMALL_BATCH
from model_training.classifying.rows import Row
from model_training.classifying.sources import Place, SourceError
from model_training.classifying.tables import FORMATS, NoParquet, check_format, write_table
from model_training.files import check_writable
from webapp.cli.classifying.inputs import find_all, places_of
from webapp.cli.classifying.work import Work, in_process, on_cluster
from webapp.cli.common.bars import Bars
from webapp.filters import counted

LONG = 5.0
"""Seconds before the first row that are told apart from the rest."""


@click.command("classify")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="The output file; its extension sets the format: .jsonl, .csv or .parquet.",
)
@click.option(
    "--model", "name", metavar="NAME", help="The model that answers; by default the site's."
)
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
@click.option("--restart", is_flag=True, help="Discard an interrupted run and start over.")
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Number of decoding threads, by default one for each processor; with --ray, number of "
    "processors per worker, by default 1.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 4096),
    metavar="N",
    help=f"Batch size, by default {BATCH}, or {SMALL_BATCH} for a network of 32 pixels.",
)
@click.option(
    "--ray",
    "address",
    metavar="HOST:PORT",
    help="Classify on the Ray cluster whose head node is there (requirements-ray.txt).",
)
@with_appcontext
def classify_command(
    paths: tuple[str, ...],
    output: Path,
    name: str | None,
    force: bool,
    restart: bool,
    threads: int | None,
    batch: int | None,
    address: str | None,
) -> None:
    """Classify every picture under each PATH: a file, a folder, or an archive (.tar, .zip).

    A PATH of `-` reads a list of paths from standard input, one per line; s3://, gs:// and file://
    addresses are read from object stores. A picture that cannot be opened becomes a row with the
    reason. To continue an interrupted run, give the same command again.
    """
    _check_output(output, force)
    found = places_of(paths)
    try:
        work = (
            in_process(name, batch, threads)
            if address is None
            else on_cluster(address, name, batch, threads or 1)
        )
    except ClusterError as error:
        raise click.ClickException(str(error)) from error
    try:
        with Journal(output, work.identity, restart=restart) as journal:
            names, left_out = _find(journal, work, found, output)
            pace = _work(journal, work, found, names, left_out)
            said: Counter[str] = Counter()
            write_table(output, _counted(journal.rows(names), said), work.classes)
            _summarize(said, output, pace)
            journal.remove()
    except JournalError as error:
        raise click.ClickException(str(error)) from error
    except (SourceError, ClusterError) as error:
        raise click.ClickException(
            f"{error} What was done is kept: give the same command again to continue."
        ) from error
    except OSError as error:
        full = " The disk is full." if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise click.ClickException(
            f"{error.filename or output} cannot be written ({error.strerror or error}).{full} What "
            "was done is kept: give the same command again to continue."
        ) from error
    except KeyboardInterrupt:
        click.echo("Stopped. Give the same command again to continue.", err=True)
        raise click.exceptions.Exit(130) from None


@dataclass
class _Pace:
    """How many rows were written in how many seconds, of which so many went before the first."""

    rows: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    first: int = 0

    def add(self, rows: int, seconds: float) -> None:
        """Count `rows` that were written, so many seconds after the beginning."""
        if not self.rows:
            self.first, self.waited = rows, seconds
        self.rows, self.seconds = self.rows + rows, seconds

    def __str__(self) -> str:
        """Return the pace in words."""
        words = f"{self.rows / self.seconds:,.0f} a second"
        later = self.rows - self.first
        # Of a cluster: its workers load the model first.
        if self.waited > LONG and later:
            since = later / max(self.seconds - self.waited, 1e-9)
            words += f"; the first after {self.waited:.0f} s, then {since:,.0f} a second"
        return words


def _find(
    journal: Journal, work: Work, places: list[Place], output: Path
) -> tuple[Collection[str], set[str]]:
    """Return the names of what is asked for and of what is left out; keep what is done of it.

    Raises:
        click.ClickException: it cannot be found, there is none, or nothing can be done for it.
    """
    try:
        if not journal.done:
            work.check()
        names, left_out = find_all(places, (output, journal.path), journal.done)
    except (SourceError, ClusterError) as error:
        raise click.ClickException(str(error)) from error
    if not names:
        raise click.ClickException("No files were found under the given paths.")
    journal.keep(names)
    if journal.done:
        click.echo(f"{_pictures(len(journal.done), 'is', 'are')} done already.", err=True)
    return names.keys(), left_out


def _work(
    journal: Journal,
    work: Work,
    places: list[Place],
    names: Collection[str],
    left_out: set[str],
) -> _Pace:
    """Write a row of each picture called one of `names` that has none.

    Raises:
        ClusterError: a picture got none, of which nobody knows why.
    """
    pace, started = _Pace(), time.perf_counter()
    left = len(names) - len(journal.done)
    if not left:
        return pace
    with Bars() as bars:
        advance = bars.each("pictures", left)
        advance(0)
        for some in work.rows(places, left_out.union(journal.done)):
            # Files that came since then are left to another run.
            rows = [row for row in some if row.file in names]
            journal.add(rows)
            pace.add(len(rows), time.perf_counter() - started)
            advance(len(rows))
    journal.sync()
    if lost := [name for name in names if name not in journal.done]:
        raise ClusterError(f"{_pictures(len(lost), 'has', 'have')} no row, such as {lost[0]}.")
    return pace


def _counted(rows: Iterable[Row], said: Counter[str]) -> Iterator[Row]:
    """Yield `rows`, and count in `said` what they say."""
    for row in rows:
        said[row.verdict or "not opened"] += 1
        yield row


def _summarize(said: Counter[str], output: Path, pace: _Pace) -> None:
    parts = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(said.items()))
    click.echo(f"{_pictures(said.total())}: {parts}.")
    if pace.rows:
        click.echo(f"{pace.rows:,} of them now, {pace}.")
    click.echo(f"Written to {click.format_filename(output)}.")


def _pictures(count: int, one: str = "", more: str = "") -> str:
    return f"{counted(count, 'picture')} {one if count == 1 else more}".rstrip()


def _check_output(output: Path, force: bool) -> None:
    """Say what is wrong with `output` before anything is done for it."""
    if output.suffix.lower() not in FORMATS:
        raise click.BadParameter(
            f"{output} ends in none of {', '.join(FORMATS)}.", param_hint="--output"
        )
    try:
        check_format(output)
    except NoParquet as error:
        raise click.ClickException(str(error)) from error
    if os.path.exists(output) and not force:
        raise click.BadParameter(
            f"{output} already exists. Choose another name, or overwrite it with --force.",
            param_hint="--output",
        )
    if not output.absolute().parent.is_dir():
        raise click.BadParameter(
            f"the folder {output.parent} does not exist: create it first.", param_hint="--output"
        )
    try:
        check_writable(output)
    except OSError as error:
        raise click.BadParameter(
            f"{output} cannot be written: {error.strerror}.", param_hint="--output"
        ) from error
