"""What networks from scratch do to raw pixels first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_training.recipes.recipe import Use

if TYPE_CHECKING:
    import keras

# Each channel's of the CIFAR-10 training images, 0 to 255.
MEAN = (125.307, 122.950, 113.865)
STANDARD_DEVIATION = (62.993, 62.089, 66.705)


def scaled(side: int = 32) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Build an input of raw RGB, 0 to 255, and what scales it to 0 to 1.

    Returns:
        The input and the output, both (batch, side, side, 3).
    """
    import keras
    from keras import layers

    inputs = keras.Input((side, side, 3), name="image")
    return inputs, layers.Rescaling(1 / 255, name="scale")(inputs)


def standardized(side: int = 32) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Build an input of raw RGB, 0 to 255, and what gives each channel mean 0 and deviation 1.

    The figures are CIFAR-10's; of other photographs they differ by little.

    Returns:
        The input and the output, both (batch, side, side, 3).
    """
    import keras
    from keras import layers

    inputs = keras.Input((side, side, 3), name="image")
    scale = [1 / deviation for deviation in STANDARD_DEVIATION]
    offset = [-mean / deviation for mean, deviation in zip(MEAN, STANDARD_DEVIATION, strict=True)]
    return inputs, layers.Rescaling(scale, offset, dtype="float32", name="standardize")(inputs)


USE = Use(
    good_for=(
        "Comparing what layers and ways of training are worth: its page shows what its source "
        "reached, and what was reached here.",
    ),
    not_for=(
        "Photos from a phone, if another model is at hand: it has only ever seen small pictures, "
        "and those that began with ImageNet know large photos better.",
    ),
)
"""The use of a network that is here because a source reported it."""

SOURCE = "A course project's report on CIFAR-10"
