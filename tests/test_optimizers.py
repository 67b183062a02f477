"""How weights move: Muon, fast biases, whitening, the identity, and averages."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from model_training import recipes
from model_training.datasets.dataset import ImageSet
from model_training.networks.initialization import whitening_filters
from model_training.recipes import find_recipe
from model_training.training.learning.learner import compile_network, one_hot
from model_training.training.learning.optimizers import Lookahead, Muon, OneCycle, describe


def small_network() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, name="conv")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="head")(x))


def step(network: keras.Model, phase: recipes.Phase) -> dict[str, np.ndarray]:
    """How far each weight moves in one step, by its layer and name."""
    compile_network(network, phase, 10)
    before = [np.array(value) for value in network.get_weights()]
    images = np.random.default_rng(0).random((32, 8, 8, 3), np.float32)
    network.train_on_batch(images, one_hot(np.arange(32, dtype=np.uint8) % 10, 10))
    return {
        weight.path: after - old
        for weight, old, after in zip(network.weights, before, network.get_weights(), strict=True)
    }


def phase(**options: Any) -> recipes.Phase:
    return recipes.Phase(1, 32, recipes.Optimizer(learning_rate=0.1, **options), recipes.Schedule())


def test_muon_moves_a_kernel_alike_in_every_direction_and_keeps_its_norm() -> None:
    network = small_network()
    step(network, phase(name="muon", muon_factor=0.5))
    kernel = np.array(network.get_layer("conv").get_weights()[0])
    assert np.linalg.norm(kernel) == pytest.approx(4.0, rel=1e-4)  # the root of 16 filters
    optimizer = Muon(0.1, 1.0, 0.6, momentum=0.9)
    gradient = np.random.default_rng(1).normal(size=(3, 3, 8, 16)).astype(np.float32)
    tensor = keras.ops.convert_to_tensor(gradient)
    direction = np.asarray(optimizer._orthogonal(tensor, gradient.shape))
    singular = np.linalg.svd(direction.reshape(-1, 16), compute_uv=False)
    before = np.linalg.svd(gradient.reshape(-1, 16), compute_uv=False)
    assert singular.min() > 0.5 and singular.max() < 1.3
    assert singular.max() / singular.min() < before.max() / before.min()


def test_muon_leaves_all_but_convolutions_to_sgd() -> None:
    by_muon = step(small_network(), phase(name="muon"))
    by_sgd = step(small_network(), phase(name="sgd"))
    assert np.allclose(by_muon["head/kernel"], by_sgd["head/kernel"], atol=1e-6)
    assert not np.allclose(by_muon["conv/kernel"], by_sgd["conv/kernel"], atol=1e-3)


def test_biases_learn_so_many_times_as_fast() -> None:
    fast = step(small_network(), phase(name="sgd", bias_factor=64.0))
    plain = step(small_network(), phase(name="sgd"))
    assert np.allclose(fast["head/bias"], 64 * plain["head/bias"], atol=1e-5)
    assert np.allclose(fast["head/kernel"], plain["head/kernel"], atol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "muon", "adam", "rmsprop"])
def test_every_optimizer_learns_and_is_described(name: str) -> None:
    moved = step(small_network(), phase(name=name, weight_decay=0.01))
    assert all(np.abs(change).max() > 0 for change in moved.values())
    assert "weight decay 0.01" in describe(phase(name=name, weight_decay=0.01))


def test_the_learning_rate_can_end_above_nothing() -> None:
    schedule = OneCycle(peak=2.0, steps=100, warmup=0.2, start=0.1, end=0.25)
    assert float(schedule(100)) == pytest.approx(0.5)
    assert float(schedule(150)) == pytest.approx(0.5)


def test_lookahead_draws_the_weights_back_to_their_average() -> None:
    network = small_network()
    lookahead = Lookahead(recipes.Lookahead(every=2, decay=0.5), network, steps=5)
    kernel = network.get_layer("head").kernel
    start = np.array(kernel.numpy())
    kernel.assign(start + 1)
    lookahead.after_step(1)
    assert np.allclose(kernel, start + 1), "not its turn yet"
    lookahead.after_step(2)
    keep = 0.5**2 * (2 / 5) ** 3
    assert np.allclose(kernel, start + (1 - keep), atol=1e-6)
    kernel.assign(start + 9)
    lookahead.after_step(5)
    assert np.allclose(kernel, start + (1 - keep), atol=1e-6), "at the end the average stays"


def test_whitening_filters_make_patches_uncorrelated(test_images: ImageSet) -> None:
    pixels = test_images.images[:300].astype(np.float32) / 255
    filters = whitening_filters(pixels, side=2)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (2, 2), axis=(1, 2))
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 12)
    covariance = np.cov((patches @ filters.reshape(12, 12)).T)
    # The directions of large variance; epsilon holds the others down.
    assert np.allclose(covariance[-4:, -4:], np.eye(4), atol=0.1)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.05


@pytest.mark.parametrize("name", ["custom-cnn", "fast-cnn"])
def test_prepared_convolutions_pass_their_input_on(name: str, test_images: ImageSet) -> None:
    recipe = find_recipe(name)
    network = recipe.build()
    assert recipe.prepare
    recipe.prepare(network, test_images.images[:500])
    _first, *others = [one for one in network.layers if isinstance(one, layers.Conv2D)]
    for layer in others:
        channels = min(layer.kernel.shape[2:])
        maps = np.random.default_rng(0).random((1, 6, 6, layer.kernel.shape[2]), np.float32)
        passed = np.asarray(layer(maps))[..., :channels]
        assert np.allclose(passed, maps[..., :channels], atol=1e-5)
