"""The judge: the same answer wherever it is asked, and photos of none of the classes recognised."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax

from benchmarks.photos import auroc, caught
from model_training.bundles.bundle import Bundle
from model_training.datasets.dataset import DataSet, split
from model_training.datasets.pictures.views import PlannedView, View, ViewPlan, default_plan
from model_training.judging.calibration import Calibrator
from model_training.judging.fitting import fit_judge
from model_training.judging.judge import KEPT, Judge
from model_training.judging.out_of_distribution import Reference
from model_training.judging.parts.verdicts import Threshold
from model_training.networks.backend import KerasBackend
from tests import pictures
from webapp.serving.classifier import Classifier, ClassifierError

PLAN = default_plan(32, 32)
CALIBRATION = Calibrator(temperature=1.0, set_on="nothing")


def two_classes(count: int = 40) -> Judge:
    """One class lies along the first direction of feature space, the other along the second."""
    rng = np.random.default_rng(0)
    around = rng.normal(0, 3, (count, 3)).round()
    centres = np.repeat([[120, 0, 0], [0, 120, 0]], count // 2, axis=0)
    return Judge(
        classes=("left", "right"),
        plan=PLAN,
        kernel=np.array([[1, 0], [0, 1], [0, 0]], np.float32),
        bias=np.zeros(2, np.float32),
        calibration=CALIBRATION,
        reference=Reference(
            axes=np.eye(3, dtype=np.float16),
            remembered=(centres + around).astype(np.int8),
            remembered_labels=np.repeat(np.arange(2, dtype=np.uint8), count // 2),
            distance=(0.0, 0.1),
            logit=(4.0, 1.0),
        ),
        threshold=Threshold(novelty=1.0, kept=KEPT, set_on="the tests"),
    )


def features(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


class Corner:
    """A backend whose one feature is the mean red of a view."""

    width = 1

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.asked.append(pixels.shape)
        return np.asarray(pixels[..., 0].mean(axis=(1, 2), keepdims=False)[:, None], np.float32)


def test_what_is_like_the_training_images_is_less_novel_than_what_is_not() -> None:
    scores = two_classes().novelty(features([5, 0, 0], [2.5, 2.4, 0], [0.5, 0, 6]))
    assert scores[0] < scores[1] < scores[2]
    judged = two_classes().judge_features(features([5, 0, 0], [0.5, 0, 6]))
    assert [one.known for one in judged] == [True, False]


def test_the_nearest_of_the_guessed_class_count_not_those_of_another() -> None:
    told = two_classes()
    assert told.reference is not None
    turned = dataclasses.replace(
        told.reference, remembered_labels=1 - told.reference.remembered_labels
    )
    mixed_up = dataclasses.replace(told, reference=turned)
    here = features([5, 0.1, 0])
    assert told.novelty(here)[0] < mixed_up.novelty(here)[0] - 3


def test_a_logit_that_is_weak_makes_an_image_novel_wherever_it_lies() -> None:
    strong, weak = two_classes().novelty(features([5, 0, 0], [0.5, 0, 0]))
    assert weak - strong == pytest.approx(4.5), "standard deviations of the largest logit"


def test_probabilities_are_those_of_the_head_at_its_temperature() -> None:
    cooler = dataclasses.replace(
        two_classes(), calibration=Calibrator(temperature=2.0, set_on="the tests")
    )
    (row,) = cooler.probabilities(features([3, 1, 0]))
    assert row == pytest.approx([np.exp(1.5), np.exp(0.5)] / (np.exp(1.5) + np.exp(0.5)))


def test_views_are_averaged_and_go_through_the_backend_together() -> None:
    judge = Judge(
        classes=("dark", "red"),
        plan=PLAN,
        kernel=features([-1, 1]),
        bias=features([100, -100])[0],
        calibration=CALIBRATION,
        reference=None,
        threshold=Threshold(novelty=0.4, kept=KEPT, set_on="the tests"),
    )
    red, dark = (np.full((32, 32, 3), value, np.uint8) for value in (200, 20))
    backend = Corner()
    seen = [[View("", red), View("", dark)], [View("", red)], [View("", dark)] * 3]
    both, first, second = judge.judge(seen, backend)
    assert backend.asked == [(6, 32, 32, 3)]
    assert both.probabilities == pytest.approx(judge.probabilities(features([110]))[0]), (
        "the mean of the features, not of the answers"
    )
    assert first.probabilities[1] > 0.99 and second.probabilities[0] > 0.99
    assert both.novelty == pytest.approx(1 - both.probabilities.max())


def test_the_threshold_keeps_what_it_should_of_validation(
    tiny_bundle: Bundle, small_data: DataSet
) -> None:
    backend = KerasBackend(keras.saving.load_model(tiny_bundle.model_path, compile=False))
    learned, validation = (small_data.train.take(part) for part in split(small_data.train.labels))
    told: list[tuple[int, int]] = []
    judge = fit_judge(
        backend,
        small_data.classes,
        PLAN,
        learned,
        validation,
        CALIBRATION,
        "a tenth of the images",
        on_images=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (len(learned) + len(validation),) * 2
    scores = judge.novelty(backend.features(validation.images))
    assert np.mean(scores <= judge.threshold.novelty) == pytest.approx(KEPT, abs=0.02)
    assert judge.threshold.set_on == "a tenth of the images"
    # The two signs weigh alike: each is in its own standard deviations.
    assert scores.mean() == pytest.approx(0, abs=1e-3)


def test_without_validation_the_threshold_is_that_of_the_run_before(
    tiny_bundle: Bundle, small_data: DataSet
) -> None:
    backend = KerasBackend(keras.saving.load_model(tiny_bundle.model_path, compile=False))
    known = (backend, small_data.classes, PLAN, small_data.train, None, CALIBRATION, "none")
    judge = fit_judge(*known, two_classes())
    assert judge.threshold == two_classes().threshold
    assert judge.reference is not None
    assert (judge.reference.distance, judge.reference.logit) == ((0.0, 0.1), (4.0, 1.0))
    with pytest.raises(ValueError, match="nothing to set a threshold on"):
        fit_judge(*known)


def test_its_head_gives_the_networks_own_probabilities(
    tiny_bundle: Bundle, small_data: DataSet
) -> None:
    network = keras.saving.load_model(tiny_bundle.model_path, compile=False)
    images = small_data.test.images[:20]
    judge = tiny_bundle.judge
    assert judge is not None
    plain = dataclasses.replace(judge, calibration=CALIBRATION)
    said = plain.probabilities(KerasBackend(network).features(images))
    assert said == pytest.approx(network.predict_on_batch(images), abs=1e-5)


def test_the_site_and_the_training_package_give_one_answer(
    tiny_bundle: Bundle, small_data: DataSet
) -> None:
    network = keras.saving.load_model(tiny_bundle.model_path, compile=False)
    judge, classifier = tiny_bundle.judge, Classifier(tiny_bundle)
    assert judge is not None
    image = pictures.quarters(90, 60)
    (here,) = judge.judge([judge.views(image)], KerasBackend(network))
    (there,) = classifier.judge_views([judge.views(image)])
    assert here.probabilities == pytest.approx(there.probabilities, abs=1e-5)
    assert here.novelty == pytest.approx(there.novelty, abs=1e-3)


def test_a_network_that_does_more_than_a_softmax_behind_its_head_is_refused() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(inputs)
    sigmoid = keras.Model(inputs, keras.layers.Dense(2, activation="sigmoid")(x))
    more = keras.Model(
        inputs, keras.layers.Softmax()(keras.layers.ReLU()(keras.layers.Dense(2)(x)))
    )
    for network in (sigmoid, more):
        with pytest.raises(ValueError, match="softmax"):
            KerasBackend(network)
    KerasBackend(keras.Model(inputs, keras.layers.Softmax()(keras.layers.Dense(2)(x))))


def test_a_scale_between_the_head_and_the_softmax_belongs_to_the_head() -> None:
    inputs = keras.Input((8, 8, 3))
    logits = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
    scaled = keras.layers.Rescaling(1 / 9, offset=[0.5, 0, -0.5])(logits)
    network = keras.Model(inputs, keras.layers.Softmax()(scaled))
    backend = KerasBackend(network)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    ours = softmax(backend.features(images) @ backend.kernel + backend.bias, axis=1)
    assert ours == pytest.approx(network.predict_on_batch(images), abs=1e-5)


def test_a_judge_of_another_network_is_refused_when_a_model_is_loaded(tiny_bundle: Bundle) -> None:
    judge = tiny_bundle.judge
    assert judge is not None
    other = dataclasses.replace(judge, kernel=judge.kernel + 1)
    with pytest.raises(ClassifierError, match="made for another network"):
        Classifier(dataclasses.replace(tiny_bundle, judge=other))
    with pytest.raises(ClassifierError, match="flask calibrate tiny"):
        Classifier(dataclasses.replace(tiny_bundle, judge=None))


@pytest.mark.parametrize("change", [{}, {"reference": None}], ids=["whole", "no reference"])
def test_it_comes_back_from_its_arrays_as_it_was(change: dict[str, Any]) -> None:
    told = dataclasses.replace(two_classes(), **change)
    again = Judge.from_arrays(told.arrays())
    some = np.random.default_rng(1).random((6, 3), np.float32)
    np.testing.assert_array_equal(told.novelty(some), again.novelty(some))
    assert (again.threshold, again.plan, again.classes) == (told.threshold, told.plan, told.classes)


def test_a_plan_is_data_and_cuts_the_same_when_it_comes_back() -> None:
    plan = ViewPlan(
        side=48, small=32, views=(PlannedView(), PlannedView(crop="middle", through=16))
    )
    again = ViewPlan.model_validate_json(plan.model_dump_json())
    image = pictures.quarters(90, 60)
    for one, other in zip(plan.cut(image), again.cut(image), strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
    (as_it_is,) = plan.cut(Image.new("RGB", (32, 32)))
    assert as_it_is.pixels.shape == (32, 32, 3)


def test_auroc_and_the_share_caught_are_what_their_names_say() -> None:
    known, unknown = np.arange(100.0), np.array([50.0, 120.0, 94.0, 95.0])
    # 50.5, 100, 94.5 and 95.5 of the hundred known are below, a tie counting half.
    assert auroc(known, unknown) == pytest.approx((50.5 + 100 + 94.5 + 95.5) / 400)
    assert caught(known, unknown, refused=0.05) == 0.5
