"""Initial weights that make a network quick to train: whitening filters, then the identity.

Both follow K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024.  They are set in a
recipe's `prepare`, not by Keras initializers: they depend on images, and a saved network should
load without this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

WHITENING_IMAGES = 5_000


def whiten(convolution: keras.layers.Conv2D, pixels: NDArray[np.floating[Any]]) -> None:
    """Make the first filters of `convolution` whiten patches of `pixels`.

    They are the eigenvectors of the patches' covariance, divided by the roots of their eigenvalues,
    each followed by its negative for an activation that cuts off one side.  Further filters stay as
    they are, brought to the same scale.

    Args:
        pixels: the input of the layer, (count, height, width, channels).
    """
    kernel = np.array(convolution.get_weights()[0])
    filters = whitening_filters(pixels, kernel.shape[0])
    both = np.stack([filters, -filters], axis=-1).reshape(*filters.shape[:3], -1)
    count = min(both.shape[-1], kernel.shape[-1])
    scale = np.median(_norms(both)) / np.median(_norms(kernel))
    kernel *= scale
    # The last eigenvectors are those of the largest eigenvalues: the ones to keep.
    kernel[..., :count] = both[..., -count:]
    convolution.kernel.assign(kernel)


def whitening_filters(
    pixels: NDArray[np.floating[Any]], side: int, epsilon: float = 5e-4
) -> NDArray[np.float32]:
    """Return filters that turn patches of `pixels` into uncorrelated numbers of variance one.

    Args:
        pixels: (count, height, width, channels).
        side: the side of a patch, in pixels.
        epsilon: added to each variance, against noise.

    Returns:
        float32 (side, side, channels, side * side * channels), the least variance first.
    """
    channels = pixels.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (side, side), axis=(1, 2))
    patches = windows[:, ::2, ::2].transpose(0, 1, 2, 4, 5, 3).reshape(-1, side * side * channels)
    centred = patches - patches.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    filters = vectors / np.sqrt(values + epsilon)
    return np.asarray(filters.reshape(side, side, channels, -1), np.float32)


def make_identity(convolution: keras.layers.Conv2D) -> None:
    """Make `convolution` begin as the identity (Dirac) on the channels that it has in and out."""
    kernel = np.array(convolution.get_weights()[0])
    middle = kernel.shape[0] // 2
    same = min(kernel.shape[2:])
    kernel[..., :same] = 0
    kernel[middle, middle, range(same), range(same)] = 1
    convolution.kernel.assign(kernel)


def _norms(kernel: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), axis=0))
