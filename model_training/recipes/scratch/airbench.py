"""Networks of our own after airbench: quick to train from scratch, and good.

The ideas are those of K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, and of
its successors: a frozen first layer that whitens patches, convolutions that begin as the identity,
convolution then pooling then batch normalisation (without a scale of its own), alternating flips,
shifts of a few pixels, label smoothing, a triangular learning rate, a much higher rate for biases,
and Muon.  What was tried here is in `docs/training-log.md`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.augmentation import Augmentation
from model_training.networks.initialization import make_identity, whiten
from model_training.recipes.phase import Optimizer, Phase, Schedule
from model_training.recipes.recipe import Recipe, Use
from model_training.recipes.scratch.inputs import MEAN, STANDARD_DEVIATION, standardized
from model_training.recipes.space import Choice, Space

if TYPE_CHECKING:
    import keras

PATCH = 2


def build(
    widths: tuple[int, int, int],
    depth: int,
    name: str,
    activations: tuple[str, str, str, str],
    classes: int = 10,
) -> keras.Model:
    """Build the network: raw RGB (batch, 32, 32, 3) to probabilities (batch, classes).

    Args:
        widths: the numbers of filters of the three groups.
        depth: convolutions in each group, 2 or 3; with 3 a residual connection skips the last two.
        activations: Keras' names of those after the whitening and in each group. The larger the
            images still are at that point, the more one costs.
    """
    import keras
    from keras import layers

    inputs, x = standardized()
    filters = 2 * 3 * PATCH**2
    x = layers.Conv2D(filters, PATCH, use_bias=False, trainable=False, name="whiten")(x)
    x = layers.Activation(activations[0], name="whiten_activation")(x)
    for number, (width, activation) in enumerate(zip(widths, activations[1:], strict=True), 1):
        x = before = _convolution(x, width, f"group{number}a", activation, pool=True)
        x = _convolution(x, width, f"group{number}b", activation)
        if depth == 3:
            x = _convolution(x, width, f"group{number}c", None)
            x = layers.Add(name=f"group{number}_add")([x, before])
            x = layers.Activation(activation, name=f"group{number}_activation")(x)
    x = layers.MaxPooling2D(3, name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(classes, use_bias=False, name="classes")(x)
    # Keeps the logits of a fresh network near zero, whatever the last layer's rate.
    x = layers.Rescaling(1 / 9, dtype="float32", name="logit_scale")(x)
    outputs = layers.Softmax(dtype="float32", name="probabilities")(x)
    return keras.Model(inputs, outputs, name=name)


def of_width(recipe: Recipe, width: float, _augmentation: float) -> Recipe:
    """Return `recipe` with a network of about `width` times the filters in each group."""
    own = cast("partial[keras.Model]", recipe.build)
    widths, *others = own.args
    # Multiples of 16: those that processors like.
    scaled = tuple(16 * max(1, round(filters * width / 16)) for filters in widths)
    if scaled == widths:
        return recipe
    return replace(recipe, build=partial(build, scaled, *others, **own.keywords), parameters=None)


def prepare(model: keras.Model, images: NDArray[np.uint8]) -> None:
    """Make the first layer whiten what reaches it of `images`, and the others begin as the
    identity."""
    whiten_first(model, images)
    begin_as_identity(model)


def whiten_first(model: keras.Model, images: NDArray[np.uint8]) -> None:
    """Make the first layer whiten patches of what reaches it of `images`."""
    mean, deviation = np.array(MEAN, np.float32), np.array(STANDARD_DEVIATION, np.float32)
    usual = frozenset({"standardize"})
    whiten(model, "whiten", images, usual, lambda pixels: (pixels - mean) / deviation)


def begin_as_identity(model: keras.Model) -> None:
    """Make every convolution of the three groups begin as the identity."""
    # By name: an option may have put a convolution of its own before them.
    for layer in model.layers:
        if re.fullmatch(r"group\d[abc]_conv", layer.name):
            make_identity(layer)


def _convolution(
    x: keras.KerasTensor, width: int, name: str, activation: str | None, *, pool: bool = False
) -> keras.KerasTensor:
    from keras import layers

    x = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    if pool:
        x = layers.MaxPooling2D(name=f"{name}_pool")(x)
    x = layers.BatchNormalization(momentum=0.6, scale=False, name=f"{name}_bn")(x)
    return layers.Activation(activation, name=f"{name}_activation")(x) if activation else x


MUON = Optimizer("muon", 0.75, momentum=0.85, weight_decay=0.009, bias_factor=64, muon_factor=0.13)
# Twice the batch size, so the learning rate is multiplied by the square root of two.
MUON_1024 = replace(MUON, learning_rate=1.06)
TRIANGLE = Schedule(warmup=0.1, start=0.2)

WIDTHS = Space({"width": Choice((0.5, 0.75, 1.0, 1.25, 1.5))}, of_width)

ONLY_SMALL = (
    "Photos from a phone, if another model is at hand: it has only ever seen 32x32 pixels, and "
    "those that began with ImageNet know large photos better."
)

FAST_CNN = Recipe(
    name="fast-cnn",
    title="Fast CNN",
    summary="Six convolutions behind a whitening layer; trained from scratch in minutes.",
    input_size=32,
    parameters=1_973_920,
    phases=(
        Phase(
            epochs=10,
            batch_size=1024,
            optimizer=MUON_1024,
            schedule=TRIANGLE,
            label_smoothing=0.2,
            augmentation=Augmentation(shift=2, flip="alternating"),
        ),
    ),
    precision="mixed_bfloat16",
    reported=None,
    build=partial(
        build, (64, 256, 256), 2, "fast_cnn", activations=("relu", "relu", "silu", "silu")
    ),
    prepare=prepare,
    space=WIDTHS,
    use=Use(
        good_for=(
            "Trying an idea: a change of the data or the training shows its effect in minutes.",
        ),
        not_for=(ONLY_SMALL,),
    ),
)

BEST_CNN = Recipe(
    name="best-cnn",
    title="Large CNN",
    summary="Nine wide convolutions with residual connections behind a whitening layer.",
    input_size=32,
    parameters=9_921_824,
    phases=(
        Phase(
            epochs=34,
            batch_size=1024,
            optimizer=MUON_1024,
            schedule=TRIANGLE,
            label_smoothing=0.2,
            augmentation=Augmentation(shift=4, flip="alternating", cutout=12),
        ),
    ),
    precision="mixed_bfloat16",
    reported=None,
    build=partial(
        build, (128, 384, 512), 3, "best_cnn", activations=("relu", "silu", "silu", "silu")
    ),
    prepare=prepare,
    space=WIDTHS,
    use=Use(
        good_for=("Naming pictures as small as CIFAR-10's without any help from other data.",),
        not_for=(
            ONLY_SMALL,
            "Answering on a small machine: it does three times the work of the custom CNN for each "
            "picture.",
        ),
    ),
)
