"""The precision that trains quickest here: `python -m benchmarks.precision [RECIPE ...]`

Times training steps of recipes whose precision is bfloat16 in that and in float32, in turns in one
process.  `model_training.training.environment.usable_precision` chooses between the two by what the
processor says of itself; its choice is printed beside.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

from benchmarks.timing import alternate, print_table
from model_training.networks.importing import compute_with_onednn
from model_training.recipes import find_recipe
from model_training.recipes.recipe import Precision

RECIPES = ("fast-cnn", "custom-cnn")
PRECISIONS: tuple[Precision, ...] = ("mixed_bfloat16", "float32")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    compute_with_onednn()
    # Imported only now that oneDNN is chosen.
    from model_training.training.environment import usable_precision

    for name in asked.recipes:
        print(f"\n{name}: {usable_precision(find_recipe(name).precision)} is used here")
        candidates = {str(one): steps(name, asked.steps, one) for one in PRECISIONS}
        print_table(alternate(candidates, asked.rounds), asked.steps, "step")


def steps(name: str, count: int, precision: Precision) -> Callable[[], None]:
    """Return what takes `count` training steps of the recipe `name` in `precision`."""
    from benchmarks.determinism import training_step

    step = training_step(replace(find_recipe(name), precision=precision))

    def run() -> None:
        for _ in range(count):
            step()

    return run


if __name__ == "__main__":
    main()
