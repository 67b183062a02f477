"""A network that only answers has its batch normalisation folded into the layers in front of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from model_training.networks.folding import fold_normalization
from model_training.networks.precision import dtype_policy

IMAGES = np.random.default_rng(1).uniform(0, 255, (5, 8, 8, 3)).astype(np.float32)
Build = Callable[[Any], Any]


def network(build: Build, *, positive: bool = True) -> keras.Model:
    """A network with `build` in its middle, and a past in all that it normalises."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 3))
    x = build(layers.Rescaling(1 / 255)(inputs))
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax", name="head")(x))
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            for variable in layer.weights:
                variable.assign(rng.uniform(0.3, 1.7, variable.shape))
            if layer.gamma is not None and not positive:
                layer.gamma.assign(rng.choice([-1.0, 1.0], layer.gamma.shape))
    return model


def left(model: keras.Model) -> int:
    """Return how much batch normalisation `model` has."""
    return sum(isinstance(layer, layers.BatchNormalization) for layer in model.layers)


def answers(model: keras.Model) -> np.ndarray:
    return np.asarray(model(IMAGES, training=False))


def chain(*made: Any) -> Build:
    def build(x: Any) -> Any:
        for layer in made:
            x = layer(x)
        return x

    return build


def normalization(**options: Any) -> Any:
    return layers.BatchNormalization(**options)


FOLDED: dict[str, Callable[[], Build]] = {
    "convolution": lambda: chain(layers.Conv2D(6, 3), normalization(), layers.ReLU()),
    "without a bias": lambda: chain(layers.Conv2D(6, 3, use_bias=False), normalization()),
    "without a scale": lambda: chain(layers.Conv2D(6, 3), normalization(scale=False)),
    "without an offset": lambda: chain(layers.Conv2D(6, 3), normalization(center=False)),
    "depthwise": lambda: chain(layers.DepthwiseConv2D(3), normalization()),
    "depthwise, two of each": lambda: chain(
        layers.DepthwiseConv2D(3, depth_multiplier=2), normalization()
    ),
    "dense": lambda: chain(layers.Flatten(), layers.Dense(7), normalization()),
    "averages": lambda: chain(layers.Conv2D(6, 3), layers.AveragePooling2D(2), normalization()),
    "largest": lambda: chain(layers.Conv2D(6, 3), layers.MaxPooling2D(2), normalization()),
}


@pytest.mark.parametrize("name", FOLDED)
def test_a_folded_network_answers_the_same(name: str) -> None:
    model = network(FOLDED[name]())
    folded = fold_normalization(model)
    assert (left(model), left(folded)) == (1, 0)
    np.testing.assert_allclose(answers(folded), answers(model), atol=2e-6)
    # What is asked of a layer by its name is still found there; an input has no name to ask for.
    assert [one.name for one in folded.layers[1:]] == [one.name for one in model.layers[1:]]
    assert folded.get_layer("head") is model.get_layer("head")


def twice_used(x: Any) -> Any:
    x = layers.Conv2D(6, 3)(x)
    return layers.Add()([x, layers.BatchNormalization()(x)])


def called_twice(x: Any) -> Any:
    convolution = layers.Conv2D(3, 3, padding="same")
    return layers.BatchNormalization()(convolution(convolution(x)))


NOT_FOLDED: dict[str, Callable[[], Build]] = {
    "activated first": lambda: chain(layers.Conv2D(6, 3, activation="relu"), normalization()),
    "used by others": lambda: twice_used,
    "called twice": lambda: called_twice,
    "nothing in front": lambda: chain(normalization(), layers.Conv2D(6, 3)),
    "another axis": lambda: chain(layers.Conv2D(6, 3), normalization(axis=1)),
}


@pytest.mark.parametrize("name", NOT_FOLDED)
def test_what_cannot_be_folded_is_left(name: str) -> None:
    model = network(NOT_FOLDED[name]())
    folded = fold_normalization(model)
    assert left(folded) == 1
    np.testing.assert_array_equal(answers(folded), answers(model))


def test_the_largest_of_a_pool_is_not_what_a_negative_scale_makes_the_smallest() -> None:
    pooled = network(FOLDED["largest"](), positive=False)
    assert left(fold_normalization(pooled)) == 1
    plain = network(FOLDED["convolution"](), positive=False)
    folded = fold_normalization(plain)
    assert not left(folded)
    np.testing.assert_allclose(answers(folded), answers(plain), atol=2e-6)


def test_in_mixed_precision_all_is_left() -> None:
    with dtype_policy("mixed_bfloat16"):
        model = network(FOLDED["convolution"]())
    assert left(fold_normalization(model)) == 1


def test_branches_and_a_sequential_network_are_folded_too() -> None:
    def branches(x: Any) -> Any:
        one, other = (
            layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same")(x)) for _ in range(2)
        )
        return layers.ReLU()(layers.Add()([one, other]))

    model = network(branches)
    folded = fold_normalization(model)
    assert not left(folded)
    np.testing.assert_allclose(answers(folded), answers(model), atol=2e-6)

    sequential = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(6, 3), normalization(), layers.Flatten()]
    )
    folded = fold_normalization(sequential)
    assert not left(folded)
    np.testing.assert_allclose(answers(folded), answers(sequential), rtol=1e-5, atol=1e-4)


def test_a_network_without_any_is_returned_as_it_is() -> None:
    model = network(chain(layers.Conv2D(6, 3)))
    assert fold_normalization(model) is model
