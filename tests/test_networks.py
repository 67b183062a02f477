"""Networks: loaded in one place, and cut in two at a layer however they are put together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from model_training.bundles.bundle import Bundle
from model_training.networks.cutting import cut, split_network
from model_training.networks.loading import NetworkError, load_network
from tests.conftest import PROJECT

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.float32)


def answer(model: keras.Model, inputs: Any = PIXELS) -> Any:
    return np.asarray(model(inputs, training=False))


def base() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="convolution")(
        layers.Rescaling(1 / 255)(inputs)
    )
    return keras.Model(inputs, layers.GlobalAveragePooling2D(name="pool")(x), name="base")


def nested() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, layers.Dense(5, name="head")(base()(layers.ReLU()(inputs))))


def sequential() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, name="convolution"),
            layers.Flatten(name="flatten"),
            layers.Dense(5, name="head"),
        ]
    )


def with_a_layer_that_was_used_before() -> keras.Model:
    head = layers.Dense(5, name="head")
    other = keras.Input((4,))
    keras.Model(other, head(other))
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, head(layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))))


def with_a_layer_that_is_used_twice_below() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    same = layers.Conv2D(3, 3, padding="same")
    x = layers.GlobalAveragePooling2D()(same(same(inputs)))
    return keras.Model(inputs, layers.Dense(5, name="head")(x))


@pytest.mark.parametrize(
    ("build", "first"),
    [
        (nested, "head"),
        (nested, "base"),
        (sequential, "convolution"),
        (sequential, "head"),
        (with_a_layer_that_was_used_before, "head"),
        (with_a_layer_that_is_used_twice_below, "head"),
    ],
)
def test_the_two_parts_of_a_network_are_the_whole_and_share_its_weights(
    build: Any, first: str
) -> None:
    model = build()
    lower, upper = cut(model, first)
    assert np.array_equal(answer(upper, answer(lower)), answer(model))
    assert upper.get_layer(first) is model.get_layer(first)
    # What is learned in a part is learned by the whole.
    before = answer(model)
    upper.get_layer("head").bias.assign([1, 2, 3, 4, 5])
    assert np.allclose(answer(model), before + [1, 2, 3, 4, 5], atol=1e-6)


def test_a_part_can_be_cut_again() -> None:
    model = sequential()
    lower, upper = cut(model, "convolution")
    middle, last = cut(upper, "head")
    assert np.array_equal(answer(last, answer(middle, answer(lower))), answer(model))


def test_the_features_of_a_network_are_what_its_last_dense_layer_is_given() -> None:
    model = sequential()
    lower, upper, name = split_network(model)
    assert name == "head" and lower.output.shape == (None, 6 * 6 * 4)
    assert np.array_equal(answer(upper, answer(lower)), answer(model))
    with pytest.raises(ValueError, match="no dense layer"):
        split_network(base())


def test_a_cut_that_cannot_be_made_is_said() -> None:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(3, 3, padding="same", name="skipped")(inputs)
    twice = layers.Conv2D(3, 3, padding="same", name="twice")
    x = layers.Add(name="sum")([twice(layers.ReLU(name="relu")(x)), twice(inputs)])
    model = keras.Model(inputs, x)
    with pytest.raises(ValueError, match="cannot be cut before 'relu'"):
        cut(model, "relu")
    with pytest.raises(ValueError, match="cannot be cut before 'sum': .* several inputs"):
        cut(model, "sum")
    with pytest.raises(ValueError, match="cannot be cut before 'twice': it is used 2 times"):
        cut(model, "twice")
    with pytest.raises(ValueError, match="nothing"):
        cut(model, "nothing")


def test_a_saved_network_is_loaded_as_it_was(tiny_bundle: Bundle) -> None:
    assert tiny_bundle.model_path is not None
    network = load_network(tiny_bundle.model_path)
    assert network.count_params() == tiny_bundle.card.parameters


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a network", b"<html>404</html>"])
def test_a_file_that_holds_no_network_is_said(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(
        NetworkError, match=r"^model\.keras holds no network that Keras can load: ."
    ):
        load_network(tmp_path / "model.keras")
    with pytest.raises(NetworkError, match="There is no network at"):
        load_network(tmp_path / "missing.keras")


def test_networks_are_loaded_in_one_place_and_without_keras_private_names() -> None:
    loading, private = [], []
    for room in ("model_training", "webapp", "benchmarks"):
        for path in sorted((PROJECT / room).rglob("*.py")):
            source = path.read_text("utf-8")
            loading += [path.name] * ("load_model(" in source)
            private += re.findall(r"_inbound_nodes|_use_weight_decay|keras\.src", source)
    assert (loading, private) == (["loading.py"], [])
