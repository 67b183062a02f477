"""What one run changes of its recipe, and what other images than CIFAR-10's change of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from pathlib import Path

from model_training.datasets.dataset import IMAGE_SIZE
from model_training.recipes import Phase, Recipe

LEAST_STEPS = 10
"""Steps of an epoch that a small data set of one's own is given, by smaller batches."""


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
    # The figures that were stated and reported are those of CIFAR-10's classes.
    return replace(recipe, phases=phases, parameters=None, reported=None)


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
