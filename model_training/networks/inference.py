"""A trained network for inference, in operations that every runtime has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

INPUT = "image"
"""The name of the network's input."""


def for_inference(network: keras.Model, size: int | None = None) -> keras.Model:
    """Return `network` for inference: dropout, augmentation and batch statistics are off for good.

    Keras' exporter to ONNX does not call a network as for inference, and random layers then stay
    on.

    Args:
        size: the side of the pictures that it takes, for a network that begins with a resizing.
            The resizing becomes a multiplication by two constant matrices, which gives the same
            pixels where a runtime has no bicubic resizing, or one that differs.
    """
    import keras

    resizing = next((one for one in network.layers if isinstance(one, keras.layers.Resizing)), None)
    if size is None or resizing is None:
        inputs = keras.Input(network.input_shape[1:], name=INPUT)
        return keras.Model(inputs, network(inputs, training=False), name=network.name)
    inputs = keras.Input((size, size, 3), name=INPUT)
    pixels = inputs
    if size != resizing.height:
        # A dense layer without a bias is a product that every runtime has: one over the columns of
        # pixels, one over the rows.
        kernel = resizing_matrix(resizing, size).T
        for turn, back in (((2, 3, 1), (3, 1, 2)), ((1, 3, 2), (1, 3, 2))):
            product = keras.layers.Dense(resizing.height, use_bias=False)
            pixels = keras.layers.Permute(back)(product(keras.layers.Permute(turn)(pixels)))
            product.set_weights([kernel])
    rest = keras.Model(resizing.output, network.output)
    return keras.Model(inputs, rest(pixels, training=False), name=network.name)


def resizing_matrix(resizing: keras.layers.Resizing, size: int) -> NDArray[np.float32]:
    """Return the matrix by which `resizing` multiplies a column of `size` pixels.

    Resizing is linear in the pixels and treats rows as it treats columns, so resizing the identity
    matrix in one direction gives all of it.

    Returns:
        float32 (height, size), where `height` is that of `resizing`.
    """
    import keras

    columns = np.eye(size, dtype=np.float32)[None, :, :, None]
    shape = (resizing.height, size)
    resized = keras.ops.image.resize(columns, shape, interpolation=resizing.interpolation)
    return np.asarray(keras.ops.convert_to_numpy(resized)[0, :, :, 0], np.float32)
