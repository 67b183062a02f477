"""Training steps of recipes in turns: what benchmarks that compare ways to compute one share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

from benchmarks.timing import alternate, print_table
from model_training.networks.importing import compute_with_onednn
from model_training.recipes import Recipe, find_recipe

Candidates = Mapping[str, Callable[[], object]]
"""What takes one step, by how it does."""


def compare_steps(
    about: str | None, recipes: Sequence[str], candidates: Callable[[Recipe], Candidates]
) -> None:
    """Time the `candidates` of each recipe that the command line asks for, and print them.

    Args:
        about: the docstring of the benchmark.
        recipes: the names of those that are asked for by default.
        candidates: called when oneDNN is chosen, so that it may import TensorFlow.
    """
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("recipes", nargs="*", default=recipes)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    compute_with_onednn()
    for name in asked.recipes:
        print(f"\n{name}")
        runs = {
            how: _times(asked.steps, step) for how, step in candidates(find_recipe(name)).items()
        }
        print_table(alternate(runs, asked.rounds), asked.steps, "step")


def _times(count: int, step: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        for _ in range(count):
            step()

    return run
