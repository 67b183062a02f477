"""`flask data`: the images that networks learn from."""

from __future__ import annotations

from pathlib import Path

import click
from flask import current_app
from flask.cli import AppGroup

from model_training.data import CACHE_NAME
from webapp.cli.shared import find_data
from webapp.library import OVERVIEW_FILE, TEST_IMAGES_FOLDER

data_commands = AppGroup("data", help="The images that networks learn from.")


@data_commands.command("fetch")
@click.option(
    "--data", "data_path", type=click.Path(path_type=Path), help="A folder or archive to take."
)
def fetch_command(data_path: Path | None) -> None:
    """Get CIFAR-10, check it, and keep it for training."""
    from model_training.data import write_cache

    data = find_data(data_path)
    cache: Path = current_app.config["DATA_FOLDER"] / CACHE_NAME
    if data_path is not None:
        write_cache(cache, data)
    click.echo(f"CIFAR-10 is here: {len(data.train):,} training and {len(data.test):,} test images")
    click.echo(f"from {data.source}, every byte checked, kept in {cache}")


@data_commands.command("pack")
@click.option("--data", "data_path", type=click.Path(path_type=Path))
def pack_command(data_path: Path | None) -> None:
    """Write the test images and the figures of the data set in the form in which they ship."""
    from model_training.overview import make_overview, write_overview
    from model_training.sheets import read_test_images, write_test_images

    data = find_data(data_path)
    folder: Path = current_app.config["DATA_FOLDER"] / TEST_IMAGES_FOLDER
    write_test_images(folder, data.test)
    read_test_images(folder)
    write_overview(folder.with_name(OVERVIEW_FILE), make_overview(data))
    size = sum(file.stat().st_size for file in folder.iterdir())
    click.echo(f"{folder}: {size / 1e6:.1f} MB, read back and checked")
