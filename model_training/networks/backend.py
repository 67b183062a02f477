"""A Keras network in this process as the judge's backend, on whatever backend Keras has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model_training.networks.cutting import split_network

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.float32]


class KerasBackend:
    """The features of `model`, the input of its last dense layer, and that layer's head.

    Raises:
        ValueError: the network has no dense layer, or more than a softmax behind it.
    """

    def __init__(self, model: keras.Model) -> None:
        self._lower, _upper, name = split_network(model)
        self.kernel, self.bias = head(model, name)
        self.width = len(self.kernel)

    def features(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return the features of `pixels`, uint8 RGB (count, side, side, 3): (count, width)."""
        return np.asarray(self._lower.predict_on_batch(pixels), np.float32)


def head(model: keras.Model, name: str) -> tuple[Floats, Floats]:
    """Return kernel (features, classes) and bias (classes,) that give `model`'s logits.

    They are those of the dense layer `name`, with the scale and the offset of any `Rescaling` that
    stands between it and the softmax taken into them.

    Raises:
        ValueError: anything else stands behind the layer, so that its weights alone do not tell
            the network's probabilities.
    """
    import keras

    layer = model.get_layer(name)
    behind: list[Any] = model.layers[model.layers.index(layer) + 1 :]
    *between, last = [layer, *behind]
    if behind and layer.activation is not keras.activations.linear:
        raise ValueError(f"something but a softmax stands behind the layer {name}")
    is_softmax = isinstance(last, keras.layers.Softmax) or (
        getattr(last, "activation", None) is keras.activations.softmax
    )
    if not is_softmax:
        raise ValueError(f"the network does not end in a softmax, but in {type(last).__name__}")
    kernel, *biases = (np.asarray(weight, np.float32) for weight in layer.get_weights())
    bias = biases[0] if biases else np.zeros(kernel.shape[1], np.float32)
    for one in between[1:]:
        if not isinstance(one, keras.layers.Rescaling):
            raise ValueError(f"something but a softmax stands behind the layer {name}")
        scale, offset = np.asarray(one.scale, np.float32), np.asarray(one.offset, np.float32)
        kernel, bias = kernel * scale, bias * scale + offset
    return kernel, bias
