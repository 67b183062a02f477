"""Maps of the evidence: each method finds it where it is known, and what knows nothing does not."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from model_training.datasets.dataset import ImageSet
from model_training.datasets.pictures.views import default_plan
from model_training.explaining.comparing import compare_methods
from model_training.explaining.maps.integrated_gradients import attributions
from model_training.explaining.maps.occlusion import lost_and_gained
from model_training.explaining.measuring import curves, insertion_minus_deletion
from model_training.explaining.methods import BLOB, CONTROLS, METHODS, NOISE
from model_training.explaining.pixels import blurred, resized
from model_training.explaining.samples import of_test_images
from model_training.explaining.target import NoExplanation, Target
from model_training.judging.calibration import Calibrator
from model_training.judging.judge import Judge
from model_training.judging.parts.verdicts import Threshold
from model_training.networks.cutting import exposing
from webapp.serving.tensorflow_backend import TensorFlowBackend

SIDE, PLACE = 32, (slice(4, 12), slice(20, 28))  # rows and columns of the evidence, off the middle
RED, BLUE = 0, 1


@pytest.fixture(scope="module")
def network() -> TensorFlowBackend:
    """Sees where a picture is plainly red, and where it is plainly blue, and nothing else."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(2, 4, strides=2, padding="same", activation="relu", name="colours")(inputs)
    x = layers.Conv2D(2, 2, strides=2, use_bias=False, name="places")(x)
    x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="said")(x))
    colours = np.zeros((4, 4, 3, 2), np.float32)
    colours[..., 0, RED] = colours[..., 2, BLUE] = 1 / 16 / 255
    places = np.zeros((2, 2, 2, 2), np.float32)
    places[..., RED, RED] = places[..., BLUE, BLUE] = 1 / 4
    model.get_layer("colours").set_weights([colours, np.full(2, -0.6, np.float32)])
    model.get_layer("places").set_weights([places])
    kernel = np.array([[300, -300], [-300, 300]], np.float32)
    model.get_layer("said").set_weights([kernel, np.zeros(2, np.float32)])
    return TensorFlowBackend(model)


@pytest.fixture(scope="module")
def judge(network: TensorFlowBackend) -> Judge:
    return Judge(
        ("red", "blue"),
        default_plan(SIDE, SIDE),
        network.kernel,
        network.bias,
        Calibrator(temperature=1.0, set_on="nothing"),
        None,
        Threshold(novelty=1.0, kept=0.95, set_on="nothing"),
    )


def picture(blue: bool = False) -> NDArray[np.uint8]:
    """Dark noise with a red square in it, and a blue one at the other side if asked for."""
    view = np.random.default_rng(1).integers(0, 60, (SIDE, SIDE, 3), np.uint8)
    view[PLACE] = (255, 0, 0)
    if blue:
        view[20:28, 4:12] = (0, 0, 255)
    return view


def share_in(heat: NDArray[np.float32], place: tuple[slice, slice]) -> float:
    """The share of the heat that lies in `place`, or within two pixels of it."""
    fine = resized(heat, SIDE, SIDE)
    rows, columns = (slice(one.start - 2, one.stop + 2) for one in place)
    return float(fine[rows, columns].sum() / fine.sum())


@pytest.mark.parametrize("name", METHODS)
def test_each_method_finds_the_evidence(
    name: str, network: TensorFlowBackend, judge: Judge
) -> None:
    view = picture()
    found = METHODS[name].explain(network, view, Target(judge, RED))
    assert found.min() >= 0 and found.max() == pytest.approx(1)
    assert share_in(found, PLACE) > 0.6
    fine = resized(found, SIDE, SIDE)
    row, column = np.unravel_index(int(fine.argmax()), fine.shape)
    assert PLACE[0].start - 2 <= row < PLACE[0].stop + 2
    assert PLACE[1].start - 2 <= column < PLACE[1].stop + 2
    score = insertion_minus_deletion(network, judge, view, RED, found)
    blob, noise = (
        insertion_minus_deletion(
            network, judge, view, RED, control.explain(network, view, Target(judge, RED))
        )
        for control in (CONTROLS[BLOB], CONTROLS[NOISE])
    )
    assert score > 0.25 > blob + 0.05
    assert score > noise + 0.1


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_found_where_nothing_speaks_for_a_class(
    name: str, network: TensorFlowBackend, judge: Judge
) -> None:
    nothing = np.full((SIDE, SIDE, 3), 40, np.uint8)
    assert METHODS[name].explain(network, nothing, Target(judge, RED)).sum() == 0


@pytest.mark.parametrize("name", METHODS)
def test_a_class_is_set_against_another(
    name: str, network: TensorFlowBackend, judge: Judge
) -> None:
    view, other = picture(blue=True), (slice(20, 28), slice(4, 12))
    why_red = METHODS[name].explain(network, view, Target(judge, RED, against=BLUE))
    why_not_blue = METHODS[name].explain(network, view, Target(judge, BLUE, against=RED))
    assert share_in(why_red, PLACE) > 0.6 and share_in(why_red, other) < 0.1
    assert share_in(why_not_blue, other) > 0.6 and share_in(why_not_blue, PLACE) < 0.1


