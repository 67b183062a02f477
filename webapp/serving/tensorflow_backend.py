"""A loaded network as compiled TensorFlow functions: the judge's backend, and its Grad-CAM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from model_training.networks.backend import head
from model_training.networks.cutting import cut, split_network

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.float32]


class TensorFlowBackend:
    """The features of `model`, compiled: about 1 ms an image, where `model.predict` takes 40.

    `kernel` (features, classes) and `bias` (classes,) are those of the network's head, and `width`
    is the number of its features.

    Raises:
        ValueError: the network has no dense layer, or does more than a softmax behind it.
    """

    def __init__(self, model: keras.Model) -> None:
        lower, _upper, name = split_network(model)
        self.kernel, self.bias = head(model, name)
        self.width = len(self.kernel)
        self._has_maps, images_to_maps, maps_to_features = _at_the_last_maps(lower)
        kernel = tf.constant(self.kernel)

        def explain(images: Any, number: Any) -> Any:
            maps = tf.cast(images_to_maps(images, training=False), tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(maps)
                features = tf.cast(maps_to_features(maps, training=False), tf.float32)
                # The class's score before the softmax, which would mix in all the others'.
                score = tf.linalg.matvec(features, tf.gather(kernel, number, axis=1))
            weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
            return tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1))

        images = tf.TensorSpec(model.input_shape, tf.float32)
        self._look: Any = tf.function(
            lambda images: tf.cast(lower(images, training=False), tf.float32),
            input_signature=[images],
        )
        # Not traced before somebody asks: most never do, and it takes a second.
        self._explain: Any = tf.function(
            explain, input_signature=[images, tf.TensorSpec((), tf.int32)]
        )

    def features(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return the features of `pixels`, uint8 RGB (count, side, side, 3): (count, width)."""
        return np.asarray(self._look(pixels.astype(np.float32)))

    def heat(self, view: NDArray[np.uint8], number: int) -> Floats:
        """Return Grad-CAM (R. Selvaraju et al., 2017) of class `number` at the last convolution.

        Returns:
            float32 (rows, columns), 0 to 1; all 0 where nothing speaks for the class.

        Raises:
            ValueError: the network has no feature maps.
        """
        if not self._has_maps:
            raise ValueError("this network has no feature maps")
        found = np.asarray(self._explain(view[np.newaxis].astype(np.float32), number))[0]
        return np.asarray(found / max(float(found.max()), 1e-12), np.float32)


def _at_the_last_maps(lower: keras.Model) -> tuple[bool, Any, Any]:
    """Cut `lower` behind its last convolution and what is done to its maps at the same size."""
    import keras

    convolutions = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
    numbers = [
        number for number, layer in enumerate(lower.layers) if isinstance(layer, convolutions)
    ]
    if not numbers:
        return False, lower, lambda features, training: features
    last = numbers[-1]
    shape = lower.layers[last].output.shape
    while last + 1 < len(lower.layers) and lower.layers[last + 1].output.shape == shape:
        last += 1
    if last + 1 == len(lower.layers):
        return False, lower, lambda features, training: features
    return (True, *cut(lower, lower.layers[last + 1].name))
