"""What networks that were trained on ImageNet expect of their input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEAN = (123.68, 116.779, 103.939)
"""Of the ImageNet images, red, green, blue, 0 to 255: what VGG16 and ResNet50 subtract."""


def reverse_channels(first: str) -> Callable[[str, list[NDArray[Any]]], list[NDArray[Any]]]:
    """Turn the channels of layer `first` round, so that it takes RGB: Keras' own expect BGR."""

    def adapt(name: str, weights: list[NDArray[Any]]) -> list[NDArray[Any]]:
        if name != first:
            return weights
        return [np.ascontiguousarray(weights[0][:, :, ::-1]), *weights[1:]]

    return adapt
