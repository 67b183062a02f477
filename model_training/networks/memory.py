"""Batch sizes with which a network stays within the memory of a small machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

_PIXELS_AT_A_TIME = 500 * 32 * 32


def batch_within_memory(network: keras.Model) -> int:
    """Return the images that `network` takes at a time: 500 of 32 pixels, fewer if larger.

    That keeps the largest activation of a network near 130 MB.
    """
    sides = [
        layer.output.shape[1]
        for layer in network.layers
        if len(layer.output.shape) == 4 and layer.output.shape[1]
    ]
    return max(16, min(500, _PIXELS_AT_A_TIME // max(sides, default=32) ** 2))
