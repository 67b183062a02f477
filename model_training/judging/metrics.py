"""Metrics computed from predictions: accuracy, loss, confusion, calibration error.

They take probabilities (count, classes) and labels (count,), so a page about results never needs
the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from model_training.judging.calibration import scale_by_temperature

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]
Binning = Literal["width", "mass"]

CALIBRATION_BINS = 15
_PRECISION = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class ClassScore:
    """The scores of one class.  `support` counts the images whose true class it is."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class ClassificationReport:
    """Scores of each class and their means, as in scikit-learn's report of the same name."""

    classes: list[ClassScore]
    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    support: int


@dataclass(frozen=True)
class CalibrationBin:
    """The images whose highest probability lies in one range; means are 0 where there is none."""

    count: int
    accuracy: float
    confidence: float


def accuracy(probabilities: Floats, labels: Labels) -> float:
    """Return the share of images whose most probable class is the true one."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def cross_entropy(probabilities: Floats, labels: Labels) -> float:
    """Return the mean negative log probability of the true class, in nats: the plain test loss.

    Clipped at the precision of float64, as in scikit-learn's `log_loss`.
    """
    precise = scale_by_temperature(probabilities, 1.0)
    true = precise[np.arange(len(labels)), labels]
    return float(-np.log(true.clip(_PRECISION, 1 - _PRECISION)).mean())


def confusion_matrix(predicted: Labels, labels: Labels, classes: int) -> NDArray[np.int64]:
    """Return counts, int64 (classes, classes): a row per true and a column per predicted class."""
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def classification_report(
    confusion: NDArray[np.int64], class_names: tuple[str, ...]
) -> ClassificationReport:
    """Return precision, recall and F1 of each class, from a confusion matrix.

    A class that was never predicted, or never occurs, scores 0 where the quotient is undefined.
    """
    right, predicted, support = np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    precision, recall = _quotients(right, predicted), _quotients(right, support)
    f1 = _quotients(2 * right, predicted + support)
    return ClassificationReport(
        classes=[
            ClassScore(name, float(p), float(r), float(f), int(n))
            for name, p, r, f, n in zip(class_names, precision, recall, f1, support, strict=True)
        ],
        accuracy=float(np.trace(confusion) / max(1, confusion.sum())),
        macro_precision=float(precision.mean()),
        macro_recall=float(recall.mean()),
        macro_f1=float(f1.mean()),
        support=int(confusion.sum()),
    )


def _quotients(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def calibration_bins(
    probabilities: Floats, labels: Labels, bins: int = CALIBRATION_BINS, by: Binning = "width"
) -> list[CalibrationBin]:
    """Sort images by the highest probability into `bins` ranges of it.

    Args:
        by: `width`, equal ranges from 0 to 1, of which some are nearly empty; or `mass`, ranges
            with as many images each.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    if by == "width":
        index = np.minimum((confidence * bins).astype(int), bins - 1)
    else:
        index = np.empty(len(labels), int)
        for number, part in enumerate(np.array_split(np.argsort(confidence, kind="stable"), bins)):
            index[part] = number
    counts = np.bincount(index, minlength=bins)
    accuracies = np.bincount(index, weights=right, minlength=bins) / np.maximum(counts, 1)
    confidences = np.bincount(index, weights=confidence, minlength=bins) / np.maximum(counts, 1)
    return [
        CalibrationBin(int(count), float(accuracy), float(mean))
        for count, accuracy, mean in zip(counts, accuracies, confidences, strict=True)
    ]


def calibration_error(
    probabilities: Floats, labels: Labels, bins: int = CALIBRATION_BINS, by: Binning = "width"
) -> float:
    """Return the expected calibration error, the mean distance of confidence from accuracy.

    Bins of the highest probability, weighted by their images: of equal width (C. Guo et al., "On
    Calibration of Modern Neural Networks", 2017), or of equal mass (K. Nguyen and B. O'Connor,
    "Posterior Calibration and Exploratory Analysis for Natural Language Processing Models", 2015),
    which a sure network cannot crowd into one bin.
    """
    found = calibration_bins(probabilities, labels, bins, by)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in found) / len(labels)
