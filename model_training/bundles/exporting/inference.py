"""A network as it is exported: pictures in, features and probabilities out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model_training.bundles.exporting.backend import FEATURES, INPUT, PROBABILITIES
from model_training.networks.cutting import split_network

if TYPE_CHECKING:
    import keras


def for_inference(network: keras.Model, size: int | None = None) -> keras.Model:
    """Return `network` as it answers, from its `INPUT` to the outputs `FEATURES`, which are what
    its last dense layer is given, and `PROBABILITIES`, both float32.

    Dropout, augmentation and batch statistics are off for good: Keras' exporter to ONNX calls a
    network without saying so, and random layers then stay on.

    Args:
        size: the side of the pictures that it takes, for a network that begins with a resizing.
            That becomes a multiplication by two constant matrices, which gives the same pixels
            where a runtime has no bicubic resizing or one of its own making.

    Raises:
        ValueError: the network has no dense layer.
    """
    import keras

    lower, upper, _name = split_network(network)
    resizing = find_resizing(lower)
    if size is None or resizing is None:
        pixels = inputs = keras.Input(network.input_shape[1:], name=INPUT)
    else:
        pixels = inputs = keras.Input((size, size, 3), name=INPUT)
        if size != resizing.height:
            pixels = _resized(pixels, resizing, size)
        lower = keras.Model(resizing.output, lower.output)
    features = lower(pixels, training=False)
    probabilities = upper(features, training=False)
    outputs = {FEATURES: features, PROBABILITIES: probabilities}
    return keras.Model(
        inputs,
        {name: keras.ops.cast(output, "float32") for name, output in outputs.items()},
        name=network.name,
    )


def find_resizing(network: keras.Model) -> keras.layers.Resizing | None:
    """Return the layer with which `network` brings pictures to its size, if it has one."""
    import keras

    return next((one for one in network.layers if isinstance(one, keras.layers.Resizing)), None)


def resizing_matrix(resizing: keras.layers.Resizing, size: int) -> NDArray[np.float32]:
    """Return what `resizing` does to one column of `size` pixels, float32 (height, size).

    Resizing is linear in the pixels and does the same to rows as to columns, so what it makes of
    the identity matrix, stretched in one direction, is all that it does.
    """
    import keras

    columns = np.eye(size, dtype=np.float32)[None, :, :, None]
    shape = (resizing.height, size)
    resized = keras.ops.image.resize(columns, shape, interpolation=resizing.interpolation)
    return np.asarray(keras.ops.convert_to_numpy(resized)[0, :, :, 0], np.float32)


def _resized(
    pixels: keras.KerasTensor, resizing: keras.layers.Resizing, size: int
) -> keras.KerasTensor:
    import keras

    # A dense layer without a bias is the product that every runtime has: once over what stands
    # above each other, once over what stands beside each other.
    kernel = resizing_matrix(resizing, size).T
    for turn, back in (((2, 3, 1), (3, 1, 2)), ((1, 3, 2), (1, 3, 2))):
        product = keras.layers.Dense(resizing.height, use_bias=False)
        pixels = keras.layers.Permute(back)(product(keras.layers.Permute(turn)(pixels)))
        product.set_weights([kernel])
    return pixels
