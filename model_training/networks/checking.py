"""Checks of a network before it is trained: one that cannot be right is refused, and one that will
hardly learn is reported."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from model_training.networks.cutting import as_functional, cut
from model_training.networks.memory import batch_within_memory

LOOKED_AT = 32
"""The most images that a network is tried on."""
LARGE = 10.0
"""If a network scales its input, the mean of what reaches its first weights is far below this."""
WILD = 10.0
"""A first loss is wild if it is more than this many times that of guessing, -log(1 / classes)."""

Floats = NDArray[np.float32]


def checked(model: keras.Model, name: str, classes: int, parameters: int | None) -> keras.Model:
    """Return `model`, in functional form, if it is what its recipe says it is.

    Args:
        name: of the recipe.
        parameters: the number that the recipe states; None if it states none.

    Raises:
        ValueError: it has another number of parameters, its output is not (batch, classes), or it
            is not made of layers in a way that can be cut.
    """
    try:
        model = as_functional(model)
    except ValueError as error:
        raise ValueError(f"The network of {name} cannot be trained: {error}.") from error
    if model.output.shape != (None, classes):
        raise ValueError(
            f"The network of {name} answers {model.output.shape}, and for {classes} classes it "
            f"must answer (None, {classes}). End it with a dense layer of as many units as "
            "`classes` says."
        )
    found = model.count_params()
    if parameters is not None and found != parameters:
        raise ValueError(
            f"The network of {name} has {found:,} parameters, and its recipe states "
            f"{parameters:,}. Correct the recipe's `parameters`, or leave it out."
        )
    return model


def find_doubts(model: keras.Model, images: NDArray[np.uint8], labels: NDArray[Any]) -> list[str]:
    """Try `model` on a few images as in a first step of training, and return what looks wrong.

    Nothing in `model` changes: neither batch statistics nor the state of random generators.

    Args:
        images: uint8 (count, height, width, 3), of which the first few are used.
        labels: (count,).

    Returns:
        A sentence or two for each doubt; none for a network that scales its input and begins near
        the loss of guessing.
    """
    count = min(LOOKED_AT, batch_within_memory(model), len(images))
    pixels = images[:count].astype(np.float32)
    answers, labels = _run(model, pixels), labels[:count]
    doubts = _about_scale(model, pixels)
    if not np.isfinite(answers).all():
        return [
            *doubts,
            "The network's first answers are not numbers, so it will hardly learn anything.",
        ]
    if answers.min() < 0 or np.abs(answers.sum(axis=1) - 1).max() > 0.05:
        return [
            *doubts,
            "The network does not answer with probabilities: they are negative, or do not add up "
            'to 1. End it with activation="softmax".',
        ]
    # Keras clips probabilities at 1e-7, which would make every wild loss 16.1.
    right = answers[np.arange(count), labels].astype(np.float64)
    loss = float(-np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean())
    guessing = math.log(answers.shape[1])
    if loss > WILD * guessing and not doubts:  # Unscaled input makes the loss wild as well.
        doubts.append(
            f"The network's first loss is {loss:.1f}, where guessing costs {guessing:.1f}: it "
            "begins very sure of wrong answers. Normalise what its last layers are given, or begin "
            "with smaller weights."
        )
    return doubts


def _about_scale(model: keras.Model, pixels: Floats) -> list[str]:
    # Black and white are added, whatever these pictures are: input from which ImageNet's mean was
    # subtracted is as large as unscaled input, but its black is far below zero.
    black, white = np.zeros_like(pixels[:1]), np.full_like(pixels[:1], 255)
    try:
        name, given = _given_to_the_first_weights(model, np.concatenate([pixels, black, white]))
    except ValueError:  # It cannot be cut there, so the scale is unknown.
        return []
    low, high = float(given.min()), float(given.max())
    # Not below zero, since resizing overshoots by a little.
    if given.mean() > LARGE and low > -high / 5:
        return [
            f"The network seems to take 0 to 255 unscaled: what reaches {name!r} goes from "
            f"{low:.0f} to {high:.0f}. Begin it with layers.Rescaling(1 / 255)."
        ]
    return []


def _given_to_the_first_weights(model: keras.Model, inputs: Floats) -> tuple[str, Floats]:
    """Return the name of the first layer with a kernel, and its input when the network is given
    `inputs`.

    Raises:
        ValueError: there is none, or the network cannot be cut before it.
    """
    for layer in model.layers:
        # Weights with one axis belong to a normalisation, which does scale.
        if any(len(weight.shape) > 1 for weight in layer.weights):
            given = _run(cut(model, layer.name)[0], inputs)
            if isinstance(layer, keras.Model):
                return _given_to_the_first_weights(layer, given)
            return layer.name, given
    raise ValueError("the network has no layer with a kernel")


def _run(model: keras.Model, inputs: Floats) -> Floats:
    # As in training, where batches are normalised by their own statistics; and stateless, so that
    # whatever this changes or draws is discarded.
    outputs, _changed = model.stateless_call(
        model.trainable_variables, model.non_trainable_variables, inputs, training=True
    )
    return np.asarray(keras.ops.convert_to_numpy(outputs), np.float32)
