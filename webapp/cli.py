"""The `flask` commands: parse, call `model_training`, print."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

from model_training import checkpoint
from model_training.bundle import BundleError, is_bundle, read_bundles
from model_training.card import BUNDLE_NAME
from model_training.cifar10_sources import Progress
from model_training.data import CACHE_NAME, Cifar10, DataError, load_cifar10
from model_training.recipes import RECIPES, Recipe, UnknownRecipe, find_recipe
from webapp.library import OVERVIEW_FILE, TEST_IMAGES_FOLDER

if TYPE_CHECKING:
    from model_training.bundle import Bundle
    from model_training.history import Epoch

data_commands = AppGroup("data", help="The images that networks learn from.")


def init_app(app: Flask) -> None:
    """Give `app` its commands."""
    from webapp.audit_command import audit_command

    data_commands.add_command(audit_command)
    app.cli.add_command(train_command)
    app.cli.add_command(data_commands)


@click.command("train")
@click.argument("name", metavar="NAME", required=False)
@click.option("--list", "list_recipes", is_flag=True, help="Show every recipe and what it reached.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the images, in the last phase.")
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
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="A file of ImageNet weights, for a recipe that begins with some. Otherwise Keras "
    "downloads its own.",
)
@click.option(
    "--all-data",
    is_flag=True,
    help="Learn from the validation images too, with every choice made. The calibration is that "
    "of the bundle that is replaced.",
)
@click.option(
    "--deterministic",
    is_flag=True,
    help="Turn on the backend's switches, so that a seed gives the same weights to the last bit. "
    "On a processor that costs about 1 % of the time.",
)
@click.option("--resume", is_flag=True, help="Go on with an interrupted training.")
@click.option("--restart", is_flag=True, help="Throw an interrupted training away.")
@with_appcontext
def train_command(
    name: str | None,
    list_recipes: bool,
    data_path: Path | None,
    output: str | None,
    resume: bool,
    restart: bool,
    **options: Any,
) -> None:
    """Train the recipe NAME, measure it, and write its bundle.

    Ctrl-C stops after the current step; --resume goes on from there.
    """
    if list_recipes:
        _print_recipes()
        return
    if name is None:
        raise click.UsageError("Which recipe? `flask train --list` shows them all.")
    if resume and restart:
        raise click.UsageError("--resume and --restart exclude each other.")
    try:
        recipe = find_recipe(name)
    except UnknownRecipe as error:
        raise click.UsageError(str(error)) from error
    if options["weights"] is not None and recipe.pretrained is None:
        raise click.UsageError(f"{name} is trained from scratch; it takes no --weights.")
    bundle_path = _bundle_path(output or (f"{name}-quick" if options["limit"] else name))
    data = load_data(data_path)
    bundle = _train(recipe, data, options, bundle_path, resume=resume, restart=restart)
    _print_outcome(bundle, bundle_path)


@data_commands.command("fetch")
@click.option(
    "--data", "data_path", type=click.Path(path_type=Path), help="A folder or archive to take."
)
def fetch_command(data_path: Path | None) -> None:
    """Get CIFAR-10, check it, and keep it for training."""
    from model_training.data import write_cache

    data = load_data(data_path)
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

    data = load_data(data_path)
    folder: Path = current_app.config["DATA_FOLDER"] / TEST_IMAGES_FOLDER
    write_test_images(folder, data.test)
    read_test_images(folder)
    write_overview(folder.with_name(OVERVIEW_FILE), make_overview(data))
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


def load_data(path: Path | None) -> Cifar10:
    """CIFAR-10, with progress shown; from `path` alone where there is one.

    Raises:
        click.ClickException: it could not be had; the message says what to do.
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


