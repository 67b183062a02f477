"""The precision that trains quickest here: `python -m benchmarks.precision [RECIPE ...]`

Times training steps of recipes whose precision is bfloat16 in that and in float32, in turns in one
process.  `model_training.training.environment.usable_precision` chooses between the two by what the
processor says of itself; its choice is printed beside.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.steps import Candidates, compare_steps
from model_training.recipes import Recipe
from model_training.recipes.recipe import Precision

RECIPES = ("fast-cnn", "custom-cnn")
PRECISIONS: tuple[Precision, ...] = ("mixed_bfloat16", "float32")


def main() -> None:
    """Measure and print."""
    compare_steps(__doc__, RECIPES, ways)


def ways(recipe: Recipe) -> Candidates:
    """Return a training step of `recipe` in each precision."""
    # Imported only now that oneDNN is chosen.
    from benchmarks.determinism import training_step
    from model_training.training.environment import usable_precision

    print(f"{usable_precision(recipe.precision)} is used here")
    return {one: training_step(replace(recipe, precision=one)) for one in PRECISIONS}


if __name__ == "__main__":
    main()
