"""Batch normalisation in one operation, where the backend has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def normalize_at_once(network: keras.Model) -> None:
    """Let the batch normalisation of images in `network` learn by TensorFlow's `FusedBatchNormV3`.

    Keras computes mean, variance and result in a dozen operations, and each reads or writes all
    activations, as do their gradients.  One operation does the same but for rounding, and a step of
    `cnn-augmented`, which normalises large activations, takes 0.85 of the time on two cores; where
    convolutions are nearly all of a step it is worth nothing (`benchmarks/normalization.py`).  The
    layers stay Keras' own: they are saved, copied and used as before, and compute as before where
    nothing is learned.  On other backends, which compile a step as a whole, nothing is changed.
    """
    if keras.backend.backend() != "tensorflow":
        return
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            normalize_at_once(layer)
        elif isinstance(layer, keras.layers.BatchNormalization) and not _is_at_once(layer):
            layer.call = _at_once(layer)


def _is_at_once(layer: keras.layers.BatchNormalization) -> bool:
    # Phases share layers, and each phase is made ready by itself.
    return "call" in vars(layer)


def _at_once(layer: keras.layers.BatchNormalization) -> Callable[..., Any]:
    import tensorflow as tf

    as_keras_does = layer.call

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        learns = training and layer.trainable
        rank = len(inputs.shape)
        if not learns or mask is not None or rank != 4 or layer.axis not in (-1, rank - 1):
            return as_keras_does(inputs, training=training, mask=mask)
        x = ops.cast(inputs, "float32")
        like = layer.moving_mean
        found = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=ops.ones_like(like) if layer.gamma is None else layer.gamma.value,
            offset=ops.zeros_like(like) if layer.beta is None else layer.beta.value,
            mean=[],
            variance=[],
            epsilon=layer.epsilon,
        )
        # Its variance is that of all images, as estimated; Keras remembers that of the batch.
        count = ops.cast(ops.size(x) / ops.shape(x)[-1], "float32")
        variance = found.batch_variance * ((count - 1) / count)
        for remembered, value in (
            (layer.moving_mean, found.batch_mean),
            (layer.moving_variance, variance),
        ):
            kept = layer.momentum
            remembered.assign(remembered * kept + value * (1 - kept))
        return ops.cast(found.y, layer.compute_dtype)

    return call
