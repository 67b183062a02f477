"""What is each part of `fast-cnn` worth?  `python -m benchmarks.ablation`

Trains the recipe for a few epochs on the 45,000 images as it is, then again with one part changed
at a time, and compares each with the first on the 5,000 validation images.  The test images are not
used.  Each difference has a paired bootstrap interval, which only covers the choice of images:
another seed changes a run too, so the first change tried is another seed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.catalog.cifar10 import NAME
from model_training.datasets.catalog.cifar10 import load as load_cifar10
from model_training.datasets.dataset import ImageSet, split
from model_training.datasets.kept import CACHE
from model_training.judging.intervals import compare
from model_training.judging.metrics import accuracy
from model_training.judging.prediction import predict, predict_averaged
from model_training.networks.importing import compute_with_onednn
from model_training.recipes import Lookahead, Phase, Recipe, find_recipe
from model_training.recipes.scratch.airbench import begin_as_identity, whiten_first

if TYPE_CHECKING:
    import keras

ROOT = Path(__file__).parent.parent
Answers = NDArray[np.bool_]


@dataclass(frozen=True)
class Outcome:
    """The results of a trained network on the validation images; `right` is one value per image.

    `averaged` is None where that was not measured.
    """

    right: Answers
    averaged: float | None
    seconds_per_epoch: float


Change = Callable[[Recipe], Recipe]


def main() -> None:
    """Train, measure and print each row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="WORD", help="changes with this word in their names")
    parser.add_argument("--data", type=Path, help="CIFAR-10, if not in instance/data")
    asked = parser.parse_args()
    compute_with_onednn()
    from model_training.training.environment import usable_precision

    data = load_cifar10(ROOT / "instance" / "data" / NAME / CACHE, asked.data).train
    fit, validation = (data.take(part) for part in split(data.labels))
    recipe = with_phase(find_recipe("fast-cnn"), epochs=asked.epochs)
    recipe = replace(recipe, precision=usable_precision(recipe.precision))

    print(f"{recipe.name}, {asked.epochs} epochs, seed {asked.seed}; the learning rate falls to")
    print("nothing within them. Accuracies on the validation images, in percent.\n")
    print(f"{'':40} {'plain':>6} {'difference (95 %)':>22} {'averaged':>9} {'s an epoch':>11}")
    base = measure(recipe, asked.seed, fit, validation)
    print_row("as it is", base, None)
    chosen = [name for name in CHANGES if not asked.only or asked.only in name]
    minutes = len(chosen) * asked.epochs * base.seconds_per_epoch / 60
    print(f"({len(chosen)} more rows, about {minutes:.0f} minutes)")
    for name in chosen:
        changed = CHANGES[name](recipe)
        seed = asked.seed + (name == ANOTHER_SEED)
        print_row(name, measure(changed, seed, fit, validation), base)


def with_phase(recipe: Recipe, **changes: object) -> Recipe:
    """Return `recipe` with its one phase changed."""
    (phase,) = recipe.phases
    changed: Phase = replace(phase, **changes)  # type: ignore[arg-type]
    return replace(recipe, phases=(changed,))


def with_optimizer(recipe: Recipe, **changes: object) -> Recipe:
    """Return `recipe` with the optimizer of its one phase changed."""
    optimizer = replace(recipe.phases[0].optimizer, **changes)  # type: ignore[arg-type]
    return with_phase(recipe, optimizer=optimizer)


def with_augmentation(recipe: Recipe, **changes: object) -> Recipe:
    """Return `recipe` with the augmentation of its one phase changed."""
    augmentation = replace(recipe.phases[0].augmentation, **changes)  # type: ignore[arg-type]
    return with_phase(recipe, augmentation=augmentation)


def with_batch(recipe: Recipe, batch_size: int) -> Recipe:
    """Return `recipe` with another batch size, its rate scaled by the root of the size."""
    (phase,) = recipe.phases
    rate = phase.optimizer.learning_rate * (batch_size / phase.batch_size) ** 0.5
    return with_phase(with_optimizer(recipe, learning_rate=rate), batch_size=batch_size)


def with_activations(recipe: Recipe, activations: tuple[str, ...]) -> Recipe:
    """Return `recipe` with other activations, after the whitening and in each group."""
    build = partial(recipe.build, activations=activations)  # type: ignore[call-arg]
    return replace(recipe, build=build)


def without_whitening(recipe: Recipe) -> Recipe:
    """Return `recipe` with a first layer that has Keras' initial weights, and learns."""

    def build(classes: int = 10) -> keras.Model:
        model = recipe.build(classes=classes)
        model.get_layer("whiten").trainable = True
        return model

    return replace(recipe, build=build, prepare=lambda model, images: begin_as_identity(model))


ANOTHER_SEED = "another seed"
CHANGES: dict[str, Change] = {
    ANOTHER_SEED: lambda recipe: recipe,
    "first layer learned, not whitening": without_whitening,
    "convolutions begin as Keras has them": partial(replace, prepare=whiten_first),
    "flips drawn anew each epoch": partial(with_augmentation, flip="random"),
    "no flips": partial(with_augmentation, flip="none"),
    "no shifts": partial(with_augmentation, shift=0),
    "cutout of 8 pixels": partial(with_augmentation, cutout=8),
    "no label smoothing": partial(with_phase, label_smoothing=0.0),
    "biases at the rate of all": partial(with_optimizer, bias_factor=1.0),
    "no weight decay": partial(with_optimizer, weight_decay=0.0),
    "SGD in place of Muon": partial(with_optimizer, name="sgd"),
    "Lookahead": partial(with_phase, lookahead=Lookahead()),
    "ReLU everywhere": partial(with_activations, activations=4 * ("relu",)),
    "SiLU everywhere": partial(with_activations, activations=4 * ("silu",)),
    "batch 512": partial(with_batch, batch_size=512),
    "batch 2048": partial(with_batch, batch_size=2048),
    "float32": partial(replace, precision="float32"),
    "twice the epochs": lambda recipe: with_phase(recipe, epochs=2 * recipe.phases[0].epochs),
}


def measure(
    recipe: Recipe, seed: int, fit: ImageSet, validation: ImageSet, *, averages: bool = True
) -> Outcome:
    """Train `recipe` and measure it on `validation`, with six views of each image if `averages`."""
    import keras

    from model_training.training.loop import Place, train

    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder) / "state", Path(folder) / "features")
        trained = train(recipe, recipe.phases, seed, fit, None, place)
    plain = predict(trained.model, validation.images)
    averaged = predict_averaged(trained.model, validation.images, plain) if averages else None
    keras.backend.clear_session()
    return Outcome(
        right=plain.argmax(axis=1) == validation.labels,
        averaged=None if averaged is None else accuracy(averaged, validation.labels),
        seconds_per_epoch=trained.seconds / len(trained.history),
    )


def print_row(name: str, outcome: Outcome, base: Outcome | None) -> None:
    """Print the results of a run, and their difference from `base`."""
    difference = ""
    if base is not None:
        found = compare(outcome.right, base.right).difference
        value, low, high = (100 * part for part in (found.value, found.low, found.high))
        difference = f"{value:+.2f} ({low:+.2f}..{high:+.2f})"
    averaged = "" if outcome.averaged is None else f"{100 * outcome.averaged:10.2f}"
    print(
        f"{name:40} {100 * outcome.right.mean():6.2f} {difference:>22}{averaged} "
        f"{outcome.seconds_per_epoch:11.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
