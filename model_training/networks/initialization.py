"""Initial weights that make a network quick to train: whitening filters, then the identity.

Both follow K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024.  They are set in a
recipe's `prepare`, not by Keras initializers: they depend on images, and a saved network should
load without this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model_training.networks.cutting import cut

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.floating[Any]]

WHITENING_IMAGES = 5_000
MOST_PATCHES = 130_000
"""Patches that are sampled, at most: of any size of images they tell the same covariance."""
PIXELS_AT_ONCE = 2**22


def whiten(
    model: keras.Model,
    name: str,
    images: NDArray[np.uint8],
    usual: frozenset[str],
    scaled: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> None:
    """Make the first filters of the convolution `name` whiten patches of what reaches it.

    They are the eigenvectors of the patches' covariance, divided by the roots of their eigenvalues,
    each followed by its negative for an activation that cuts off one side.  Further filters stay as
    they are, brought to the same scale.

    Args:
        images: those that the network will learn from; the first `WHITENING_IMAGES` are looked at.
        usual: the names of the layers that the recipe itself has before the convolution.
        scaled: what these make of the images, where an option has put no others among them.
    """
    convolution = model.get_layer(name)
    kernel = np.array(convolution.get_weights()[0])
    images, side = images[:WHITENING_IMAGES], kernel.shape[0]
    if _layers_before(model, name) <= usual:
        # In float32 whatever the precision of the layers: so the networks that ship began.
        filters = whitening_filters(scaled(images.astype(np.float32)), side)
    else:
        filters = whitening_of(sampled_patches(model, name, images, side), side)
    both = np.stack([filters, -filters], axis=-1).reshape(*filters.shape[:3], -1)
    count = min(both.shape[-1], kernel.shape[-1])
    scale = np.median(_norms(both)) / np.median(_norms(kernel))
    kernel *= scale
    # The last eigenvectors are those of the largest eigenvalues: the ones to keep.
    kernel[..., :count] = both[..., -count:]
    convolution.kernel.assign(kernel)


def whitening_filters(pixels: Floats, side: int) -> NDArray[np.float32]:
    """Return filters that turn patches of `pixels` into uncorrelated numbers of variance one.

    Args:
        pixels: (count, height, width, channels).
        side: the side of a patch, in pixels.

    Returns:
        float32 (side, side, channels, side * side * channels), the least variance first.
    """
    return whitening_of(_patches(pixels, side, every=2), side)


def whitening_of(patches: Floats, side: int, epsilon: float = 5e-4) -> NDArray[np.float32]:
    """Return the filters that make `patches` uncorrelated numbers of variance one.

    Args:
        patches: (count, side * side * channels).
        epsilon: added to each variance, against noise.

    Returns:
        float32 (side, side, channels, side * side * channels), the least variance first.
    """
    centred = patches - patches.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    filters = vectors / np.sqrt(values + epsilon)
    return np.asarray(filters.reshape(side, side, -1, patches.shape[1]), np.float32)


def reaching(
    model: keras.Model, name: str, images: NDArray[np.uint8]
) -> Iterator[NDArray[np.float64]]:
    """Yield what reaches the layer `name` of `images`, (count, height, width, channels).

    So many at a time that large ones fit into the memory of a small machine.
    """
    import keras

    lower, _upper = cut(model, name)
    side = lower.output.shape[1] or images.shape[1]
    count = max(1, PIXELS_AT_ONCE // side**2)
    for start in range(0, len(images), count):
        found = lower(images[start : start + count], training=False)
        yield np.asarray(keras.ops.convert_to_numpy(found), np.float64)


def sampled_patches(
    model: keras.Model, name: str, images: NDArray[np.uint8], side: int
) -> NDArray[np.float64]:
    """Return patches of what reaches the layer `name` of `images`, (count, side * side * channels).

    They lie on a grid that is the wider the larger the images are.
    """
    found = []
    for pixels in reaching(model, name, images):
        places = pixels.shape[1] - side + 1
        every = max(2, math.ceil(places * math.sqrt(len(images) / MOST_PATCHES)))
        found.append(_patches(pixels, side, every))
    return np.asarray(np.concatenate(found))


def make_identity(convolution: keras.layers.Conv2D) -> None:
    """Make `convolution` begin as the identity (Dirac) on the channels that it has in and out."""
    kernel = np.array(convolution.get_weights()[0])
    middle = kernel.shape[0] // 2
    same = min(kernel.shape[2:])
    kernel[..., :same] = 0
    kernel[middle, middle, range(same), range(same)] = 1
    convolution.kernel.assign(kernel)


def _layers_before(model: keras.Model, name: str) -> set[str]:
    import keras

    lower, _upper = cut(model, name)
    return {one.name for one in lower.layers if not isinstance(one, keras.layers.InputLayer)}


def _patches(pixels: Floats, side: int, every: int) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (side, side), axis=(1, 2))
    chosen = windows[:, ::every, ::every]
    return chosen.transpose(0, 1, 2, 4, 5, 3).reshape(-1, side * side * pixels.shape[-1])


def _norms(kernel: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), axis=0))
