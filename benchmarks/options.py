"""What is each option of `flask train` worth?  `python -m benchmarks.options cnn-augmented`

Trains a recipe for a few epochs on the 45,000 images as it is, then again with one option at a time
(another seed; zero-centred, standardised, PCA- and ZCA-whitened input; no and stronger
augmentation; larger input), and compares each with the first on the 5,000 validation images.  The
test images are not used.  The table that it prints is the one in `docs/options.md`.

It takes as many minutes as an epoch takes, times the epochs, times nine, and larger input times
(size / 32) squared: on two cores and with three epochs of `cnn-augmented`, four to five hours.
`--limit` learns from fewer images, and `--falling` lets the rate fall to nothing in every row: at
one rate, accuracy jumps by points from epoch to epoch, which is more than most options are worth.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from benchmarks.ablation import ANOTHER_SEED, ROOT, measure, print_row
from model_training.datasets.catalog.cifar10 import NAME
from model_training.datasets.catalog.cifar10 import load as load_cifar10
from model_training.datasets.dataset import split
from model_training.datasets.kept import CACHE
from model_training.networks.importing import compute_with_onednn
from model_training.recipes import find_recipe
from model_training.recipes.phase import Schedule
from model_training.training.options import Options, varied, with_options

LARGER = 48
FALLING = Schedule(warmup=0.2)
CHANGES = {
    ANOTHER_SEED: Options(),
    "zero-centred": Options(input="centred"),
    "standardised": Options(input="standardised"),
    "PCA": Options(input="pca"),
    "ZCA": Options(input="zca"),
    "no augmentation": Options(augmentation="none"),
    "strong augmentation": Options(augmentation="strong"),
    "larger": Options(input_size=LARGER),
}


def main() -> None:
    """Train, measure and print each row as soon as it is known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", nargs="?", default="cnn-augmented")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="learn from so many images only")
    parser.add_argument(
        "--falling", action="store_true", help="warm the rate up and let it fall to nothing"
    )
    parser.add_argument("--only", metavar="WORD", help="options with this word in their names")
    parser.add_argument("--data", type=Path, help="CIFAR-10, if not in instance/data")
    asked = parser.parse_args()
    compute_with_onednn()
    from model_training.training.environment import usable_precision

    data = load_cifar10(ROOT / "instance" / "data" / NAME / CACHE, asked.data).train
    fit, validation = (data.take(part) for part in split(data.labels))
    fit = fit.take(np.arange(len(fit))[: asked.limit])
    recipe = find_recipe(asked.recipe)
    phases = with_options(recipe.phases, Options(epochs=asked.epochs))
    if asked.falling:
        phases = tuple(dataclasses.replace(phase, schedule=FALLING) for phase in phases)
    recipe = dataclasses.replace(
        recipe,
        phases=phases,
        precision=usable_precision(recipe.precision),
    )
    how = ", the rate falling to nothing" if asked.falling else ""
    print(f"{recipe.name}, {asked.epochs} epochs of {len(fit):,} images, seed {asked.seed}{how}.")
    print("Accuracies on the validation images, in percent.\n")
    print(f"{'':40} {'plain':>6} {'difference (95 %)':>22} {'s an epoch':>11}")
    base = measure(recipe, asked.seed, fit, validation, averages=False)
    print_row("as it is", base, None)
    chosen = [name for name in CHANGES if not asked.only or asked.only in name]
    minutes = len(chosen) * asked.epochs * base.seconds_per_epoch / 60
    print(f"({len(chosen)} more rows, about {minutes:.0f} minutes; larger input takes longer)")
    for name in chosen:
        changed = varied(recipe, CHANGES[name], fit)
        seed = asked.seed + (name == ANOTHER_SEED)
        print_row(name, measure(changed, seed, fit, validation, averages=False), base)


if __name__ == "__main__":
    main()
