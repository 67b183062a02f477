"""The cost of what surrounds the training step: `python -m benchmarks.training_step`

Compares, for the custom CNN in its own precision and batch size: the bare compiled step on tensors
in memory; the trainer's loop, which gathers shuffled images; Keras' `fit` on NumPy arrays; and
`fit` compiled by XLA.
"""

from __future__ import annotations

import argparse

import keras
import numpy as np
import tensorflow as tf

from benchmarks.timing import alternate, print_table
from model_training.networks.precision import dtype_policy
from model_training.recipes import find_recipe
from model_training.training.learning.learner import compile_network, epoch_order, one_hot


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--xla", action="store_true", help="measure XLA too, slow to compile")
    arguments = parser.parse_args()

    recipe = find_recipe("custom-cnn")
    phase = recipe.phases[-1]
    batch, count = phase.batch_size, phase.batch_size * arguments.steps
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
    targets = one_hot(rng.integers(0, 10, count), 10)

    def made(jit_compile: bool | str = "auto") -> keras.Model:
        with dtype_policy(recipe.precision):
            model = recipe.build()
        compile_network(model, phase, 10_000)
        model.jit_compile = jit_compile
        return model

    bare, ours, fitted = made(), made(), made()

    step = tf.function(lambda x, y: bare.train_step((x, y)))
    tensors = tf.constant(images[:batch], tf.float32), tf.constant(targets[:batch])

    def bare_steps() -> None:
        for _ in range(arguments.steps):
            step(*tensors)

    def our_loop() -> None:
        order = epoch_order(count, 0, 0)
        for first in range(0, count, batch):
            chosen = order[first : first + batch]
            ours.train_on_batch(images[chosen], targets[chosen])

    candidates = {
        "bare step": bare_steps,
        "our loop": our_loop,
        "fit on NumPy arrays": lambda: fitted.fit(images, targets, batch_size=batch, verbose=0),
    }
    if arguments.xla:
        compiled = made(True)
        candidates["fit on NumPy arrays, jit_compile=True"] = lambda: compiled.fit(
            images, targets, batch_size=batch, verbose=0
        )
    print(f"{recipe.name}, batch {batch}, {recipe.precision}, {arguments.rounds} rounds\n")
    print_table(alternate(candidates, arguments.rounds), arguments.steps, "step")


if __name__ == "__main__":
    main()
