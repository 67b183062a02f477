"""What one run changes of its recipe, what other images than its own change of it, and which
images a run has."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model_training.datasets.balancing import balanced
from model_training.datasets.dataset import DataSet, ImageSet, split
from model_training.datasets.registry import find_known
from model_training.naming import short_slug
from model_training.recipes import Phase, Recipe
from model_training.recipes.variants import (
    AugmentationChange,
    InputChange,
    with_augmentation,
    with_input,
    with_input_size,
)

LEAST_STEPS = 10
"""Steps of an epoch that a small data set of one's own is given, by smaller batches."""
CHANGING = ("limit", "balance", "input", "input_size", "augmentation", "from_study", "trial")
"""The options after which a recipe is trained on other images, or gives another network."""
QUICK_IMAGES = 500
"""Test images, and training images, on which a quick try (`limit`) is measured, each as it is."""


@dataclass(frozen=True)
class Options:
    """The changes that one run makes to its recipe; None keeps the recipe's own.

    Args:
        dataset: the name of another data set of the catalogue than the recipe's own, for the
            command on the card.
        data: the folder or file of a data set of one's own, for the command on the card.
        name: what that is called, where it is not called after the folder; for the command too.
        epochs: of the last phase.
        minutes: after which no new epoch begins, and the network is measured as it is.
        batch_size: of every phase.
        weights: a file of pretrained weights.
        input: what the network does to its input beside what it does anyway.
        input_size: the side in pixels to which it enlarges or reduces images first.
        augmentation: how images vary in every phase.
        balance: how many images of each class are learned from and validated on: a number, or
            "smallest" for as many as the smallest class has.
        all_data: learn from the validation images too.
        report_only: leave the network out of the bundle.
        from_study: the study whose settings the recipe has, and of which `trial`.
    """

    dataset: str | None = None
    data: Path | None = None
    name: str | None = None
    epochs: int | None = None
    minutes: float | None = None
    batch_size: int | None = None
    seed: int = 0
    limit: int | None = None
    weights: Path | None = None
    input: InputChange | None = None
    input_size: int | None = None
    augmentation: AugmentationChange | None = None
    balance: str | None = None
    all_data: bool = False
    deterministic: bool = False
    report_only: bool = False
    from_study: str | None = None
    trial: int | None = None

    @property
    def changes(self) -> dict[str, str]:
        """Return those of `CHANGING` that are given, with their values, for the card."""
        given = {name: getattr(self, name) for name in CHANGING}
        return {name: str(value) for name, value in given.items() if value is not None}

    @property
    def suffix(self) -> str:
        """Return what sets the name of its bundle apart from the recipe's; empty if nothing."""
        size = f"{self.input_size}px" if self.input_size else None
        varied = f"augmentation-{self.augmentation}" if self.augmentation else None
        balanced = f"balanced-{self.balance}" if self.balance else None
        tuned = "tuned" if self.from_study else None
        return "-".join(part for part in (self.input, size, varied, balanced, tuned) if part)

    def bundle_name(self, recipe: str, data_set: str | None) -> str:
        """Return the usual name of the bundle, which no other recipe, data or changes have.

        Args:
            data_set: the name of the data set, where it is not the recipe's own.
        """
        parts = (recipe, data_set, self.suffix, "quick" if self.limit else None)
        return short_slug("-".join(part for part in parts if part))


def varied(recipe: Recipe, options: Options, fit: ImageSet) -> Recipe:
    """Return `recipe` as `options` change it.

    Args:
        fit: the images that it learns from.
    """
    if options.augmentation is not None:
        recipe = with_augmentation(recipe, options.augmentation, fit.side)
    if options.input_size is not None:
        recipe = with_input_size(recipe, options.input_size)
    if options.input is not None:
        recipe = with_input(recipe, options.input, fit.images)
    return recipe


def with_options(phases: tuple[Phase, ...], options: Options) -> tuple[Phase, ...]:
    """Return `phases` with the epochs and the batch size of `options`."""
    if options.batch_size is not None:
        phases = tuple(replace(phase, batch_size=options.batch_size) for phase in phases)
    return (*phases[:-1], replace(phases[-1], epochs=options.epochs or phases[-1].epochs))


def without_validation(
    phases: tuple[Phase, ...], best_epoch: int | None, options: Options
) -> tuple[Phase, ...]:
    """Return `phases` as they are trained where no image is left to validate on.

    The last one ends after as many epochs as the earlier run found best, since nothing tells when
    to stop.

    Args:
        best_epoch: that of the earlier run, from 1; None where it did not stop early.

    Raises:
        ValueError: nobody knows when a phase should end.
    """
    *before, last = phases
    if any(phase.early_stopping for phase in before) or (
        last.early_stopping and best_epoch is None and options.epochs is None
    ):
        raise ValueError(
            "With --all-data no image is left by which a training could stop early. Say with "
            "--epochs how long it is to be."
        )
    if last.early_stopping is None:
        return phases
    epochs = options.epochs or max(1, (best_epoch or 0) - sum(phase.epochs for phase in before))
    return (*before, replace(last, epochs=epochs, early_stopping=None))


