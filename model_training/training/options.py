"""What one run changes of its recipe, and what other images than its own change of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from pathlib import Path

from model_training.datasets.dataset import DataSet
from model_training.datasets.registry import find_known
from model_training.recipes import Phase, Recipe

LEAST_STEPS = 10
"""Steps of an epoch that a small data set of one's own is given, by smaller batches."""


@dataclass(frozen=True)
class Options:
    """What one run changes of its recipe; None keeps the recipe's own.

    Args:
        dataset: the name of another data set of the catalogue than the recipe's own, for the
            command on the card.
        data: the folder or file of a data set of one's own, for the command on the card.
        name: what that is called, where it is not called after the folder; for the command too.
        epochs: of the last phase.
        batch_size: of every phase.
        weights: a file of pretrained weights.
        all_data: learn from the validation images too.
    """

    dataset: str | None = None
    data: Path | None = None
    name: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seed: int = 0
    limit: int | None = None
    weights: Path | None = None
    all_data: bool = False
    deterministic: bool = False


def with_options(phases: tuple[Phase, ...], options: Options) -> tuple[Phase, ...]:
    """Return `phases` with the epochs and the batch size of `options`."""
    if options.batch_size is not None:
        phases = tuple(replace(phase, batch_size=options.batch_size) for phase in phases)
    return (*phases[:-1], replace(phases[-1], epochs=options.epochs or phases[-1].epochs))


def for_data_set(recipe: Recipe, data: DataSet) -> DataSet:
    """Return `data` with its images as large as the network of `recipe` takes them.

    Raises:
        DataError: the recipe's own data set is not in the catalogue.
    """
    # A network that sees its own images at another size than they have must resize them.
    resizes = find_known(recipe.data_set).image_size != recipe.input_size
    return data.for_network(recipe.input_size, takes_any=resizes)


def for_other_images(recipe: Recipe, side: int, count: int) -> Recipe:
    """Return `recipe`, which is made for another data set, for `count` images to fit.

    Args:
        side: of the images, in pixels.

    Raises:
        DataError: the recipe's own data set is not in the catalogue.
    """
    own = find_known(recipe.data_set).image_size
    most = max(8, count // LEAST_STEPS)
    phases = tuple(
        replace(phase, batch_size=min(phase.batch_size, most)).on_larger(side / own)
        for phase in recipe.phases
    )
    # The figures that were stated and reported are those of CIFAR-10's classes.
    return replace(recipe, phases=phases, parameters=None, reported=None)


def with_grey_of(data: DataSet, phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """Return `phases` with cutout as bright as the training images of `data` are on average."""
    if not any(phase.augmentation.cutout for phase in phases):
        return phases
    grey = round(float(data.mean.mean()))
    return tuple(
        replace(phase, augmentation=replace(phase.augmentation, grey=grey)) for phase in phases
    )


def command(recipe: Recipe, options: Options) -> str:
    """Return the command that repeats a run.  Of a file only its name is told."""
    words = ["flask train", recipe.name]
    for name, value in dataclasses.asdict(options).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words += [option] if value else []
        elif value is not None:
            words.append(f"{option} {value.absolute().name if isinstance(value, Path) else value}")
    return " ".join(words)
