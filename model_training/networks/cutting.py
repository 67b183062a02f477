"""A network cut in two."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def split_network(model: keras.Model) -> tuple[keras.Model, keras.Model, str]:
    """Cut `model` before its last dense layer.

    Returns:
        The part from images to features, the part from features to probabilities, and the name of
        the layer.

    Raises:
        ValueError: it has no such layer.
    """
    import keras

    from model_training.networks.features import cut

    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    if not dense:
        raise ValueError("the network has no dense layer, so nothing tells its features")
    return (*cut(model, dense[-1].name), dense[-1].name)
