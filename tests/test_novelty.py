"""A network tells strangers from its classes, without having seen one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.photos import auroc, false_positive_rate
from model_training.bundles.bundle import Bundle
from model_training.datasets.dataset import Cifar10, split
from model_training.judging import out_of_distribution as novelty
from model_training.judging.out_of_distribution import Novelty
from model_training.networks.cutting import split_network


def two_classes(count: int = 40) -> Novelty:
    """One class lies along the first direction of feature space, the other along the second."""
    rng = np.random.default_rng(0)
    around = rng.normal(0, 3, (count, 3)).round()
    centres = np.repeat([[120, 0, 0], [0, 120, 0]], count // 2, axis=0)
    return Novelty(
        kernel=np.array([[1, 0], [0, 1], [0, 0]], np.float32),
        bias=np.zeros(2, np.float32),
        axes=np.eye(3, dtype=np.float16),
        remembered=(centres + around).astype(np.int8),
        remembered_labels=np.repeat(np.arange(2, dtype=np.uint8), count // 2),
        distance=(0.0, 0.1),
        belief=(4.0, 1.0),
        threshold=1.0,
    )


def test_what_is_like_the_training_images_is_less_novel_than_what_is_not() -> None:
    known, between, elsewhere = [5, 0, 0], [2.5, 2.4, 0], [0.5, 0, 6]
    scores = two_classes().score(np.array([known, between, elsewhere], np.float32))
    assert scores[0] < scores[1] < scores[2]
    assert scores[0] < 1.0 < scores[2]


def test_the_nearest_of_the_guessed_class_count_not_those_of_another() -> None:
    told = two_classes()
    mixed_up = dataclasses.replace(told, remembered_labels=1 - told.remembered_labels)
    features = np.array([[5, 0.1, 0]], np.float32)
    assert told.score(features)[0] < mixed_up.score(features)[0] - 3


def test_a_belief_that_is_weak_makes_an_image_novel_wherever_it_lies() -> None:
    strong, weak = two_classes().score(np.array([[5, 0, 0], [0.5, 0, 0]], np.float32))
    assert weak - strong == pytest.approx(4.5), "standard deviations of belief"


def test_the_threshold_keeps_what_it_should_of_validation(
    tiny_bundle: Bundle, small_data: Cifar10
) -> None:
    import keras

    model = keras.saving.load_model(tiny_bundle.model_path, compile=False)
    learned, validation = (small_data.train.take(part) for part in split(small_data.train.labels))
    done = []
    told = novelty.fit(model, learned, validation, on_images=lambda *told: done.append(told))
    assert sum(count for count, _total in done) == len(learned) + len(validation)
    lower, _upper, _name = split_network(model)
    scores = told.score(lower.predict_on_batch(validation.images))
    assert np.mean(scores <= told.threshold) == pytest.approx(novelty.KEPT, abs=0.02)
    # The two signs weigh alike: each is in its own standard deviations.
    assert scores.mean() == pytest.approx(0, abs=1e-3)


def test_without_validation_the_threshold_is_that_of_the_run_before(
    tiny_bundle: Bundle, small_data: Cifar10
) -> None:
    import keras

    model = keras.saving.load_model(tiny_bundle.model_path, compile=False)
    told = novelty.fit(model, small_data.train, None, two_classes())
    assert (told.threshold, told.distance, told.belief) == (1.0, (0.0, 0.1), (4.0, 1.0))
    with pytest.raises(ValueError, match="nothing to set a threshold on"):
        novelty.fit(model, small_data.train, None)


def test_it_comes_back_from_its_arrays_as_it_was() -> None:
    told = two_classes()
    again = Novelty.from_arrays(told.arrays())
    features = np.random.default_rng(1).random((6, 3), np.float32)
    np.testing.assert_array_equal(told.score(features), again.score(features))
    assert again.threshold == told.threshold


def test_auroc_and_false_positive_rate_are_what_their_names_say() -> None:
    known, strangers = np.arange(100.0), np.array([50.0, 120.0, 94.0, 95.0])
    # 50.5, 100, 94.5 and 95.5 of the hundred known are below, a tie counting half.
    assert auroc(known, strangers) == pytest.approx((50.5 + 100 + 94.5 + 95.5) / 400)
    assert false_positive_rate(known, strangers, kept=0.95) == 0.5
