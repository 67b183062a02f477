"""Where a network looked, as a picture and in words."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray
from PIL import Image

from model_training.bundles.bundle import Bundle
from model_training.explaining.maps.grad_cam import grad_cam
from model_training.explaining.target import Target
from webapp.answering import heat
from webapp.serving.classifier import Classifier
from webapp.serving.tensorflow_backend import TensorFlowBackend


def red_or_blue(size: int | None) -> keras.Model:
    """Says how red and how blue an image is, from maps of a quarter of its size."""
    inputs = keras.Input((size, size, 3))
    x = inputs if size else layers.Resizing(32, 32)(inputs)
    x = layers.Conv2D(2, 4, strides=4, use_bias=False, name="colours")(x)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(2, activation="softmax", name="said")(x)
    model = keras.Model(inputs, outputs)
    kernel = np.zeros((4, 4, 3, 2), np.float32)
    kernel[..., 0, 0] = kernel[..., 2, 1] = 1 / 16 / 255
    model.get_layer("colours").set_weights([kernel])
    model.get_layer("said").set_weights([np.array([[4, -4], [-4, 4]], np.float32), np.zeros(2)])
    return model


@dataclass(frozen=True)
class Linear:
    """The head of a network that has no judge."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(features @ self.kernel + self.bias)


def head_of(network: TensorFlowBackend) -> Linear:
    return Linear(network.kernel, network.bias)


@pytest.mark.parametrize("size", [32, None], ids=["fixed size", "resizes inside"])
def test_each_class_is_seen_where_it_is(size: int | None) -> None:
    network = TensorFlowBackend(red_or_blue(size))
    view = np.zeros((32, 32, 3), np.uint8)
    view[:8, :8, 0] = 255
    view[24:, 8:16, 2] = 255
    red, blue = (grad_cam(network, view, Target(head_of(network), one)) for one in (0, 1))
    assert red.shape == blue.shape == (8, 8)
    assert (red[:2, :2] == 1).all() and red.sum() == 4
    assert (blue[6:, 2:4] == 1).all() and blue.sum() == 4
    assert heat.in_words(red) == "mostly at the upper left"
    # Nothing here is blue, so nothing speaks for it.
    view[..., 2] = 0
    nothing = grad_cam(network, view, Target(head_of(network), 1))
    assert nothing.sum() == 0
    assert heat.in_words(nothing).startswith("nowhere")


WORDS = {
    "mostly at the centre": [(2, 4, 2, 4)],
    "mostly at the lower right": [(4, 6, 4, 6)],
    "mostly along the top, most of all at the upper left": [(0, 2, 0, 6), (0, 1, 0, 2)],
    "mostly down the right side, most of all at the middle right": [(0, 6, 4, 6), (2, 4, 4, 6)],
    "all over it, most of all at the centre": [(0, 6, 0, 6), (2, 4, 2, 4)],
}


@pytest.mark.parametrize(("words", "places"), WORDS.items())
def test_a_sentence_says_the_same_as_the_picture(
    words: str, places: list[tuple[int, int, int, int]]
) -> None:
    found = np.zeros((6, 6), np.float32)
    for top, bottom, left, right in places:
        found[top:bottom, left:right] += 0.3
    assert heat.in_words(found) == words


def test_the_picture_is_brightest_where_it_looked_and_keeps_its_shape() -> None:
    found = np.zeros((4, 4), np.float32)
    found[0, 3] = 1
    shown = heat.overlay(Image.new("RGB", (120, 80), (90, 90, 90)), found)
    assert shown.size == (120, 80)
    light = np.asarray(shown.convert("L")).astype(int)
    assert light[5, 115] > light[75, 5] + 60


def test_a_trained_network_is_explained_whatever_the_class(tiny_bundle: Bundle) -> None:
    classifier = Classifier(tiny_bundle)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for label in classifier.classes:
        found = classifier.heat(image, label)
        assert found.shape == (15, 15)
        assert 0 <= found.min() and found.max() in (0, 1)


def test_all_who_ask_for_a_first_map_at_once_wait_for_one_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, view = TensorFlowBackend(red_or_blue(32)), np.full((32, 32, 3), 200, np.uint8)
    trace, traced = TensorFlowBackend._differentiated_by_maps, []

    def slowly(*asked: Any) -> Any:
        traced.append(asked)
        time.sleep(0.2)
        return trace(*asked)

    monkeypatch.setattr(TensorFlowBackend, "_differentiated_by_maps", slowly)
    with ThreadPoolExecutor(4) as visitors:
        target = Target(head_of(network), 0)
        maps = list(visitors.map(lambda _: grad_cam(network, view, target), range(4)))
    assert len(traced) == 1 and all((one == maps[0]).all() for one in maps)


def test_a_network_without_maps_has_no_heat() -> None:
    inputs = keras.Input((8, 8, 3))
    outputs = layers.Dense(2, activation="softmax")(layers.Flatten()(inputs))
    network = TensorFlowBackend(keras.Model(inputs, outputs))
    with pytest.raises(ValueError, match="no feature maps"):
        grad_cam(network, np.zeros((8, 8, 3), np.uint8), Target(head_of(network), 0))
