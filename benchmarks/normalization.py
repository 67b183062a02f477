"""Batch normalisation in one operation: `python -m benchmarks.normalization [RECIPE ...]`

Times training steps of recipes with batch normalisation as Keras computes it, operation by
operation, and in one (`model_training.training.learning.normalization`), in turns in one process.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from unittest import mock

from benchmarks.timing import alternate, print_table
from model_training.networks.importing import compute_with_onednn
from model_training.recipes import find_recipe

RECIPES = ("fast-cnn", "custom-cnn", "best-cnn", "cnn-augmented", "cnn-deep", "cnn-four-block")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    compute_with_onednn()
    for name in asked.recipes:
        print(f"\n{name}")
        candidates = {"as Keras computes it": steps(name, asked.steps, plainly=True)}
        candidates["in one operation"] = steps(name, asked.steps, plainly=False)
        print_table(alternate(candidates, asked.rounds), asked.steps, "step")


def steps(name: str, count: int, *, plainly: bool) -> Callable[[], None]:
    """Return what takes `count` training steps of the recipe `name`."""
    # Imported only now that oneDNN is chosen.
    from benchmarks.determinism import training_step
    from model_training.training.environment import usable_precision
    from model_training.training.learning import learner

    recipe = find_recipe(name)
    recipe = replace(recipe, precision=usable_precision(recipe.precision))
    with mock.patch.object(learner, "normalize_at_once") if plainly else nullcontext():
        step = training_step(recipe)

    def run() -> None:
        for _ in range(count):
            step()

    return run


if __name__ == "__main__":
    main()
