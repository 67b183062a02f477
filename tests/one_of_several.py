"""One process of a training in several: `python -m tests.one_of_several N RANK HOST:PORT FOLDER`

Trains a small network on JAX for ten steps and writes its weights to FOLDER, for `test_together`.
Words behind change what it does: `die` ends it in the seventh step, as a machine that goes dark
does, and `slow` takes its time there, as one that still computes; `resume` goes on from the state
in FOLDER; `other` gives it other images, `unable` none; `frozen` trains the last layer only, above
frozen ones.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import numpy as np

from model_training.datasets.augmentation import Transform
from model_training.datasets.dataset import ImageSet
from model_training.judging.prediction import predict
from model_training.recipes import Optimizer, Phase, Schedule
from model_training.training.learning.watcher import Watcher
from model_training.training.loop import Place, train
from model_training.training.together.joining import join, leave_at_once, part
from model_training.training.together.team import Team, TeamError
from tests.conftest import TINY

PLACES = ("state", "features")
ABOVE_FROZEN = Phase(
    2,
    32,
    Optimizer("sgd", 0.1),
    Schedule(),
    learns_from="global_average_pooling2d",
    views=(Transform(), Transform(flip=True)),
)


def images(count: int, seed: int) -> ImageSet:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count).astype(np.uint8)
    return ImageSet(rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), labels)


def main(processes: int, rank: int, coordinator: str, folder: Path, words: list[str]) -> None:
    steps = 0

    def step(count: int) -> None:
        nonlocal steps
        steps += count
        if "die" in words and steps == 7:
            os._exit(9)
        if "slow" in words and steps == 7:
            time.sleep(30)

    phases = tuple(dataclasses.replace(one, epochs=2, batch_size=32) for one in TINY.phases)
    recipe = TINY
    if "frozen" in words:
        phases = (ABOVE_FROZEN,)
        recipe = dataclasses.replace(TINY, phases=phases)
    team = Team(processes, rank)
    if processes > 1:
        join(team, coordinator)
    with team.beginning():
        if "unable" in words:
            raise ValueError("This one has no images.")
    trained = train(
        recipe,
        phases,
        0,
        images(160, 1 if "other" in words else 0),
        # As many as cannot be divided evenly.
        images(33, 2),
        # Machines of their own, which share no disk.
        Place(*(folder / (what if team.leads else f"{what}-{rank}") for what in PLACES)),
        data_digest="other" if "other" in words else "these",
        resume="resume" in words,
        watcher=Watcher(on_step=step),
        team=team,
    )
    part(team)
    if team.leads:  # The others are gone by then.
        time.sleep(3)
        predict(trained.model, images(16, 3).images)
    np.savez(folder / f"weights-{processes}-{rank}.npz", *trained.model.get_weights())
    losses = [loss for row in trained.history for loss in (row.loss, row.validation_loss)]
    np.save(folder / f"losses-{processes}-{rank}.npy", np.array(losses, np.float64))


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), sys.argv[5:])
    except (TeamError, ValueError) as error:
        print(error, file=sys.stderr, flush=True)
        leave_at_once(1)