def _train(
    recipe: Recipe,
    data: Cifar10,
    options: dict[str, Any],
    bundle_path: Path,
    *,
    resume: bool,
    restart: bool,
) -> Bundle:
    # Here, so that `flask --help` does not wait for a deep-learning framework.
    from model_training.pretrained import WeightsError
    from model_training.run import Options, run
    from model_training.training import Interrupted, Place, Watcher

    steps_left = 0

    def start(done: int, total: int) -> None:
        nonlocal steps_left
        steps_left = total - done
        note = f" (resumed after {done:,} of {total:,} steps)" if done else ""
        click.echo(f"Training {recipe.title}: {recipe.parameters:,} parameters{note}")

    def step(count: int) -> None:
        nonlocal steps_left
        bars.advance("training", count, steps_left)
        steps_left -= count

    folder: Path = current_app.config["TRAINING_FOLDER"]
    place = Place(folder / bundle_path.name, folder / "features")
    with Bars() as bars:
        watcher = Watcher(
            on_start=start,
            on_step=step,
            on_epoch=_print_epoch,
            on_features=lambda count, total: bars.advance("frozen layers", count, total),
        )
        try:
            return run(
                recipe,
                data,
                Options(**options),
                bundle_path,
                place,
                resume=resume,
                restart=restart,
                watcher=watcher,
            )
        except Interrupted as error:
            raise click.ClickException(
                "Stopped. Everything is kept: give the same command with --resume to go on."
            ) from error
        except (checkpoint.CheckpointError, WeightsError, BundleError, ValueError) as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            again = "go on with --resume" if checkpoint.exists(place.state) else "start again"
            raise click.ClickException(
                f"A file could not be read or written ({error}). The bundle that was there before "
                f"is whole. Where the disk is full, make room and {again}."
            ) from error


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

    def until(self, label: str) -> Callable[[int, int], None]:
        """A function that shows how much of a total is done, under `label`."""
        before = 0

        def show(done: int, total: int) -> None:
            nonlocal before
            self.advance(label, done - before, total - before)
            before = done

        return show


def _print_recipes() -> None:
    bundles, _damaged = read_bundles(current_app.config["MODELS_FOLDER"])
    ours = {one.name: one.card for one in bundles if one.name == one.card.recipe}
    click.echo(
        f"{'recipe':<23}{'parameters':>11}{'reported':>10}{'ours':>8}{'averaged':>10}  title"
    )
    for recipe in RECIPES.values():
        reported = f"{recipe.reported.test_accuracy:.3f}" if recipe.reported else "-"
        card = ours.get(recipe.name)
        plain = f"{card.metrics['test'].accuracy:.4f}" if card else "-"
        averaged = f"{card.averaged['test'].accuracy:.4f}" if card and card.averaged else "-"
        click.echo(
            f"{recipe.name:<23}{recipe.parameters:>11,}{reported:>10}{plain:>8}{averaged:>10}  "
            f"{recipe.title}"
        )


def _print_epoch(row: Epoch) -> None:
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)  # The progress bar is on this line.
    validation = ""
    if row.validation_loss is not None and row.validation_accuracy is not None:
        validation = f"validation {row.validation_loss:.4f} {row.validation_accuracy:.4f}  "
    click.echo(
        f"epoch {row.epoch:3d}  loss {row.loss:.4f}  accuracy {row.accuracy:.4f}  "
        f"{validation}{row.seconds:.0f} s"
    )


def _print_outcome(bundle: Bundle, path: Path) -> None:
    card = bundle.card
    epochs = f"{card.training.epochs} epoch{'s' if card.training.epochs != 1 else ''}"
    click.echo(f"\n{card.title}, {epochs}, {card.training.seconds:.0f} s")
    for part, metrics in card.metrics.items():
        click.echo(
            f"  {part:<11} accuracy {metrics.accuracy:.4f}  loss {metrics.loss:.4f}  "
            f"({metrics.images:,} images)"
        )
    for part, metrics in card.averaged.items():
        click.echo(f"  {part:<11} accuracy {metrics.accuracy:.4f}  with test-time augmentation")
    if card.reported:
        click.echo(f"  reported    accuracy {card.reported.test_accuracy:.4f}")
    click.echo(f"Written to {path}. Restart the site to see it.")
