"""The embedding of an image by a trained network: the input of its last dense layer.

Images that show the same thing lie near each other in it, whatever their pixels are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from model_training.bundles.bundle import Bundle
from model_training.datasets.augmentation import Transform
from model_training.datasets.pictures.resizing import resized
from model_training.networks.cutting import split_network
from model_training.networks.frozen.features import extract
from model_training.networks.loading import load_network


def embed(
    bundle: Bundle,
    images: NDArray[np.uint8],
    folder: Path,
    on_images: Callable[[int], None] = lambda count: None,
    largest_side: int | None = None,
) -> NDArray[np.float16]:
    """Return the embedding of each image, (count, any), from `folder` if it is kept there.

    Args:
        bundle: one with a network.
        images: uint8 (count, height, width, 3); resized for a network that takes only one size.
        on_images: called with the number of images just done.
        largest_side: the largest side, in pixels, to which a network may enlarge images.

    Raises:
        ValueError: the bundle has no network, or one that cannot be loaded or cut.
    """
    if bundle.model_path is None:
        raise ValueError(f"{bundle.name} is only a report; its network is not here")
    network = load_network(bundle.model_path)
    if largest_side is not None:
        network = _at_most(network, largest_side)
    if network.input_shape[1] is not None:
        images = resized(images, network.input_shape[1])
    lower, _decision, _name = split_network(network)
    return extract([lower], images, (Transform(),), folder, on_images=on_images).views[0]


def _at_most(network: keras.Model, side: int) -> keras.Model:
    configuration = network.get_config()
    enlarging = [
        layer["config"]
        for layer in configuration["layers"]
        if layer["class_name"] == "Resizing" and layer["config"]["height"] > side
    ]
    if not enlarging:
        return network
    for config in enlarging:
        config |= {"height": side, "width": side}
    smaller = type(network).from_config(configuration)
    smaller.set_weights(network.get_weights())
    return smaller
