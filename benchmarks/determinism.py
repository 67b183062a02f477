"""The cost of `--deterministic`: `python -m benchmarks.determinism`

Times training steps of a recipe with and without it, in turns.  The switch cannot be undone within
a process, so each turn is a process of its own, which measures its steps after warming up.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.timing import print_table
from model_training.networks.precision import dtype_policy
from model_training.recipes import Recipe, find_recipe
from model_training.training.environment import make_deterministic
from model_training.training.learning.learner import compile_network, one_hot


def main() -> None:
    """Measure and print, or be one of the processes that measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="fast-cnn")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--measure", choices=("as-it-is", "deterministic"), help="one turn")
    arguments = parser.parse_args()
    if arguments.measure:
        if arguments.measure == "deterministic":
            make_deterministic()
        print(seconds_per_step(arguments.recipe, arguments.steps))
        return

    turns: dict[str, list[float]] = {"as-it-is": [], "deterministic": []}
    for _ in range(arguments.rounds):
        for name, seconds in turns.items():
            command = [sys.executable, "-m", "benchmarks.determinism", "--measure", name]
            command += ["--recipe", arguments.recipe, "--steps", str(arguments.steps)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds.append(float(answer.stdout))
    print(f"{arguments.recipe}, {arguments.rounds} rounds of {arguments.steps} steps\n")
    print_table(turns, 1, "step")


def seconds_per_step(name: str, steps: int) -> float:
    """Return the median seconds of a training step of the recipe `name`, after two to warm up."""
    step = training_step(find_recipe(name))
    times = []
    for _ in range(steps + 2):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return statistics.median(times[2:])


def training_step(recipe: Recipe) -> Callable[[], object]:
    """Return what takes a step of the last phase of `recipe`, always on the same random images."""
    phase = recipe.phases[-1]
    rng = np.random.default_rng(0)
    side = recipe.input_size
    images = rng.integers(0, 256, (phase.batch_size, side, side, 3), np.uint8)
    targets = one_hot(rng.integers(0, 10, phase.batch_size).astype(np.uint8), 10)
    with dtype_policy(recipe.precision):
        model = recipe.build()
    compile_network(model, phase, 10_000)
    return partial(model.train_on_batch, images, targets)


if __name__ == "__main__":
    main()
