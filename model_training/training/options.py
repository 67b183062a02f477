"""What one run changes of its recipe, what other images than CIFAR-10's change of it, and which
images a run has."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model_training.datasets.dataset import IMAGE_SIZE, DataSet, ImageSet, split
from model_training.recipes import Phase, Recipe

LEAST_STEPS = 10
"""Steps of an epoch that a small data set of one's own is given, by smaller batches."""
QUICK_IMAGES = 500
"""Test images, and training images, on which a quick try (`limit`) is measured, each as it is."""


@dataclass(frozen=True)
class Options:
    """What one run changes of its recipe; None keeps the recipe's own.

    Args:
        data: the folder of a data set of one's own, for the command on the card.
        epochs: of the last phase.
        batch_size: of every phase.
        weights: a file of pretrained weights.
        all_data: learn from the validation images too.
    """

    data: Path | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seed: int = 0
    limit: int | None = None
    weights: Path | None = None
    all_data: bool = False
    deterministic: bool = False


def with_options(phases: tuple[Phase, ...], options: Options) -> tuple[Phase, ...]:
    """`phases` with the epochs and the batch size of `options`."""
    if options.batch_size is not None:
        phases = tuple(replace(phase, batch_size=options.batch_size) for phase in phases)
    return (*phases[:-1], replace(phases[-1], epochs=options.epochs or phases[-1].epochs))


def for_other_images(recipe: Recipe, side: int, count: int) -> Recipe:
    """`recipe`, which is made for CIFAR-10, for `count` images to fit, of `side` pixels."""
    most = max(8, count // LEAST_STEPS)
    phases = tuple(
        replace(phase, batch_size=min(phase.batch_size, most)).on_larger(side / IMAGE_SIZE)
        for phase in recipe.phases
    )
    augmentation = recipe.augmentation
    if side != IMAGE_SIZE:
        augmentation += (
            f" That is how the recipe puts it for pictures of {IMAGE_SIZE} pixels; these have "
            f"{side}, so shifts are as much longer, and nothing is enlarged."
        )
    return replace(recipe, phases=phases, augmentation=augmentation, reported=None)


def command(recipe: Recipe, options: Options) -> str:
    """The command that repeats a run.  Of a file only its name is told."""
    words = ["flask train", recipe.name]
    for name, value in dataclasses.asdict(options).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words += [option] if value else []
        elif value is not None:
            words.append(f"{option} {value.absolute().name if isinstance(value, Path) else value}")
    return " ".join(words)


@dataclass(frozen=True)
class Parts:
    """The images of one run: to fit, to validate on if any, and to test on once.

    `fitted` are those to fit on which it is measured at the end: all of them but in a quick try.
    """

    fit: ImageSet
    validation: ImageSet | None
    test: ImageSet
    fitted: ImageSet

    @classmethod
    def of(cls, data: DataSet, options: Options) -> Parts:
        """Divide `data`: with `limit` only the first so many training images are used, and
        `QUICK_IMAGES` of the others to measure on.

        Raises:
            ValueError: `limit` is not between 100 and the number of images.
        """
        train_set, test, limit = data.train, data.test, options.limit
        if limit is not None:
            if not 100 <= limit <= len(train_set):
                takes = (
                    f"takes a number from 100 to {len(train_set)}, not {limit}"
                    if len(train_set) > 100
                    else f"is for more than the {len(train_set)} images that there are"
                )
                raise ValueError(f"--limit {takes}.")
            train_set, test = train_set.take(np.arange(limit)), some(test, QUICK_IMAGES)
        fit, validation = train_set, None
        if not options.all_data:
            fit, validation = (train_set.take(part) for part in split(train_set.labels))
        return cls(fit, validation, test, fit if limit is None else some(fit, QUICK_IMAGES))


def some(images: ImageSet, count: int) -> ImageSet:
    """Return the first `count` of `images` that have the same share of each class as all, or all of
    them if they are no more."""
    if len(images) <= count:
        return images
    place = np.empty(len(images))
    for label in np.unique(images.labels):
        members = np.flatnonzero(images.labels == label)
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return images.take(np.sort(np.argsort(place, kind="stable")[:count]))
