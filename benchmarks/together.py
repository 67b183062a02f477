"""What a second process is worth: `python -m benchmarks.together [RECIPE] [--batch N] [--rounds N]`

Images a second that a recipe learns from on JAX: by one process that has one core, and by two that
have one each and share the batch.  They take turns, so that other load on the machine meets both.
On Linux only a process is held to one core.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

STEPS = 6
"""That are timed; as many as warm up are a third of them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipe", nargs="?", default="fast-cnn")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one-of", nargs=3, metavar=("N", "RANK", "ADDRESS"), help="internal")
    asked = parser.parse_args(arguments)
    if asked.one_of:
        number, rank, address = asked.one_of
        print(_learn(asked.recipe, asked.batch, int(number), int(rank), address))
        return
    found: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(asked.rounds):
        for processes, rates in found.items():
            rates.append(_measure(asked.recipe, asked.batch, processes))
    print(f"{asked.recipe}, {asked.batch} images a step")
    for processes, rates in found.items():
        print(f"{processes} of one core each: {statistics.median(rates):8.1f} images a second")
    ratios = [two / one for one, two in zip(found[1], found[2], strict=True)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"two are worth {statistics.median(ratios):.2f} times one ({spread})")


def _measure(recipe: str, batch: int, processes: int) -> float:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.together", recipe, "--batch", str(batch)]
            + ["--one-of", str(processes), str(rank), address],
            env=os.environ | {"KERAS_BACKEND": "jax"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    said = [process.communicate()[0] for process in started]
    # Gloo writes into the same output; the figure is the last line.
    return float(said[0].split()[-1])


def _learn(name: str, batch: int, processes: int, rank: int, address: str) -> float:
    """Return the images a second that all `processes` learn from together."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank]})
    from model_training.networks.precision import dtype_policy
    from model_training.recipes import find_recipe
    from model_training.training.learning.learner import compile_network
    from model_training.training.together.joining import join
    from model_training.training.together.team import Team

    team = Team(processes, rank)
    if processes > 1:
        join(team, address)
    recipe = find_recipe(name)
    phase = replace(recipe.phases[0], batch_size=batch, learns_from=None)
    with dtype_policy("float32"):
        network = recipe.build()
    compile_network(network, phase, 1000)
    side = recipe.input_size
    pixels = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    targets = np.eye(10, dtype=np.float32)[np.arange(batch) % 10]
    own = team.share(batch)
    for step in range(STEPS // 3 + STEPS):
        if step == STEPS // 3:
            started = time.perf_counter()
        network.train_on_batch(pixels[own], targets[own])
    return STEPS * batch / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
