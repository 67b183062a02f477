"""Recipes that set initial weights from images: which layers, and from what reaches them."""

from __future__ import annotations

import tracemalloc
from typing import Any

import keras
import numpy as np
import pytest

from model_training.datasets.dataset import DataSet, ImageSet
from model_training.networks.cutting import cut
from model_training.networks.initialization import whitening_filters
from model_training.recipes import RECIPES, Recipe, find_recipe
from model_training.recipes.scratch.inputs import MEAN, STANDARD_DEVIATION
from model_training.recipes.variants import with_input, with_input_size
from tests.conftest import TINY

PREPARED = [name for name, recipe in RECIPES.items() if recipe.prepare is not None]
OF_THE_INPUT = "input_whitening"


def prepared(recipe: Recipe, images: Any) -> keras.Model:
    """The fresh network of `recipe`, after what it sets from `images`."""
    model = recipe.build()
    assert recipe.prepare is not None
    recipe.prepare(model, images)
    return model


def convolutions(model: keras.Model) -> list[keras.layers.Conv2D]:
    """The recipe's own, in their order."""
    return [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.name != OF_THE_INPUT
    ]


def whitened(model: keras.Model, images: Any) -> Any:
    """The covariance of what the first layer's whitening filters make of what reaches it."""
    first = convolutions(model)[0]
    side, _side, channels, count = first.kernel.shape
    every = min(count, 2 * side**2 * channels)
    # Each filter is followed by its negative.
    filters = np.asarray(first.kernel)[..., :every:2]
    pixels = np.asarray(cut(model, first.name)[0](images), np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (side, side), axis=(1, 2))
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, side**2 * channels)
    return np.cov((patches @ filters.reshape(len(patches[0]), -1)).T)


@pytest.mark.parametrize("name", PREPARED)
def test_a_prepared_network_keeps_its_whitened_input_and_whitens_what_comes_of_it(
    name: str, few_data: DataSet
) -> None:
    images = few_data.train.images[:100]
    recipe = with_input(find_recipe(name), "zca", images)
    before = np.asarray(recipe.build().get_layer(OF_THE_INPUT).kernel)
    model = prepared(recipe, images)
    assert np.array_equal(model.get_layer(OF_THE_INPUT).kernel, before)
    # Whitening makes an image's edges large, and not every patch was looked at.
    assert np.allclose(whitened(model, images)[-4:, -4:], np.eye(4), atol=0.3)
    for layer in convolutions(model)[1:]:
        channels = min(layer.kernel.shape[2:])
        middle = np.asarray(layer.kernel)[1, 1, :channels, :channels]
        assert np.array_equal(middle, np.eye(channels)), layer.name


@pytest.mark.parametrize("name", PREPARED)
def test_a_prepared_network_that_sees_larger_images_whitens_those(
    name: str, few_data: DataSet
) -> None:
    images = few_data.train.images[:100]
    model = prepared(with_input_size(find_recipe(name), 48), images)
    assert np.allclose(whitened(model, images)[-4:, -4:], np.eye(4), atol=0.1)


def test_without_an_option_a_network_begins_as_those_that_ship_did(test_images: ImageSet) -> None:
    images = test_images.images[:200]
    custom = prepared(find_recipe("custom-cnn"), images).get_layer("block1a_conv")
    filters = whitening_filters(images.astype(np.float32) / 255, 3)
    assert np.array_equal(np.asarray(custom.kernel)[..., :54:2], filters)
    fast = prepared(find_recipe("fast-cnn"), images).get_layer("whiten")
    mean, deviation = np.array(MEAN, np.float32), np.array(STANDARD_DEVIATION, np.float32)
    filters = whitening_filters((images.astype(np.float32) - mean) / deviation, 2)
    assert np.array_equal(np.asarray(fast.kernel)[..., ::2], filters)


def test_large_input_is_whitened_within_the_memory_of_a_small_machine(few_data: DataSet) -> None:
    images = few_data.train.images[:120]
    recipe = with_input(with_input_size(TINY, 128), "zca", images)
    tracemalloc.start()
    try:
        model = recipe.build()
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 400e6
    assert np.asarray(model.get_layer(OF_THE_INPUT).kernel).any()