def for_data_set(recipe: Recipe, data: DataSet, input_size: int | None = None) -> DataSet:
    """Return `data` with its images as large as the network of `recipe` takes them.

    Args:
        input_size: that of the run, where it is not the recipe's.

    Raises:
        DataError: the recipe's own data set is not in the catalogue.
    """
    size = input_size or recipe.input_size
    # A network that sees its own images at another size than they have must resize them.
    resizes = find_known(recipe.data_set).image_size != size
    return data.for_network(size, takes_any=resizes)


def own_side(recipe: Recipe) -> int:
    """Return the side of the images for which `recipe` is made, to which its pixels refer.

    Raises:
        DataError: the recipe's own data set is not in the catalogue.
    """
    return min(find_known(recipe.data_set).image_size, recipe.input_size)


def for_other_images(recipe: Recipe, side: int, count: int) -> Recipe:
    """Return `recipe`, which is made for another data set, for `count` images to fit.

    Args:
        side: of the images, in pixels.

    Raises:
        DataError: the recipe's own data set is not in the catalogue.
    """
    most = max(8, count // LEAST_STEPS)
    recipe = for_side(recipe, side)
    phases = tuple(
        replace(phase, batch_size=min(phase.batch_size, most)) for phase in recipe.phases
    )
    # The figures that were stated and reported are those of CIFAR-10's classes.
    return replace(recipe, phases=phases, parameters=None, reported=None)


def for_side(recipe: Recipe, side: int) -> Recipe:
    """Return `recipe` with its pixels for images of `side`, whose edges need no sharpening.

    Raises:
        DataError: the recipe's own data set is not in the catalogue.
    """
    times = side / own_side(recipe)
    return replace(recipe, phases=tuple(phase.on_larger(times) for phase in recipe.phases))


def as_trained(
    recipe: Recipe, data: DataSet, parts: Parts, options: Options
) -> tuple[Recipe, tuple[Phase, ...]]:
    """Return `recipe` as it is trained here on `parts` of `data`, and its phases.

    Raises:
        DataError: the recipe's own data set is not in the catalogue.
    """
    # Here, since asking a backend for its devices loads it.
    from model_training.training.environment import usable_precision

    if data.name != recipe.data_set:
        recipe = for_other_images(recipe, data.side, len(parts.fit))
    elif data.side != own_side(recipe):
        recipe = for_side(recipe, data.side)
    recipe = varied(recipe, options, parts.fit)
    recipe = replace(recipe, precision=usable_precision(recipe.precision))
    return recipe, with_grey_of(data, with_options(recipe.phases, options))


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
            words.append(f"{option} {shlex.quote(_told(value))}")
    return " ".join(words)


def _told(value: object) -> str:
    if isinstance(value, Path):
        return value.absolute().name
    return f"{value:g}" if isinstance(value, float) else str(value)


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
            ValueError: `limit` is not between 100 and the number of images, or a class has none
                among the first so many; or no image of a class is left to learn from; or `balance`
                is neither a number nor "smallest".
            DataError: a class has fewer images than `balance` asks for.
        """
        train_set, test, limit = data.train, data.test, options.limit
        if options.balance is not None:
            train_set = balanced(train_set, data.classes, _each(options.balance))
        if limit is not None:
            if not 100 <= limit <= len(train_set):
                takes = (
                    f"takes a number from 100 to {len(train_set)}, not {limit}"
                    if len(train_set) > 100
                    else f"is for more than the {len(train_set)} images that there are"
                )
                raise ValueError(f"--limit {takes}.")
            train_set, test = train_set.take(np.arange(limit)), some(test, QUICK_IMAGES)
            missing = len(data.classes) - len(np.unique(train_set.labels))
            if missing:
                raise ValueError(
                    f"--limit {limit}: of {missing} of the {len(data.classes)} classes there is no "
                    f"image among the first {limit}. Take more."
                )
        fit, validation = train_set, None
        if not options.all_data:
            fit, validation = (train_set.take(part) for part in split(train_set.labels))
            missing = len(np.unique(train_set.labels)) - len(np.unique(fit.labels))
            if missing:
                raise ValueError(_only_validated_on(missing, len(data.classes), options))
        return cls(fit, validation, test, fit if limit is None else some(fit, QUICK_IMAGES))

    @classmethod
    def of_card(cls, data: DataSet, changes: Mapping[str, str]) -> Parts:
        """Divide `data` as the run did whose card tells these `changes` (`Options.changes`), and
        which kept some images to validate on.

        Raises:
            ValueError: as `of`.
            DataError: as `of`.
        """
        limit = int(changes["limit"]) if "limit" in changes else None
        return cls.of(data, Options(limit=limit, balance=changes.get("balance")))


def _only_validated_on(missing: int, classes: int, options: Options) -> str:
    told = (
        f"the only image of {missing} of the {classes} classes is one of those that it is "
        "validated on."
    )
    for name in ("limit", "balance"):
        if (given := getattr(options, name)) is not None:
            return f"--{name} {given}: {told} Take more."
    return f"{told[0].upper()}{told[1:]} Give at least two of each."


def _each(balance: str) -> int | None:
    if balance == "smallest":
        return None
    if not balance.isdecimal() or not int(balance):
        raise ValueError(f"--balance takes a number of images or `smallest`, not {balance!r}.")
    return int(balance)


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
