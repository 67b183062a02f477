"""The figures are those of scikit-learn, or of the definition written out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from model_training.judging import metrics as evaluation

NAMES = tuple("abcde")


@pytest.fixture
def probabilities() -> NDArray[np.float64]:
    return np.random.default_rng(3).dirichlet(np.full(5, 0.4), 400)


@pytest.fixture
def labels(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Mostly the most probable class, so that the figures are not those of noise."""
    rng = np.random.default_rng(4)
    return np.where(rng.random(400) < 0.7, probabilities.argmax(1), rng.integers(0, 5, 400))


def test_accuracy_and_loss_are_scikit_learns(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> None:
    predicted = probabilities.argmax(1)
    assert evaluation.accuracy(probabilities, labels) == metrics.accuracy_score(labels, predicted)
    assert evaluation.cross_entropy(probabilities, labels) == pytest.approx(
        metrics.log_loss(labels, np.maximum(probabilities, 1e-12), labels=range(5)), rel=1e-3
    )


def test_confusion_matrix_and_report_are_scikit_learns(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> None:
    predicted = probabilities.argmax(1)
    confusion = evaluation.confusion_matrix(predicted, labels, 5)
    assert np.array_equal(confusion, metrics.confusion_matrix(labels, predicted))
    ours = evaluation.classification_report(confusion, NAMES)
    theirs = metrics.classification_report(
        labels, predicted, target_names=list(NAMES), output_dict=True
    )
    for row in ours.classes:
        assert row.precision == pytest.approx(theirs[row.name]["precision"])
        assert row.recall == pytest.approx(theirs[row.name]["recall"])
        assert row.f1 == pytest.approx(theirs[row.name]["f1-score"])
        assert row.support == theirs[row.name]["support"]
    assert ours.macro_f1 == pytest.approx(theirs["macro avg"]["f1-score"])
    assert ours.accuracy == pytest.approx(theirs["accuracy"])


def test_a_class_that_is_never_predicted_scores_nothing() -> None:
    confusion = np.array([[0, 3], [0, 2]])
    first, second = evaluation.classification_report(confusion, ("never", "always")).classes
    assert (first.precision, first.recall, first.f1) == (0, 0, 0)
    assert (second.precision, second.recall) == (0.4, 1)


def test_calibration_error_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    # Ten answers at 90% of which five are right, and ten at 60% of which six are.
    sure = np.tile([0.9, 0.1], (10, 1))
    unsure = np.tile([0.6, 0.4], (10, 1))
    labels = np.array([0] * 5 + [1] * 5 + [0] * 6 + [1] * 4)
    error = evaluation.calibration_error(np.concatenate([sure, unsure]), labels)
    assert error == pytest.approx((10 * 0.4 + 10 * 0.0) / 20)


def test_the_fitted_temperature_undoes_one_that_was_put_on() -> None:
    rng = np.random.default_rng(5)
    honest = rng.dirichlet(np.full(5, 0.5), 4_000)
    labels = np.array([rng.choice(5, p=row) for row in honest])
    overconfident = evaluation.scale_by_temperature(honest, 1 / 2.5)
    temperature = evaluation.fit_temperature(overconfident, labels)
    assert temperature == pytest.approx(2.5, rel=0.06)
    repaired = evaluation.scale_by_temperature(overconfident, temperature)
    before = evaluation.calibration_error(overconfident, labels)
    assert evaluation.calibration_error(repaired, labels) < before / 3


def test_temperature_changes_no_decision(probabilities: NDArray[np.float64]) -> None:
    scaled = evaluation.scale_by_temperature(probabilities, 1.7)
    assert np.array_equal(scaled.argmax(1), probabilities.argmax(1))
    assert scaled.sum(axis=1) == pytest.approx(1)
    assert evaluation.scale_by_temperature(probabilities, 1) == pytest.approx(
        probabilities, abs=1e-9
    )
