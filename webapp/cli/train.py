"""`flask train`: a recipe becomes a bundle."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask import current_app
from flask.cli import with_appcontext

from model_training.bundles.bundle import is_bundle
from model_training.bundles.manage import BundleExists, free_name
from model_training.naming import SLUG
from model_training.networks.importing import compute_with_onednn
from model_training.recipes.variants import INPUT_CHANGES
from model_training.training import checkpoint
from model_training.training.beginning import UnusableLogs, check_beginning
from model_training.training.options import QUICK_IMAGES, Options
from webapp.cli.common.bundles import check_address, say_unsigned
from webapp.cli.common.data_sources import check_kept, data_options, find_source, keep_data
from webapp.cli.common.preparing import Minutes, recipe_called, say_what_is_resized, weights_for
from webapp.cli.common.results import print_outcome, print_recipes
from webapp.cli.common.together import Together, together_options
from webapp.cli.common.training import help_shown, train_shown
from webapp.cli.tuning.studies import (
    check_overridden,
    check_same_data,
    from_study_options,
    trial_of,
    tuned_recipe,
)

if TYPE_CHECKING:
    from model_training.training.loop import Place


@click.command("train")
@click.argument("name", metavar="NAME", required=False)
@click.option("--list", "list_recipes", is_flag=True, help="List every recipe and its results.")
@click.option("--epochs", type=click.IntRange(1), help="Number of epochs in the last phase.")
@click.option(
    "--minutes",
    type=Minutes(),
    help="Begin no new epoch after this many minutes of training, those before an interruption "
    "included, and measure what was learned by then.",
)
@click.option("--batch-size", type=click.IntRange(1), help="Number of images per step.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@data_options
@from_study_options
@click.option(
    "--output",
    metavar="NAME|FOLDER",
    help="The bundle's name in the models folder, or a folder. By default the recipe's name, "
    "followed by the data set's if it is a different one, -tuned, and -quick (with --limit).",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    help=f"Quick try: train on this many images and test on only {QUICK_IMAGES}.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="A file of ImageNet weights, for a recipe that starts from pretrained weights. By "
    "default Keras downloads its own.",
)
@click.option(
    "--input",
    type=click.Choice(list(INPUT_CHANGES)),
    help="Preprocessing inside the network, computed from the training images.",
)
@click.option(
    "--input-size",
    type=click.IntRange(8, 1024),
    metavar="PIXELS",
    help="Resize images to this many pixels per side, by interpolation in the network.",
)
@click.option(
    "--augmentation",
    type=click.Choice(["none", "strong"]),
    help="Use no augmentation, or stronger augmentation than the recipe does.",
)
@click.option(
    "--balance",
    metavar="NUMBER|smallest",
    help="Use this many images of each class, or as many as the smallest class has. A tenth of "
    "them validates.",
)
@click.option(
    "--report-only",
    is_flag=True,
    help="Leave the network out of the bundle: about half a megabyte, with every page about it.",
)
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write logs for TensorBoard there, and epochs.csv, after each epoch.",
)
@click.option(
    "--all-data",
    is_flag=True,
    help="Train on the validation images too, once every choice has been made. The calibration "
    "comes from the bundle being replaced (--force) or, with another --output, the recipe's own.",
)
@click.option(
    "--deterministic",
    is_flag=True,
    help="Turn on the backend's deterministic mode, so that a seed gives bit-identical weights. "
    "On a CPU this costs about 1 % of the time.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Replace an existing bundle. Without this, only a quick try is replaced, by another of "
    "the same recipe.",
)
@together_options
@click.option("--resume", is_flag=True, help="Resume an interrupted training run.")
@click.option("--restart", is_flag=True, help="Discard an interrupted run and start over.")
@with_appcontext
def train_command(
    name: str | None,
    list_recipes: bool,
    dataset: str | None,
    data_path: Path | None,
    data_name: str | None,
    output: str | None,
    resume: bool,
    restart: bool,
    force: bool,
    tensorboard: Path | None,
    processes: int | None,
    rank: int | None,
    coordinator: str | None,
    **options: Any,
) -> None:
    """Train the recipe NAME, measure it, and write its bundle.

    Ctrl-C stops the training after the current step, or the measuring; --resume continues there.
    """
    if list_recipes:
        print_recipes(current_app.config["MODELS_FOLDER"])
        return
    compute_with_onednn()
    recipe = recipe_called(name)
    if resume and restart:
        raise click.UsageError("--resume and --restart cannot be used together.")
    together = Together.asked(processes, rank, coordinator)
    if tensorboard is not None and importlib.util.find_spec("tensorboard") is None:
        raise click.UsageError(
            "--tensorboard needs TensorBoard: `pip install -r requirements-tensorboard.txt`."
        )
    weights = weights_for(recipe, options["weights"])
    if not resume:
        options["weights"] = weights
    source = find_source(
        dataset,
        data_path,
        data_name,
        default=recipe.data_set,
        # A study of images without a name of their own has called them as itself.
        otherwise=(output and Path(output).name) or options["from_study"],
    )
    called = source.name if source.name != recipe.data_set else None
    usual = Options(**options).bundle_name(recipe.name, called)
    bundle_path = _bundle_path(output or usual)
    options |= {"data": source.own_path, "name": data_name}
    options["dataset"] = called if source.known else None
    told = {"resume": resume, "restart": restart, "replace": force}
    state, study = _state(bundle_path), options["from_study"]
    # Before data are fetched, and long before anything is trained.
    with _said_how_to_go_on(bundle_path, output or usual, options["all_data"], resume):
        if resume:
            options["trial"] = trial_of(state, study, options["trial"])
        recipe = tuned_recipe(recipe, study, options["trial"])
        check_overridden(recipe, options)
        options["trial"] = recipe.tuned and recipe.tuned.trial
    asked = Options(**options)
    if together.helps:
        data = source.read(options["input_size"] or recipe.input_size)
        check_same_data(study, data)
        help_shown(recipe, data, asked, _place(bundle_path, None), together, resume=resume)
        return
    with _said_how_to_go_on(bundle_path, output or usual, asked.all_data, resume, anew=restart):
        if checkpoint.exists(state):
            with checkpoint.claim(state):  # One that is running is not to be gone on with.
                pass
        check_beginning(recipe, asked, bundle_path, state, **told, logs=tensorboard)
    # As large as the network sees them: fewer pixels would be lost, and more cost memory.
    data = source.read(options["input_size"] or recipe.input_size)
    check_kept(data)
    check_same_data(study, data)
    say_what_is_resized(
        recipe,
        data,
        asked.input_size or recipe.input_size,
        fitted=source.is_folder,
        advice="--input-size gives it others.",
    )
    calibrated = current_app.config["MODELS_FOLDER"] / usual
    with _said_how_to_go_on(bundle_path, output or usual, asked.all_data, resume):
        place = _place(bundle_path, tensorboard)
        bundle = train_shown(recipe, data, asked, bundle_path, place, calibrated, told, together)
    print_outcome(bundle)
    say_unsigned(bundle.name, False)
    keep_data(data)


def _bundle_path(output: str) -> Path:
    path = Path(output)
    if not re.fullmatch(SLUG, path.name):
        raise click.BadParameter(
            "a bundle's name has lower-case letters, digits, dots and dashes, and begins with a "
            f"letter or digit; {path.name!r} has not.",
            param_hint="--output",
        )
    check_address(path.name, "--output")
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


def _state(bundle_path: Path) -> Path:
    folder: Path = current_app.config["TRAINING_FOLDER"]
    return folder / bundle_path.name


def _place(bundle_path: Path, logs: Path | None) -> Place:
    from model_training.training.loop import Place

    features: Path = current_app.config["TRAINING_FOLDER"] / "features"
    return Place(_state(bundle_path), features, logs)


@contextmanager
def _said_how_to_go_on(
    bundle_path: Path, output: str, all_data: bool, resume: bool, *, anew: bool = False
) -> Iterator[None]:
    """Turn a refusal to lose something into a sentence that says what can be done instead.

    Args:
        anew: whether an unfinished training that is there is not the one that is refused.
    """
    try:
        yield
    except (checkpoint.CheckpointError, UnusableLogs) as error:
        raise click.ClickException(str(error)) from error
    except BundleExists as error:
        if resume or (checkpoint.exists(_state(bundle_path)) and not anew):
            raise click.ClickException(
                f"{error} It was not there when this training began. The training is kept: give "
                "the same command with --resume --force to replace the bundle, or with --resume "
                "after you have renamed it (`flask models rename`)."
            ) from error
        name = free_name(bundle_path.name, bundle_path.parent, _state(bundle_path).parent)
        free = name if output == bundle_path.name else bundle_path.with_name(name)
        kept = " Its calibration is taken over either way." if all_data else ""
        raise click.ClickException(
            f"{error} Keep both with --output {free}, or replace it with --force.{kept}"
        ) from error
