"""Batch normalisation folded into the layers in front of it, for a network that only answers.

What it multiplies and adds is fixed once a network has learned, so the kernel and the bias in front
of it can do that: each pass over all activations that is left out was a pass through memory.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model_training.networks.cutting import as_functional

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.float32]


def fold_normalization(model: keras.Model) -> keras.Model:
    """Return a network that answers as `model` does, but for rounding, in less time.

    Batch normalisation right behind a convolution or a dense layer, or with only pooling between
    them, is taken into that layer's weights; a layer of the same name that changes nothing stands
    in its place.  All other layers, and their weights, are shared with `model`; a network
    inside it is left as it is.

    Args:
        model: functional or sequential; it is not to be trained any further.

    Raises:
        ValueError: as `as_functional`.
    """
    import keras

    model = as_functional(model)
    kind = keras.layers.BatchNormalization
    normalizations = [layer for layer in model.layers if isinstance(layer, kind)]
    if not normalizations:  # Nor is it worth rebuilding.
        return model
    graph = _Graph()
    # Rebuilt from its own layers, each is called anew and tells what it is given.
    keras.models.clone_model(model, clone_function=lambda one: one, call_function=graph.record)
    instead: dict[str, Any] = {}
    weights: dict[str, list[Floats]] = {}
    for layer in normalizations:
        source = graph.source_of(layer)
        if source is not None:
            weights[source.name] = _folded(source, layer)
            config = source.get_config() | {"use_bias": True}
            instead[source.name] = type(source).from_config(config)
            instead[layer.name] = keras.layers.Activation("linear", name=layer.name)
    if not instead:
        return model

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        # Batch normalisation is told whether it learns, and what took its place is not.
        return layer(*arguments, **({} if layer.name in instead else options))

    folded = keras.models.clone_model(
        model, clone_function=lambda one: instead.get(one.name, one), call_function=call
    )
    for name, values in weights.items():
        folded.get_layer(name).set_weights(values)
    return folded


@dataclass
class _Graph:
    """Which layer made each tensor of a network, and how often each is used."""

    made_by: dict[int, Any] = field(default_factory=dict)
    given: dict[str, list[Any]] = field(default_factory=dict)
    uses: Counter[int] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    kept: list[Any] = field(default_factory=list)

    def record(self, layer: Any, *arguments: Any, **options: Any) -> Any:
        import keras

        made = layer(*arguments, **options)
        self.calls[layer.name] += 1
        self.kept.append(made)  # Or the number of one that is gone would be another's.
        for tensor in keras.tree.flatten((arguments, options)):
            self.given.setdefault(layer.name, []).append(tensor)
            self.uses[id(tensor)] += 1
        for tensor in keras.tree.flatten(made):
            self.made_by[id(tensor)] = layer
        return made

    def source_of(self, normalization: Any) -> Any:
        """Return the layer into which `normalization` can be folded, None if there is none."""
        import keras

        layers = keras.layers
        layer: Any = normalization
        pooled = False
        while True:
            tensors = [one for one in self.given[layer.name] if isinstance(one, keras.KerasTensor)]
            # Used by two, what it is given would be normalised for both.
            if len(tensors) != 1 or self.uses[id(tensors[0])] > 1:
                return None
            (tensor,) = tensors
            layer = self.made_by.get(id(tensor))
            if isinstance(layer, layers.MaxPooling2D | layers.AveragePooling2D):
                pooled = pooled or isinstance(layer, layers.MaxPooling2D)
            else:
                break
        fits = (
            self.calls[getattr(layer, "name", "")] == 1
            and type(layer) in (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
            and layer.activation is keras.activations.linear
            and getattr(layer, "data_format", "channels_last") == "channels_last"
            and normalization.axis in (-1, len(tensor.shape) - 1)
            # In fewer digits the product of two would be rounded otherwise than each.
            and {layer.compute_dtype, normalization.compute_dtype} == {"float32"}
            # The largest of a pool is the smallest, once it is multiplied by less than nothing.
            and not (pooled and (_scale(normalization) <= 0).any())
        )
        return layer if fits else None


def _scale(normalization: Any) -> Floats:
    scale: Floats = 1 / np.sqrt(np.asarray(normalization.moving_variance) + normalization.epsilon)
    return scale if normalization.gamma is None else scale * np.asarray(normalization.gamma)


def _folded(source: Any, normalization: Any) -> list[Floats]:
    """Return kernel and bias with which `source` does what `normalization` does behind it."""
    kernel, *biases = source.get_weights()
    bias = biases[0] if biases else 0
    scale = _scale(normalization)
    offset = 0 if normalization.beta is None else np.asarray(normalization.beta)
    # The kernel of a depthwise convolution ends in channels and how many it makes of each.
    depthwise = kernel.ndim == 4 and kernel.shape[-1] != len(scale)
    by_channel = scale.reshape(kernel.shape[-2:]) if depthwise else scale
    moved = (bias - np.asarray(normalization.moving_mean)) * scale + offset
    return [kernel * by_channel, moved]
