"""`flask classify`: any number of pictures, a row for each."""

from __future__ import annotations

import errno
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
from flask.cli import with_appcontext

from model_training.classifying.journal import Journal, JournalError
from model_training.classifying.pipeline import BATCH, Limits, classify
from model_training.classifying.sources import (
    Picture,
    SourceError,
    count_pictures,
    find_pictures,
)
from model_training.classifying.tables import FORMATS, NoParquet, check_format, write_table
from webapp.answering.received import limits
from webapp.cli.common.bars import Bars
from webapp.cli.common.classifiers import default_classifier, named_classifier
from webapp.serving.classifier import Classifier


@click.command("classify")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="Where the rows go; its ending says how: .jsonl, .csv or .parquet.",
)
@click.option(
    "--model", "name", metavar="NAME", help="The model that answers; by default the site's."
)
@click.option("--force", is_flag=True, help="Write over a FILE that is there.")
@click.option("--restart", is_flag=True, help="Throw away what an interrupted run has done.")
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    metavar="N",
    help="How many decode; by default as many as there are processors.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 4096),
    default=BATCH,
    show_default=True,
    metavar="N",
    help="Pictures that go through the network together.",
)
@with_appcontext
def classify_command(
    paths: tuple[str, ...],
    output: Path,
    name: str | None,
    force: bool,
    restart: bool,
    threads: int | None,
    batch: int,
) -> None:
    """Classify every picture under each PATH: a file, a folder, or an archive (.tar, .zip).

    A PATH of `-` stands for a list of paths on standard input, one a line. A picture that cannot be
    opened is a row that says why. The same command goes on where an interrupted one ended.
    """
    _check_output(output, force)
    found = _paths(paths)
    try:
        total = count_pictures(found)
    except SourceError as error:
        raise click.ClickException(str(error)) from error
    if not total:
        raise click.ClickException("There is no file under what was named.")
    classifier = named_classifier(name) if name else default_classifier()
    try:
        with Journal(output, _identity(classifier), restart=restart) as journal:
            if journal.done:
                click.echo(f"{len(journal.done):,} pictures are done already.", err=True)
            seconds, done = _work(journal, classifier, found, total, batch, threads)
            write_table(output, journal.rows(), classifier.classes)
            _summarize(journal, output, done, seconds)
            journal.remove()
    except JournalError as error:
        raise click.ClickException(str(error)) from error
    except SourceError as error:
        raise click.ClickException(f"{error} What was done is kept.") from error
    except OSError as error:
        full = " The disk is full." if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise click.ClickException(
            f"{error.filename or output} cannot be written ({error.strerror or error}).{full} What "
            "was done is kept: the same command goes on from there."
        ) from error
    except KeyboardInterrupt:
        click.echo("Stopped. The same command goes on from there.", err=True)
        raise click.exceptions.Exit(130) from None


def _work(
    journal: Journal,
    classifier: Classifier,
    paths: list[Path],
    total: int,
    batch: int,
    threads: int | None,
) -> tuple[float, int]:
    """Write a row of each picture that has none; return the seconds, and how many they were."""
    allowed = limits()
    size = Limits(allowed.photo_bytes, allowed.photo_pixels)
    done, started = 0, time.perf_counter()
    with Bars() as bars:
        advance = bars.each("pictures", total - len(journal.done))
        for rows in classify(
            _left(paths, journal.done),
            classifier.judge,
            classifier.backend,
            size,
            batch=batch,
            threads=threads,
        ):
            journal.add(rows)
            done += len(rows)
            advance(len(rows))
    return time.perf_counter() - started, done


def _left(paths: list[Path], done: set[str]) -> Iterator[Picture]:
    seen = set(done)
    for picture in find_pictures(paths):
        if picture.name not in seen:  # Two paths may lead to one picture.
            seen.add(picture.name)
            yield picture


def _summarize(journal: Journal, output: Path, done: int, seconds: float) -> None:
    said = Counter(row.verdict or "not opened" for row in journal.rows())
    parts = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(said.items()))
    click.echo(f"{said.total():,} pictures: {parts}.")
    if done:
        click.echo(f"{done:,} of them now, {done / seconds:,.0f} a second.")
    click.echo(f"Written to {output}.")


def _paths(paths: tuple[str, ...]) -> list[Path]:
    listed = []
    for path in paths:
        if path == "-":
            listed += [Path(line.rstrip("\r\n")) for line in sys.stdin if line.strip()]
        else:
            listed.append(Path(path))
    return listed


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
    if output.exists() and not force:
        raise click.BadParameter(
            f"{output} is there already. Name another, or write over it with --force.",
            param_hint="--output",
        )
    if not output.absolute().parent.is_dir():
        raise click.BadParameter(
            f"there is no folder {output.parent}: make it first.", param_hint="--output"
        )


def _identity(classifier: Classifier) -> dict[str, str]:
    """Return what decides what is said of a picture: a run with another is another run."""
    card = classifier.bundle.card
    return {
        "model": classifier.name,
        "network": card.files["model.keras"],
        "judge": card.files["judge.npz"],
    }
