"""Batch normalisation that learns in one operation: as Keras' own does, and kept as Keras' own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from model_training.networks.precision import dtype_policy
from model_training.training.learning.normalization import normalize_at_once

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(3, 2, (12, 6, 6, 3)).astype(np.float32)
TARGETS = np.eye(2, dtype=np.float32)[RNG.integers(0, 2, 12)]


def network(precision: str = "float32", **options: Any) -> keras.Model:
    """A network with one batch normalisation of images, always with the same weights."""
    keras.utils.set_random_seed(0)
    with dtype_policy(precision):
        inputs = keras.Input((6, 6, 3))
        x = layers.Conv2D(4, 3, name="conv")(inputs)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.5, name="bn", **options)(x))
        x = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
        return keras.Model(inputs, layers.Softmax(dtype="float32")(x))


def learned(model: keras.Model, steps: int = 4) -> list[np.ndarray]:
    """Return the weights of `model` after a few steps."""
    model.compile(keras.optimizers.SGD(0.2), "categorical_crossentropy")
    for _step in range(steps):
        model.train_on_batch(IMAGES, TARGETS)
    return [np.asarray(weight) for weight in model.get_weights()]


@pytest.fixture
def fused_calls(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return what says how often the one operation was built into a step."""
    import tensorflow as tf

    calls: list[object] = []
    operation = tf.raw_ops.FusedBatchNormV3

    def counted(**options: Any) -> Any:
        calls.append(options)
        return operation(**options)

    monkeypatch.setattr(tf.raw_ops, "FusedBatchNormV3", counted)
    return lambda: len(calls)


@pytest.mark.parametrize(
    "options", [{}, {"scale": False}, {"center": False}, {"epsilon": 1e-5}], ids=str
)
def test_a_network_learns_the_same_in_one_operation(
    options: dict[str, Any], fused_calls: Callable[[], int]
) -> None:
    plainly = learned(network(**options))
    assert not fused_calls()
    model = network(**options)
    normalize_at_once(model)
    for ours, keras_own in zip(learned(model), plainly, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-4, atol=1e-6)
    assert fused_calls()


def test_it_remembers_the_mean_and_the_variance_of_the_batch() -> None:
    model = network()
    normalize_at_once(model)
    seen = np.asarray(model.get_layer("conv")(IMAGES))
    learned(model, steps=1)
    bn = model.get_layer("bn")
    np.testing.assert_allclose(bn.moving_mean, 0.5 * seen.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(bn.moving_variance, 0.5 + 0.5 * seen.var((0, 1, 2)), rtol=1e-5)


def test_in_mixed_precision_it_is_computed_in_float32(fused_calls: Callable[[], int]) -> None:
    plainly = learned(network("mixed_bfloat16"))
    model = network("mixed_bfloat16")
    normalize_at_once(model)
    for ours, keras_own in zip(learned(model), plainly, strict=True):
        np.testing.assert_allclose(ours, keras_own, atol=2e-3)
    assert fused_calls()


@pytest.mark.usefixtures("fused_calls")
def test_what_is_saved_is_a_layer_of_keras_that_answers_as_before(tmp_path: Path) -> None:
    model = network()
    normalize_at_once(model)
    learned(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.get_layer("bn")) is layers.BatchNormalization
    answers, expected = (np.asarray(one(IMAGES, training=False)) for one in (loaded, model))
    np.testing.assert_array_equal(answers, expected)


def test_a_frozen_layer_and_one_of_features_compute_as_keras_does(
    fused_calls: Callable[[], int],
) -> None:
    frozen = network()
    frozen.get_layer("bn").trainable = False
    normalize_at_once(frozen)
    learned(frozen)
    np.testing.assert_array_equal(np.asarray(frozen.get_layer("bn").moving_mean), 0)

    inputs = keras.Input((3,))
    dense = layers.BatchNormalization()(layers.Dense(4)(inputs))
    flat = keras.Model(inputs, layers.Softmax()(layers.Dense(2)(dense)))
    normalize_at_once(flat)
    flat.compile("sgd", "categorical_crossentropy")
    flat.train_on_batch(IMAGES[:, 0, 0], TARGETS)
    assert not fused_calls()


def test_layers_that_phases_share_and_those_of_a_model_inside_are_changed_once(
    fused_calls: Callable[[], int],
) -> None:
    inner = network()
    inputs = keras.Input((6, 6, 3))
    outer = keras.Model(inputs, inner(inputs))
    for _phase in range(3):
        normalize_at_once(outer)
    plainly = learned(network())
    for ours, keras_own in zip(learned(outer), plainly, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-4, atol=1e-6)
    once = fused_calls()
    again = network()
    normalize_at_once(again)
    learned(again)
    assert fused_calls() == 2 * once, "as often as in a network that was made ready once"