def test_a_class_is_contrasted_with_the_likeliest_other(judge: Judge) -> None:
    head = Three(np.eye(3, dtype=np.float32))
    features = np.array([[3, 1, 2]], np.float32)
    assert Target(head, 0).contrasted(features).against == 2
    assert Target(head, 2).contrasted(features).against == 0
    assert Target(head, 0, against=1).contrasted(features).against == 1


@dataclass(frozen=True)
class Three:
    kernel: NDArray[np.float32]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(features @ self.kernel)


def test_pixels_parts_add_up_to_the_difference_of_the_scores(
    network: TensorFlowBackend, judge: Judge
) -> None:
    view, target = picture(), Target(judge, RED)
    found = attributions(network, view, target, steps=100).sum()
    ends = target.scores(network.features(np.stack([view, blurred(view)])))
    assert found == pytest.approx(ends[0] - ends[1], rel=0.03)


def test_what_is_lost_without_a_patch_and_gained_by_it_alone(
    network: TensorFlowBackend, judge: Judge
) -> None:
    view, target = picture(), Target(judge, RED)
    lost, gained = lost_and_gained(network, view, target, patches=4)
    sharp, blur = target.scores(network.features(np.stack([view, blurred(view)])))
    # Four of the overlapping patches cover the whole square.
    covers = np.zeros((4, 4), bool)
    covers[:2, 2:] = True
    for found in (lost, gained):
        assert found[covers].min() > 0.9 * (sharp - blur)
        assert found[~covers].max() < 0.1 * (sharp - blur)


class Answering:
    """A network elsewhere: it answers, and cannot be differentiated."""

    def __init__(self, network: TensorFlowBackend) -> None:
        self._network, self.width = network, network.width

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._network.features(pixels)


def test_a_model_server_is_explained_by_what_needs_only_answers(
    network: TensorFlowBackend, judge: Judge
) -> None:
    elsewhere, view, target = Answering(network), picture(), Target(judge, RED)
    assert share_in(METHODS["occlusion"].explain(elsewhere, view, target), PLACE) > 0.6
    for name in ("grad-cam", "layer-cam", "finer-cam", "integrated-gradients"):
        with pytest.raises(NoExplanation, match="gradients"):
            METHODS[name].explain(elsewhere, view, target)
    measured = compare_methods(elsewhere, judge, [view, picture(blue=True)])
    assert set(measured.scores) == {"occlusion", BLOB, NOISE}
    assert measured.best() == "occlusion"
    with pytest.raises(ValueError, match="no method"):
        measured.best(quick=True)


def test_the_measure_rises_with_the_truth(network: TensorFlowBackend, judge: Judge) -> None:
    view = picture()
    truth = np.zeros((SIDE, SIDE), np.float32)
    truth[PLACE] = 1
    scores = [
        insertion_minus_deletion(network, judge, view, RED, heat)
        for heat in (truth, np.ones_like(truth), 1 - truth)
    ]
    assert scores[0] > 0.3 and scores[2] < -0.3
    assert scores[0] > scores[1] > scores[2]
    inserted, deleted = curves(network, judge, view, RED, truth, steps=4)
    assert len(inserted) == len(deleted) == 5
    assert (inserted[-1], inserted[0]) == (deleted[0], deleted[-1])
    assert inserted[-1] > 0.95 and inserted[0] == pytest.approx(0.5, abs=0.05)
    # The square is a sixteenth of the picture, so the first of four steps has all of it.
    assert inserted[1] > 0.9 and deleted[1] < 0.6


def test_methods_are_compared_on_the_same_pictures(
    network: TensorFlowBackend, judge: Judge
) -> None:
    done: list[tuple[int, int]] = []
    views = [np.roll(picture(), move, axis=0) for move in (0, 12, 16)]
    measured = compare_methods(
        network, judge, views, lambda *told: done.append(told), {"grad-cam": METHODS["grad-cam"]}
    )
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert set(measured.scores) == {"grad-cam", BLOB, NOISE}
    assert measured.margins[BLOB] == (0, 0)
    low, high = measured.margins["grad-cam"]
    assert 0 < low < measured.means["grad-cam"] - measured.means[BLOB] < high
    assert set(measured.milliseconds) == {"grad-cam"} and measured.milliseconds["grad-cam"] > 0


def test_pictures_to_choose_by_are_not_those_that_are_reported() -> None:
    test = ImageSet(np.arange(12 * 12, dtype=np.uint8).reshape(12, 2, 2, 3), np.zeros(12, np.uint8))
    chosen, reported = of_test_images(test, 5)
    seen = {np.asarray(one).tobytes() for one in chosen + reported}
    assert len(chosen) == len(reported) == 5 and len(seen) == 10
    with pytest.raises(ValueError, match="only 12 test images"):
        of_test_images(test, 7)


def test_maps_of_every_size_are_exposed_where_a_network_is_used_in_another(
    network: TensorFlowBackend,
) -> None:
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="inner")])
    used_twice = keras.Input((8, 8, 3))
    again = keras.Model(used_twice, layers.GlobalAveragePooling2D()(inner.layers[0](used_twice)))
    image = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)
    maps, features = exposing(again, ["inner"])(image)
    assert np.allclose(np.asarray(maps).mean(axis=(1, 2)), features, atol=1e-5)
    with pytest.raises(ValueError):
        exposing(again, ["nowhere"])
