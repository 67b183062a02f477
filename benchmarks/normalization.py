"""Batch normalisation in one operation: `python -m benchmarks.normalization [RECIPE ...]`

Times training steps of recipes with batch normalisation as Keras computes it, operation by
operation, and in one (`model_training.training.learning.normalization`), in turns in one process.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from unittest import mock

from benchmarks.steps import Candidates, compare_steps
from model_training.recipes import Recipe

RECIPES = ("fast-cnn", "custom-cnn", "best-cnn", "cnn-augmented", "cnn-deep", "cnn-four-block")


def main() -> None:
    """Measure and print."""
    compare_steps(__doc__, RECIPES, ways)


def ways(recipe: Recipe) -> Candidates:
    """Return a training step of `recipe` in both ways."""
    # Imported only now that oneDNN is chosen.
    from benchmarks.determinism import training_step
    from model_training.training.environment import usable_precision
    from model_training.training.learning import learner

    recipe = replace(recipe, precision=usable_precision(recipe.precision))
    steps = {}
    for name, plainly in (("as Keras computes it", True), ("in one operation", False)):
        with mock.patch.object(learner, "normalize_at_once") if plainly else nullcontext():
            steps[name] = training_step(recipe)
    return steps


if __name__ == "__main__":
    main()
