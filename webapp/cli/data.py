"""`flask data`: the images that networks learn from."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask.cli import AppGroup

from model_training.bundles.manage import size
from model_training.datasets.folders.archives import unpacked
from model_training.datasets.folders.class_folders import FolderError
from model_training.datasets.kept import REVIEW, TEST, keep
from model_training.datasets.pictures.remembered import REMEMBERED
from model_training.datasets.sources import write_cache
from model_training.files import whole_file
from webapp.cli.common.bars import Bars
from webapp.cli.common.data_sources import (
    cache_of,
    check_kept,
    data_options,
    find_source,
    kept_folder,
    name_of,
    photo_opener,
)
from webapp.cli.common.remembering import keep_remembered

if TYPE_CHECKING:
    from model_training.datasets.folders.review import FileFacts, Review

REVIEWED_SIDE = 64
"""Pixels that a photo keeps while it is looked at: enough to see whether it is grey."""
SHOWN_PROBLEMS = 10

data_commands = AppGroup("data", help="The images that networks learn from.")


@data_commands.command("fetch")
@data_options
def fetch_command(dataset: str | None, data_path: Path | None, data_name: str | None) -> None:
    """Get a data set of the catalogue, check it, and keep it for training."""
    source = find_source(dataset, data_path, data_name)
    if source.known is None:
        raise click.UsageError(
            f"{data_path} is a data set of your own: there is nothing to fetch. `flask train NAME "
            "--data` with it trains on it."
        )
    data = source.read()
    cache = cache_of(data.name)
    if data_path is not None:
        write_cache(cache, data)
    checked = "every byte checked" if source.known.digest is not None else "checked"
    click.echo(
        f"{data.title} is here: {len(data.train):,} training and {len(data.test):,} test images"
    )
    click.echo(f"from {data.source}, {checked}, kept in {cache}")


@data_commands.command("pack")
@data_options
@click.option(
    "--force", is_flag=True, help="Replace other images that are kept under the same name."
)
def pack_command(
    dataset: str | None, data_path: Path | None, data_name: str | None, force: bool
) -> None:
    """Keep a data set's test images and figures in the form in which pages show them.

    With them go the training images that are shown beside an answer when they are most like the
    photo. `flask train` does all this at its end. Of pictures of your own, this keeps larger ones
    than a network of few pixels sees.
    """
    data = find_source(dataset, data_path, data_name).read()
    if not force:
        check_kept(data)
    try:
        with Bars() as bars:
            kept = keep(kept_folder(data.name), data, bars.until("keeping test images"))
            kept = keep_remembered(dataclasses.replace(kept, remembered=None), data, bars)
    except OSError as error:
        raise click.ClickException(f"A file could not be written ({error}).") from error
    test = size(kept.folder / TEST) / 1e6
    examples = (kept.folder / REMEMBERED).stat().st_size / 1e6
    click.echo(
        f"{kept.folder}: {test:.1f} MB of test images, read back and checked, and {examples:.1f} "
        "MB of the training images that answers are compared with"
    )


@data_commands.command("review")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="What the review is called; by default after the folder.")
@click.option(
    "--files",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.csv",
    help="Write a table of every picture too: hash, width, height, mode, format, orientation, "
    "path and label.",
)
def review_command(folder: Path, name: str | None, files: Path | None) -> None:
    """Look at photos in class folders (FOLDER/CLASS/*.jpg) before training on them.

    FOLDER may be a .tar archive of such a folder.

    Counts, sizes, formats, damaged files, copies and grey pictures go to /dataset/NAME. At the end
    it says whether a network can be trained on the folder, and what stands in the way.
    """
    from model_training.datasets.folders.review import review, write_review

    name = name_of(folder, name)
    path = kept_folder(name) / REVIEW
    try:
        with Bars() as bars, unpacked(folder) as there, _table(files) as on_file:
            opener = photo_opener(REVIEWED_SIDE)
            made = review(there, name, opener, bars.until("looking"), on_file)
        write_review(path, made)
    except FolderError as error:
        raise click.ClickException(f"{error}\nReady to train: no") from error
    except OSError as error:
        raise click.ClickException(
            f"A file or folder could not be read or written ({error})."
        ) from error
    _print_review(made)
    click.echo(f"Written to {path}: the site shows it at /dataset/{name}")
    click.echo(f"Ready to train: {'yes' if made.ready else 'no'}")
    for obstacle in made.obstacles:
        click.echo(f"- {obstacle}")


@contextmanager
def _table(path: Path | None) -> Iterator[Callable[[FileFacts], None]]:
    """Yield what writes a line about a picture into the file `path`, or nothing without one."""
    if path is None:
        yield lambda _facts: None
        return
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        # With its own end of a line: a name with another in it would not be quoted.
        writer = csv.writer(file)
        from model_training.datasets.folders.review import FileFacts

        writer.writerow(field.name for field in dataclasses.fields(FileFacts))
        yield lambda facts: writer.writerow(dataclasses.astuple(facts))
        file.flush()


def _print_review(made: Review) -> None:
    width = max(len("class"), *(len(one.name) for one in made.classes)) + 2
    click.echo(
        f"{'class':<{width}}{'pictures':>9}{'median size':>13}{'grey':>7}{'copies':>8}{'bad':>6}"
    )
    for one in made.classes:
        size = f"{one.median[0]}x{one.median[1]}" if one.median else "-"
        click.echo(
            f"{one.name:<{width}}{one.pictures:>9,}{size:>13}{one.greys:>7,}{one.copies:>8,}"
            f"{one.bad:>6,}"
        )
    for problem in made.bad[:SHOWN_PROBLEMS]:
        click.echo(f"bad: {problem.file}: {problem.what}")
    if len(made.bad) > SHOWN_PROBLEMS:
        click.echo("The page names more of them.")
