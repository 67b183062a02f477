"""The `flask` commands: parse, call `model_training`, print."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

from model_training import checkpoint
from model_training.bundle import is_bundle
from model_training.card import BUNDLE_NAME
from model_training.cifar10_sources import Progress
from model_training.data import CACHE_NAME, Cifar10, DataError, load_cifar10
from model_training.recipes import Recipe, UnknownRecipe, find_recipe
from webapp.library import TEST_IMAGES_FOLDER

if TYPE_CHECKING:
    from model_training.bundle import Bundle
    from model_training.history import Epoch

data_commands = AppGroup("data", help="The images that networks learn from.")


def init_app(app: Flask) -> None:
    """Give `app` its commands."""
    app.cli.add_command(train_command)
    app.cli.add_command(data_commands)


@click.command("train")
@click.argument("name", metavar="NAME")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training images.")
@click.option("--batch-size", type=click.IntRange(1), help="Images a step.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--data",
    "data_path",
    type=click.Path(path_type=Path),
    help="A folder or archive of CIFAR-10; otherwise it is found or fetched.",
)
@click.option(
    "--output",
    metavar="NAME|FOLDER",
    help="The bundle's name in the models folder, or a folder. By default the recipe's name, "
    "with -quick behind it for a --limit run.",
)
@click.option("--limit", type=click.IntRange(1), help="A quick try on so many images.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted training.")
@click.option("--restart", is_flag=True, help="Throw an interrupted training away.")
@with_appcontext
def train_command(
    name: str,
    epochs: int | None,
    batch_size: int | None,
    seed: int,
    data_path: Path | None,
    output: str | None,
    limit: int | None,
    resume: bool,
    restart: bool,
) -> None:
    """Train the recipe NAME, measure it, and write its bundle.

    Ctrl-C stops after the current step; --resume goes on from there.
    """
    if resume and restart:
        raise click.UsageError("--resume and --restart exclude each other.")
    try:
        recipe = find_recipe(name)
    except UnknownRecipe as error:
        raise click.UsageError(str(error)) from error
    bundle_path = _bundle_path(output or (f"{name}-quick" if limit else name))
    state_folder: Path = current_app.config["TRAINING_FOLDER"] / bundle_path.name
    data = _load_data(data_path)
    options: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    bundle = _train(
        recipe,
        data,
        options | {"limit": limit},
        bundle_path,
        state_folder,
        resume=resume,
        restart=restart,
    )
    _print_outcome(bundle, bundle_path)


@data_commands.command("fetch")
@click.option(
    "--data", "data_path", type=click.Path(path_type=Path), help="A folder or archive to take."
)
def fetch_command(data_path: Path | None) -> None:
    """Get CIFAR-10, check it, and keep it for training."""
    from model_training.data import write_cache

    data = _load_data(data_path)
    cache: Path = current_app.config["DATA_FOLDER"] / CACHE_NAME
    if data_path is not None:
        write_cache(cache, data)
    click.echo(f"CIFAR-10 is here: {len(data.train):,} training and {len(data.test):,} test images")
    click.echo(f"from {data.source}, every byte checked, kept in {cache}")


@data_commands.command("pack")
@click.option("--data", "data_path", type=click.Path(path_type=Path))
def pack_command(data_path: Path | None) -> None:
    """Write the gallery's test images in the form in which they ship."""
    from model_training.sheets import read_test_images, write_test_images

    folder: Path = current_app.config["DATA_FOLDER"] / TEST_IMAGES_FOLDER
    write_test_images(folder, _load_data(data_path).test)
    read_test_images(folder)
    size = sum(file.stat().st_size for file in folder.iterdir())
    click.echo(f"{folder}: {size / 1e6:.1f} MB, read back and checked")


def _bundle_path(output: str) -> Path:
    path = Path(output)
    if not re.fullmatch(BUNDLE_NAME, path.name):
        raise click.BadParameter(
            "a bundle's name has lower-case letters, digits, dots and dashes, and begins with a "
            f"letter or digit; {path.name!r} has not.",
            param_hint="--output",
        )
    if output == path.name:
        path = current_app.config["MODELS_FOLDER"] / path
    # The bundle takes the place of what is there, which had better be a bundle.
    if path.exists() and not is_bundle(path) and not (path.is_dir() and not any(path.iterdir())):
        raise click.BadParameter(
            f"{path} is there already and is not a bundle, so it is not replaced. Give the name of "
            "a new folder.",
            param_hint="--output",
        )
    return path.absolute()


def _load_data(path: Path | None) -> Cifar10:
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


def _train(
    recipe: Recipe,
    data: Cifar10,
    options: dict[str, Any],
    bundle_path: Path,
    state_folder: Path,
    *,
    resume: bool,
    restart: bool,
) -> Bundle:
    # Here, so that `flask --help` does not wait for a deep-learning framework.
    from model_training.run import Options, run
    from model_training.training import Interrupted, Watcher

    bars: list[Any] = []

    def start(done: int, total: int) -> None:
        note = f" (resumed after {done:,} of {total:,} steps)" if done else ""
        click.echo(f"Training {recipe.title}: {recipe.parameters:,} parameters{note}")
        bar = click.progressbar(
            length=total - done, label="training", show_pos=True, show_eta=True, file=sys.stderr
        )
        bars.append(bar.__enter__())

    watcher = Watcher(start, lambda steps: bars[0].update(steps), lambda row: _print_epoch(row))
    try:
        return run(
            recipe,
            data,
            Options(**options),
            bundle_path,
            state_folder,
            resume=resume,
            restart=restart,
            watcher=watcher,
        )
    except Interrupted as error:
        raise click.ClickException(
            "Stopped. Everything is kept: give the same command with --resume to go on."
        ) from error
    except (checkpoint.CheckpointError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"The disk would not take it ({error}). The bundle that was there before is whole; "
            "make room and go on with --resume."
        ) from error
    finally:
        for bar in bars:
            bar.__exit__(None, None, None)


def _print_epoch(row: Epoch) -> None:
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)  # The progress bar is on this line.
    click.echo(
        f"epoch {row.epoch:3d}  loss {row.loss:.4f}  accuracy {row.accuracy:.4f}  "
        f"validation {row.validation_loss:.4f} {row.validation_accuracy:.4f}  {row.seconds:.0f} s"
    )


def _print_outcome(bundle: Bundle, path: Path) -> None:
    card = bundle.card
    click.echo(f"\n{card.title}, {card.training.epochs} epochs, {card.training.seconds:.0f} s")
    for part, metrics in card.metrics.items():
        click.echo(
            f"  {part:<11} accuracy {metrics.accuracy:.4f}  loss {metrics.loss:.4f}  "
            f"({metrics.images:,} images)"
        )
    if card.reported:
        click.echo(f"  reported    accuracy {card.reported.test_accuracy:.4f}")
    click.echo(f"Written to {path}. Restart the site to see it.")
