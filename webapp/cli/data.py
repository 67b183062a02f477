"""`flask data`: the images that networks learn from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

from model_training.datasets.class_folders import FolderError
from model_training.datasets.dataset import CACHE_NAME
from webapp.cli.bars import Bars
from webapp.cli.shared import find_data, name_of_folder, photo_opener
from webapp.library import OVERVIEW_FILE, TEST_IMAGES_FOLDER, review_path

if TYPE_CHECKING:
    from model_training.datasets.review import Review

REVIEWED_SIDE = 64
"""Pixels that a photo keeps while it is looked at: enough to see whether it is grey."""
SHOWN_PROBLEMS = 10

data_commands = AppGroup("data", help="The images that networks learn from.")


@data_commands.command("fetch")
@click.option(
    "--data", "data_path", type=click.Path(path_type=Path), help="A folder or archive to take."
)
def fetch_command(data_path: Path | None) -> None:
    """Get CIFAR-10, check it, and keep it for training."""
    from model_training.datasets.dataset import write_cache

    data = find_data(data_path)
    cache: Path = current_app.config["DATA_FOLDER"] / CACHE_NAME
    if data_path is not None:
        write_cache(cache, data)
    click.echo(f"CIFAR-10 is here: {len(data.train):,} training and {len(data.test):,} test images")
    click.echo(f"from {data.source}, every byte checked, kept in {cache}")


@data_commands.command("pack")
@click.option(
    "--data",
    "data_path",
    type=click.Path(path_type=Path),
    help="A folder or archive of CIFAR-10; otherwise it is found or fetched.",
)
def pack_command(data_path: Path | None) -> None:
    """Write the test images and the figures of the data set in the form in which they ship.

    The gallery and the pages about the data set show them after a restart. They are in the
    repository already: this is for a site that has lost them.
    """
    from model_training.datasets.sprites import read_test_images, write_test_images
    from model_training.datasets.statistics import make_overview, write_overview

    data = find_data(data_path)
    folder: Path = current_app.config["DATA_FOLDER"] / TEST_IMAGES_FOLDER
    write_test_images(folder, data.test)
    read_test_images(folder)
    write_overview(folder.with_name(OVERVIEW_FILE), make_overview(data))
    size = sum(file.stat().st_size for file in folder.iterdir())
    click.echo(f"{folder}: {size / 1e6:.1f} MB, read back and checked")


@data_commands.command("review")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="What the review is called; by default after the folder.")
def review_command(folder: Path, name: str | None) -> None:
    """Look at photos in class folders (FOLDER/cat/*.jpg) before training on them.

    Counts, sizes, formats, damaged files, copies and grey pictures go to /dataset/NAME.
    """
    from model_training.datasets.review import review, write_review

    name = name_of_folder(folder, "--name", name)
    path = review_path(current_app.config["DATA_FOLDER"], name)
    try:
        with Bars() as bars:
            made = review(folder, name, photo_opener(REVIEWED_SIDE), bars.until("looking"))
        write_review(path, made)
    except FolderError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"A file or folder could not be read or written ({error})."
        ) from error
    _print_review(made)
    click.echo(f"Written to {path}: the site shows it at /dataset/{name}")


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
