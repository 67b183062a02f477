"""The preprocessing of networks that were trained on ImageNet, and what they are good for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model_training.recipes.recipe import Use

if TYPE_CHECKING:
    import keras

MEAN = (123.68, 116.779, 103.939)
"""Red, green and blue of the ImageNet images, 0 to 255: VGG16 and ResNet50 subtract it."""

SOURCE = "A course project's report on CIFAR-10"

REAL_PHOTOS = "Photos of your own: it learned from ImageNet's large photographs first."
TRANSFER = (
    "Learning what transfer learning is: most of what it knows was learned on other pictures, and "
    "carried over."
)
FROM_THE_WEB = (
    "Whatever ImageNet has little of: its photographs were gathered on the web, and what is rare "
    "there, or looks otherwise elsewhere in the world, it knows less well."
)
COARSE = (
    "The best figure on CIFAR-10: its layers stayed as they were for large photographs, and a "
    "picture of 32 pixels is none, enlarged or not."
)
TOO_LARGE = (
    "not in a few hours without a graphics card, and it begins with weights that have to be "
    "downloaded"
)
USE_FROZEN = Use(good_for=(REAL_PHOTOS, TRANSFER), not_for=(FROM_THE_WEB, COARSE))
"""The use of a network whose pretrained layers stay frozen, on CIFAR-10."""
USE_PRETRAINED = Use(good_for=(REAL_PHOTOS, TRANSFER), not_for=(FROM_THE_WEB,))
"""The use of any other that begins with pretrained layers."""


def centred_input(size: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Build the layers that resize RGB of any size, 0 to 255, to `size` and subtract `MEAN`.

    Returns:
        The input, and the output of shape (batch, size, size, 3).
    """
    from keras import layers

    inputs, x = unscaled_input(size)
    return inputs, layers.Rescaling(1.0, [-mean for mean in MEAN], dtype="float32", name="center")(
        x
    )


def scaled_input(
    size: int, interpolation: str = "bilinear"
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Build the layers that resize RGB of any size, 0 to 255, to `size` and scale it to -1 to 1.

    Returns:
        The input, and the output of shape (batch, size, size, 3).
    """
    import keras
    from keras import layers

    inputs = keras.Input((None, None, 3), name="image")
    x = layers.Resizing(size, size, interpolation, name="resize")(inputs)
    return inputs, layers.Rescaling(1 / 127.5, -1.0, name="scale")(x)


def unscaled_input(size: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Build the layer that resizes RGB of any size, 0 to 255, to `size`, for networks that scale.

    Returns:
        The input, and the output of shape (batch, size, size, 3).
    """
    import keras
    from keras import layers

    inputs = keras.Input((None, None, 3), name="image")
    return inputs, layers.Resizing(size, size, dtype="float32", name="resize")(inputs)


def standardized_input(size: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Build the layers that resize RGB of any size, 0 to 255, to `size` and give each channel
    ImageNet's mean 0 and deviation 1.

    Returns:
        The input, and the output of shape (batch, size, size, 3).
    """
    from keras import layers

    inputs, x = unscaled_input(size)
    moments = zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
    scale, offset = zip(*((1 / (255 * each), -mean / each) for mean, each in moments), strict=True)
    standardize = layers.Rescaling(list(scale), list(offset), dtype="float32", name="standardize")
    return inputs, standardize(x)


def freeze(base: keras.Model) -> None:
    """Keep every layer of `base` as it is, whatever a phase trains."""
    for layer in base.layers:
        layer.trainable = False


def freeze_batch_normalization(base: keras.Model) -> None:
    """Keep ImageNet's statistics in `base` whatever is trained: small batches would ruin them."""
    import keras

    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def reverse_channels(first: str) -> Callable[[str, list[NDArray[Any]]], list[NDArray[Any]]]:
    """Return a function that reverses the input channels of layer `first`'s weights.

    Keras' own weights expect BGR; the reversed ones take RGB.
    """

    def adapt(name: str, weights: list[NDArray[Any]]) -> list[NDArray[Any]]:
        if name != first:
            return weights
        return [np.ascontiguousarray(weights[0][:, :, ::-1]), *weights[1:]]

    return adapt
