"""What a second process is worth: `python -m benchmarks.together [RECIPE] [--batch N] [--rounds N]`

Images a second that a recipe learns from on JAX: by one process that has one core, and by two that
have one each and share the batch.  It is the trainer's own step, with the augmentation of the whole
batch and the question whether to stop.  One and two take turns, so that other load on the machine
meets both; processor time is told beside, which it does not lengthen.  The bar is 1.8 times.
On Linux only a process is held to one core.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

BAR = 1.8
WARM_UP = 2
ANSWER = "measured: "


@dataclass(frozen=True)
class Measured:
    """What one process found: seconds of the steps that are timed, by the clock and of a processor,
    and the fewest in which gradients are added up and in which all agree whether to stop."""

    wall: float
    processor: float
    added_up: float = 0.0
    agreed: float = 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipe", nargs="?", default="fast-cnn")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=6, help="that are timed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one-of", nargs=3, metavar=("N", "RANK", "ADDRESS"), help="internal")
    asked = parser.parse_args(arguments)
    if asked.one_of:
        number, rank, address = asked.one_of
        found = _learn(asked.recipe, asked.batch, asked.steps, int(number), int(rank), address)
        print(ANSWER + json.dumps(vars(found)), flush=True)
        return
    _compare(asked.recipe, asked.batch, asked.steps, asked.rounds)


def _compare(recipe: str, batch: int, steps: int, count: int) -> None:
    images = batch * steps
    rounds: dict[int, list[list[Measured]]] = {1: [], 2: []}
    for _ in range(count):
        for processes, told in rounds.items():
            told.append(_measure(recipe, batch, steps, processes))
    print(f"{recipe}, {batch} images a step, {steps} steps")
    for processes, told in rounds.items():
        rate = statistics.median(images / max(one.wall for one in team) for team in told)
        cost = statistics.median(sum(one.processor for one in team) for team in told) / images
        print(
            f"{processes} of one core each: {rate:8.1f} images a second, "
            f"{1000 * cost:.1f} ms of a processor an image"
        )
    added_up, agreed = (
        min(getattr(one, what) for two in rounds[2] for one in two)
        for what in ("added_up", "agreed")
    )
    print(
        f"of a step of two, adding up the gradients takes {1000 * added_up:.1f} ms at best, and "
        f"agreeing whether to stop {1000 * agreed:.1f} ms"
    )
    for name, which in (("by the clock", "wall"), ("by processor time", "processor")):
        ratios = [
            vars(one[0])[which] / max(vars(each)[which] for each in two)
            for one, two in zip(rounds[1], rounds[2], strict=True)
        ]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"two are worth {statistics.median(ratios):.2f} times one {name} ({spread})")
        if which == "wall":
            reached = statistics.median(ratios) >= BAR
    print(f"The bar of {BAR} by the clock is {'reached' if reached else 'missed'}.")
    sys.exit(not reached)


def _measure(recipe: str, batch: int, steps: int, processes: int) -> list[Measured]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.together", recipe]
            + ["--batch", str(batch), "--steps", str(steps)]
            + ["--one-of", str(processes), str(rank), address],
            env=os.environ | {"KERAS_BACKEND": "jax"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("A process failed, so nothing was measured; what it said is above.")
    # Gloo writes into the same output.
    answers = [
        line.removeprefix(ANSWER)
        for text in said
        for line in text.splitlines()
        if line.startswith(ANSWER)
    ]
    return [Measured(**json.loads(answer)) for answer in answers]


def _learn(name: str, batch: int, steps: int, processes: int, rank: int, address: str) -> Measured:
    """Return what learning from `steps` batches takes one of `processes`."""
    if sys.platform == "linux":
        # Before JAX is imported, which makes as many threads as there are cores.
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank]})
    import keras

    from model_training.datasets.dataset import ImageSet
    from model_training.networks.precision import dtype_policy
    from model_training.recipes import find_recipe
    from model_training.training.learning.learner import Learner
    from model_training.training.together.joining import join
    from model_training.training.together.team import Team

    team = Team(processes, rank)
    if processes > 1:
        join(team, address)
    # Every process has to begin with the same weights; JAX compares them.
    keras.utils.set_random_seed(0)
    recipe = find_recipe(name)
    phase = replace(recipe.phases[0], batch_size=batch, learns_from=None)
    with dtype_policy("float32"):
        network = recipe.build()
    side = recipe.input_size
    pixels = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    images = ImageSet(pixels, (np.arange(batch) % 10).astype(np.uint8))
    learner = Learner(
        network,
        set(),
        side,
        phase,
        1000,
        images,
        None,
        0,
        Path(),
        on_features=lambda count: None,
        stop=lambda: False,
        team=team,
    )
    order = np.arange(batch)
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            started, computed = time.perf_counter(), time.process_time()
        learner.step(order, 0, step, step + 1)
        team.any(False)
    wall, processor = time.perf_counter() - started, time.process_time() - computed
    if processes == 1:
        return Measured(wall, processor)
    gradients = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    agreed = _quickest(lambda: team.any(False))
    return Measured(wall, processor, _quickest(_all_reduce(gradients)), agreed)


def _all_reduce(count: int) -> Callable[[], object]:
    """Return what adds up `count` numbers of each process."""
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    mesh = Mesh(np.array(jax.devices()), ("process",))
    apart, everywhere = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (["process"], []))
    each = jax.make_array_from_process_local_data(apart, np.ones((1, count), np.float32))
    added = jax.jit(lambda values: values.sum(0), out_shardings=everywhere)
    return lambda: added(each).block_until_ready()


def _quickest(run: Callable[[], object], rounds: int = 20) -> float:
    """Return the seconds of the quickest of some runs: others make one longer, never shorter."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    main()
