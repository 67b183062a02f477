"""The figures are those of the definition, written out."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from model_training.judging.calibration import fit_temperature, scale_by_temperature
from model_training.judging.metrics import (
    accuracy,
    calibration_error,
    classification_report,
    confusion_matrix,
    cross_entropy,
)
from tests.conftest import PROJECT

NAMES = tuple("abcde")


@pytest.fixture
def probabilities() -> NDArray[np.float64]:
    return np.random.default_rng(3).dirichlet(np.full(5, 0.4), 400)


@pytest.fixture
def labels(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Mostly the most probable class, so that the figures are not those of noise."""
    rng = np.random.default_rng(4)
    return np.where(rng.random(400) < 0.7, probabilities.argmax(1), rng.integers(0, 5, 400))


def test_accuracy_and_loss_are_those_of_the_definition(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> None:
    right = [row.argmax() == label for row, label in zip(probabilities, labels, strict=True)]
    assert accuracy(probabilities, labels) == sum(right) / 400
    true = [row[label] for row, label in zip(probabilities, labels, strict=True)]
    # A probability of nothing, whose logarithm has no end, counts as one of 1e-12.
    expected = -sum(math.log(max(each, 1e-12)) for each in true) / 400
    assert cross_entropy(probabilities, labels) == pytest.approx(expected, abs=1e-9)


def test_the_loss_of_what_float32_rounds_to_nothing_is_large_but_has_an_end() -> None:
    certain = np.array([[1, 0], [1e-9, 1]], np.float32)
    labels = np.array([1, 0], np.uint8)
    expected = -(math.log(1e-12) + math.log(1e-9)) / 2
    assert cross_entropy(certain, labels) == pytest.approx(expected, rel=1e-6)


def test_a_class_without_images_is_counted_too() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1]])
    labels = np.array([0, 0])
    assert cross_entropy(probabilities, labels) == pytest.approx(-math.log(0.7 * 0.6) / 2)
    confusion = confusion_matrix(probabilities.argmax(axis=1), labels, 3)
    assert confusion.tolist() == [[2, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert [row.f1 for row in classification_report(confusion, ("a", "b", "c")).classes] == [
        1, 0, 0,
    ]  # fmt: skip


def test_the_confusion_matrix_and_the_report_count_images(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> None:
    predicted = probabilities.argmax(1)
    confusion = confusion_matrix(predicted, labels, 5)
    pairs = list(zip(labels.tolist(), predicted.tolist(), strict=True))
    assert confusion.tolist() == [[pairs.count((a, b)) for b in range(5)] for a in range(5)]
    report = classification_report(confusion, NAMES)
    for number, row in enumerate(report.classes):
        right = pairs.count((number, number))
        assert row.support == (labels == number).sum()
        assert row.precision == pytest.approx(right / (predicted == number).sum())
        assert row.recall == pytest.approx(right / row.support)
        assert row.f1 == pytest.approx(2 / (1 / row.precision + 1 / row.recall))
    assert report.macro_f1 == pytest.approx(np.mean([row.f1 for row in report.classes]))
    assert report.macro_recall == pytest.approx(np.mean([row.recall for row in report.classes]))
    assert (report.accuracy, report.support) == (accuracy(probabilities, labels), 400)


def test_the_figures_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.full(7, 0.2), 500)
    labels = random.integers(0, 6, 500)  # one class never occurs
    predicted = probabilities.argmax(axis=1)
    counted = confusion_matrix(predicted, labels, 7)
    assert np.array_equal(counted, metrics.confusion_matrix(labels, predicted, labels=range(7)))
    assert cross_entropy(probabilities, labels) == pytest.approx(
        metrics.log_loss(labels, scale_by_temperature(probabilities, 1.0), labels=range(7)),
        rel=1e-9,
    )
    expected = metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(7), zero_division=0.0
    )
    found = classification_report(counted, tuple("abcdefg")).classes
    scores = [(one.precision, one.recall, one.f1, one.support) for one in found]
    assert np.allclose(np.transpose(expected), scores)


def test_a_class_that_is_never_predicted_scores_nothing() -> None:
    confusion = np.array([[0, 3], [0, 2]])
    first, second = classification_report(confusion, ("never", "always")).classes
    assert (first.precision, first.recall, first.f1) == (0, 0, 0)
    assert (second.precision, second.recall) == (0.4, 1)


def test_calibration_error_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    # Ten answers at 90% of which five are right, and ten at 60% of which six are.
    sure = np.tile([0.9, 0.1], (10, 1))
    unsure = np.tile([0.6, 0.4], (10, 1))
    labels = np.array([0] * 5 + [1] * 5 + [0] * 6 + [1] * 4)
    error = calibration_error(np.concatenate([sure, unsure]), labels)
    assert error == pytest.approx((10 * 0.4 + 10 * 0.0) / 20)


def test_the_fitted_temperature_undoes_one_that_was_put_on() -> None:
    rng = np.random.default_rng(5)
    honest = rng.dirichlet(np.full(5, 0.5), 4_000)
    labels = np.array([rng.choice(5, p=row) for row in honest])
    overconfident = scale_by_temperature(honest, 1 / 2.5)
    temperature = fit_temperature(overconfident, labels)
    assert temperature == pytest.approx(2.5, rel=0.06)
    repaired = scale_by_temperature(overconfident, temperature)
    before = calibration_error(overconfident, labels)
    assert calibration_error(repaired, labels) < before / 3


def test_temperature_changes_no_decision(probabilities: NDArray[np.float64]) -> None:
    scaled = scale_by_temperature(probabilities, 1.7)
    assert np.array_equal(scaled.argmax(1), probabilities.argmax(1))
    assert scaled.sum(axis=1) == pytest.approx(1)
    assert scale_by_temperature(probabilities, 1) == pytest.approx(probabilities, abs=1e-9)


@pytest.mark.parametrize("temperature", [0.05, 0.4, 1.0, 3.0, 20.0])
def test_the_fitted_temperature_has_the_least_loss(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], temperature: float
) -> None:
    fitted = fit_temperature(probabilities, labels)
    least = cross_entropy(scale_by_temperature(probabilities, fitted), labels)
    assert least <= cross_entropy(scale_by_temperature(probabilities, temperature), labels)


def test_a_model_that_is_never_wrong_gets_the_lowest_temperature() -> None:
    sure = np.tile([0.8, 0.2], (50, 1))
    assert fit_temperature(sure, np.zeros(50, int)) == pytest.approx(0.05, rel=1e-3)


def test_importing_the_figures_does_not_import_scikit_learn_or_scipy() -> None:
    # `flask --help` imports them, and would wait a second for what it does not use.
    script = (
        "import sys, model_training.judging.metrics, model_training.judging.intervals;"
        "print(sorted({'sklearn', 'scipy', 'keras'} & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
