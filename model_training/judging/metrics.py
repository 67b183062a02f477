"""Judging a trained network: predictions, and figures that are arithmetic on them.

Only `predict` runs a network.  Everything else takes probabilities (count, classes) and labels
(count,), so a page about results never needs the network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.augmentation import View

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

CALIBRATION_BINS = 15
AVERAGED_VIEWS = {
    View(flip, down=move, right=move): weight
    for flip in (False, True)
    for move, weight in ((0, 0.25), (1, 0.125), (-1, 0.125))
}
FURTHER_VIEWS = len(AVERAGED_VIEWS) - 1
"""Those that a network looks at beside the image as it is."""
_PIXELS_AT_A_TIME = 500 * 32 * 32
# Guards the logarithm of a probability that float32 rounded to nothing.
_TINY = 1e-12


@dataclass(frozen=True)
class ClassScore:
    """How one class fares.  `support` counts the images that truly are of it."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class ClassificationReport:
    """Per-class scores and their means, as in scikit-learn's report of the same name."""

    classes: list[ClassScore]
    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    support: int


def predict(
    model: keras.Model,
    images: NDArray[np.uint8],
    on_images: Callable[[int], None] = lambda count: None,
) -> NDArray[np.float32]:
    """`model`'s probabilities for `images`, uint8 (count, height, width, 3).

    Args:
        on_images: told after each batch how many more are done; what it raises ends it all.

    Returns:
        float32 (count, classes).
    """
    import keras

    size = batch_within_memory(model)
    done = 0

    def tell(_batch: int, logs: object) -> None:  # Keras calls it by this name.
        nonlocal done
        count = min(size, len(images) - done)
        done += count
        on_images(count)

    telling = keras.callbacks.LambdaCallback(on_predict_batch_end=tell)
    found = model.predict(images, batch_size=size, verbose=0, callbacks=[telling])
    return np.asarray(found, np.float32)


def predict_averaged(
    model: keras.Model,
    images: NDArray[np.uint8],
    plain: NDArray[np.float32],
    on_images: Callable[[int], None] = lambda count: None,
) -> NDArray[np.float32]:
    """As `predict`, averaged over six views: mirrored or not, as they are and moved by a pixel.

    Args:
        plain: what `predict` says of `images`, which is the first of the views.
        on_images: told how many more views are done, `FURTHER_VIEWS` of each image.

    The views and their weights are those of K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a
    Single GPU", 2024; as there, logits are averaged, not probabilities.
    """
    seen = [
        plain if view == View() else predict(model, view(images), on_images)
        for view in AVERAGED_VIEWS
    ]
    logits = sum(
        weight * np.log(np.maximum(probabilities, _TINY))
        for probabilities, weight in zip(seen, AVERAGED_VIEWS.values(), strict=True)
    )
    return scale_by_temperature(np.exp(logits), 1.0).astype(np.float32)


def batch_within_memory(network: keras.Model) -> int:
    """How many images `network` takes at a time: 500 of 32 pixels, fewer where layers are wider.

    That keeps the largest activation of a network near 130 MB.
    """
    sides = [
        layer.output.shape[1]
        for layer in network.layers
        if len(layer.output.shape) == 4 and layer.output.shape[1]
    ]
    return max(16, min(500, _PIXELS_AT_A_TIME // max(sides, default=32) ** 2))


def accuracy(probabilities: Floats, labels: Labels) -> float:
    """The share of images whose most probable class is the true one."""
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def cross_entropy(probabilities: Floats, labels: Labels) -> float:
    """The mean negative log probability of the true class, in nats: the plain test loss."""
    true = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(true.astype(np.float64), _TINY)).mean())


def confusion_matrix(predicted: Labels, labels: Labels, classes: int) -> NDArray[np.int64]:
    """Counts, int64 (classes, classes): a row per true class, a column per predicted class."""
    cells = np.bincount(labels.astype(np.int64) * classes + predicted, minlength=classes**2)
    return cells.reshape(classes, classes)


def classification_report(
    confusion: NDArray[np.int64], class_names: tuple[str, ...]
) -> ClassificationReport:
    """Precision, recall and F1 of each class, from a confusion matrix.

    A class that was never predicted, or never occurs, scores 0 where the quotient has no meaning.
    """
    right = np.diag(confusion).astype(float)
    support = confusion.sum(axis=1)
    precision = _ratio(right, confusion.sum(axis=0))
    recall = _ratio(right, support)
    f1 = _ratio(2 * precision * recall, precision + recall)
    return ClassificationReport(
        classes=[
            ClassScore(name, float(p), float(r), float(f), int(n))
            for name, p, r, f, n in zip(class_names, precision, recall, f1, support, strict=True)
        ],
        accuracy=float(right.sum() / max(1, confusion.sum())),
        macro_precision=float(precision.mean()),
        macro_recall=float(recall.mean()),
        macro_f1=float(f1.mean()),
        support=int(confusion.sum()),
    )


@dataclass(frozen=True)
class CalibrationBin:
    """The images whose highest probability lies in one range; means are 0 where there is none."""

    count: int
    accuracy: float
    confidence: float


def calibration_bins(
    probabilities: Floats, labels: Labels, bins: int = CALIBRATION_BINS
) -> list[CalibrationBin]:
    """Sort images into `bins` equal ranges of the highest probability, from 0 to 1."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(index, minlength=bins)
    accuracies = np.bincount(index, weights=right, minlength=bins) / np.maximum(counts, 1)
    confidences = np.bincount(index, weights=confidence, minlength=bins) / np.maximum(counts, 1)
    return [
        CalibrationBin(int(count), float(accuracy), float(mean))
        for count, accuracy, mean in zip(counts, accuracies, confidences, strict=True)
    ]


def calibration_error(probabilities: Floats, labels: Labels, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: how far confidence is from accuracy, weighted by images.

    Equal-width bins of the highest probability (C. Guo et al., "On Calibration of Modern Neural
    Networks", 2017).
    """
    found = calibration_bins(probabilities, labels, bins)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in found) / len(labels)


def scale_by_temperature(probabilities: Floats, temperature: float) -> Floats:
    """Divide the logits by `temperature`: above 1 makes a model less sure, below 1 surer."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), _TINY)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fit_temperature(probabilities: Floats, labels: Labels) -> float:
    """The temperature between 0.05 and 20 with the least cross-entropy (Guo et al., 2017).

    Cross-entropy has one valley in the logarithm of the temperature; golden-section search finds
    its floor to four digits.
    """
    low, high = np.log(0.05), np.log(20.0)
    golden = (np.sqrt(5) - 1) / 2
    while high - low > 1e-5:
        first = high - golden * (high - low)
        second = low + golden * (high - low)
        if _loss_at(first, probabilities, labels) < _loss_at(second, probabilities, labels):
            high = second
        else:
            low = first
    return float(np.exp((low + high) / 2))


def _loss_at(log_temperature: float, probabilities: Floats, labels: Labels) -> float:
    scaled = scale_by_temperature(probabilities, float(np.exp(log_temperature)))
    return cross_entropy(scaled, labels)


def _ratio(numerator: Floats, denominator: NDArray[Any]) -> Floats:
    out = np.zeros(len(numerator))
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out
