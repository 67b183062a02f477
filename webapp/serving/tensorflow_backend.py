"""A loaded network as compiled TensorFlow functions: the judge's backend, and its gradients."""

from __future__ import annotations

import threading
from functools import cached_property
from itertools import dropwhile, groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from model_training.explaining.target import MapGradient, NoExplanation
from model_training.networks.backend import head
from model_training.networks.cutting import exposing, split_network

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
        self._lower = lower
        self._images = tf.TensorSpec(model.input_shape, tf.float32)
        # Traced here: to find the trace again at each call would take half a millisecond.
        self._look: Any = tf.function(
            lambda images: tf.cast(lower(images, training=False), tf.float32),
            input_signature=[self._images],
            autograph=False,
        ).get_concrete_function()
        # Not traced before somebody asks: it takes a second, and a program never does.
        self._by_maps: dict[int, Any] = {}
        self._tracing = threading.Lock()

    def features(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return the features of `pixels`, uint8 RGB (count, side, side, 3): (count, width)."""
        return np.asarray(self._look(tf.constant(pixels.astype(np.float32))))

    def map_gradients(
        self, view: NDArray[np.uint8], direction: Floats, stages: int
    ) -> list[MapGradient]:
        """Return the last feature maps of each of `stages` sizes with the gradients of a score.

        Args:
            view: uint8 (side, side, 3).
            direction: the slope of the score in the features, float32 (width,).
            stages: the number of sizes to go back from the last; fewer where the network has fewer.

        Returns:
            Maps and gradients, float32 (rows, columns, channels) each, the network's last first.

        Raises:
            NoExplanation: the network has no feature maps.
        """
        ends = self._ends[:stages]
        if not ends:
            raise NoExplanation("this network has no feature maps")
        with self._tracing:  # Or all who ask in that second would trace it, each more slowly.
            if len(ends) not in self._by_maps:
                self._by_maps[len(ends)] = self._differentiated_by_maps(ends)
        found = self._by_maps[len(ends)](
            tf.constant(view[np.newaxis].astype(np.float32)), tf.constant(direction, tf.float32)
        )
        return [MapGradient(np.asarray(maps)[0], np.asarray(slope)[0]) for maps, slope in found]

    def pixel_gradients(self, images: Floats, directions: Floats) -> Floats:
        """Return how the score of each image changes with its pixels, (count, side, side, 3).

        Args:
            images: float32 (count, side, side, 3), 0 to 255.
            directions: the slope of each score in the features, float32 (count, width).
        """
        return np.asarray(self._by_pixels(images, directions))

    @cached_property
    def _ends(self) -> list[Any]:
        """Return the last layer of each size of feature maps, from the network's end on.

        What only pads or pools has no maps of its own, and a convolution that the next size begins
        with is not activated yet: where there is another, that is taken.
        """
        import keras

        convolutions = (
            keras.layers.Conv2D,
            keras.layers.DepthwiseConv2D,
            keras.layers.SeparableConv2D,
        )
        # The last layer of all is the features: maps that nothing follows are none.
        maps = [layer for layer in self._lower.layers[:-1] if len(layer.output.shape) == 4]
        ends = []
        for _size, group in groupby(maps, lambda layer: layer.output.shape[1:3]):
            layers = list(dropwhile(lambda layer: not isinstance(layer, convolutions), group))
            activated = [
                layer
                for layer in layers
                if not isinstance(layer, convolutions)
                or layer.activation is not keras.activations.linear
            ]
            ends += (activated or layers)[-1:]
        return ends[::-1]

    def _differentiated_by_maps(self, ends: list[Any]) -> Any:
        network = exposing(self._lower, [layer.name for layer in ends])

        def differentiate(images: Any, direction: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(images)
                *maps, features = network(images, training=False)
                # The class's score before the softmax, which would mix in all the others'.
                score = tf.linalg.matvec(tf.cast(features, tf.float32), direction)
            slopes = tape.gradient(score, maps)
            return [
                (tf.cast(one, tf.float32), tf.cast(slope, tf.float32))
                for one, slope in zip(maps, slopes, strict=True)
            ]

        return tf.function(
            differentiate,
            input_signature=[self._images, tf.TensorSpec((self.width,), tf.float32)],
            autograph=False,
        ).get_concrete_function()

    @cached_property
    def _by_pixels(self) -> Any:
        def differentiate(images: Any, directions: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(images)
                features = tf.cast(self._lower(images, training=False), tf.float32)
                score = tf.reduce_sum(features * directions, axis=-1)
            return tape.gradient(score, images)

        return tf.function(
            differentiate,
            input_signature=[self._images, tf.TensorSpec((None, self.width), tf.float32)],
            autograph=False,
        )
