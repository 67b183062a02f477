"""The end that most networks here have: a softmax over the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def ended(inputs: keras.KerasTensor, x: keras.KerasTensor, classes: int, name: str) -> keras.Model:
    """Build the network from `inputs` to the probabilities of `classes`, given the features `x`."""
    import keras

    # In float32 whatever the policy: a softmax in bfloat16 has only two digits.
    outputs = keras.layers.Dense(
        classes, activation="softmax", dtype="float32", name="probabilities"
    )(x)
    return keras.Model(inputs, outputs, name=name)
