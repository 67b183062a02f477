"""The block of convolutions of which networks from scratch are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def block(
    x: keras.KerasTensor,
    number: int,
    widths: Sequence[int],
    *,
    normalized: bool = True,
    dropout: float = 0.0,
    activation: str = "relu",
    **options: Any,
) -> keras.KerasTensor:
    """Build 3x3 convolutions of `widths` filters, then a pooling, and dropout if any.

    Args:
        number: of the block, for the names of its layers.
        normalized: batch normalisation after the activation of each convolution.
        options: of each convolution, for Keras.
    """
    from keras import layers

    options |= {"padding": "same", "activation": activation}
    for letter, width in zip("abc", widths, strict=False):
        x = layers.Conv2D(width, 3, name=f"block{number}{letter}_conv", **options)(x)
        if normalized:
            x = layers.BatchNormalization(name=f"block{number}{letter}_bn")(x)
    x = layers.MaxPooling2D(name=f"block{number}_pool")(x)
    return layers.Dropout(dropout, name=f"block{number}_dropout")(x) if dropout else x
