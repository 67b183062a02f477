"""One model's report: every figure is computed from the bundle's stored predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_training.card import Card
from model_training.evaluation import (
    ClassificationReport,
    accuracy,
    calibration_error,
    classification_report,
    confusion_matrix,
    cross_entropy,
)
from webapp.comparison.charts import Chart, line_chart
from webapp.library import Result

HEAT_STEPS = 9


@dataclass(frozen=True)
class ConfusionCell:
    """`heat` is 0 for none to 9 for the most of its kind, right and wrong scaled apart."""

    count: int
    heat: int
    right: bool


@dataclass(frozen=True)
class Confused:
    """Images of one class taken for another, the commonest confusions first."""

    true_class: str
    predicted_class: str
    count: int


@dataclass(frozen=True)
class Report:
    """What the report page shows."""

    card: Card
    accuracy: float
    loss: float
    calibration_error: float
    calibrated_error: float
    images: int
    classification: ClassificationReport
    confusion: list[tuple[str, list[ConfusionCell]]]
    confused: list[Confused]
    accuracy_chart: Chart
    loss_chart: Chart


@dataclass(frozen=True)
class Row:
    """One model's line in the comparison table."""

    card: Card
    accuracy: float
    loss: float
    macro_f1: float


def make_row(result: Result) -> Row:
    """Compute one line of the comparison table."""
    card = result.bundle.card
    stored = result.bundle.predictions
    confusion = confusion_matrix(result.predicted, stored.test_labels, len(card.classes))
    return Row(
        card=card,
        accuracy=accuracy(stored.test, stored.test_labels),
        loss=cross_entropy(stored.test, stored.test_labels),
        macro_f1=classification_report(confusion, tuple(card.classes)).macro_f1,
    )


def make_report(result: Result) -> Report:
    """Compute the report of one bundle."""
    bundle = result.bundle
    classes = tuple(bundle.card.classes)
    probabilities, labels = bundle.predictions.test, bundle.predictions.test_labels
    confusion = confusion_matrix(result.predicted, labels, len(classes))
    history = bundle.history
    return Report(
        card=bundle.card,
        accuracy=accuracy(probabilities, labels),
        loss=cross_entropy(probabilities, labels),
        calibration_error=calibration_error(probabilities, labels),
        calibrated_error=calibration_error(result.probabilities, labels),
        images=len(labels),
        classification=classification_report(confusion, classes),
        confusion=_confusion_rows(confusion, classes),
        confused=_commonest_confusions(confusion, classes),
        accuracy_chart=line_chart(
            "Accuracy",
            history["epoch"],
            _curves(history, "accuracy"),
            as_percent=True,
        ),
        loss_chart=line_chart(
            "Loss",
            history["epoch"],
            _curves(history, "loss"),
        ),
    )


def _curves(history: dict[str, list[float]], column: str) -> dict[str, Sequence[float]]:
    columns = {"training": column, "validation": f"validation_{column}"}
    return {name: history[column] for name, column in columns.items() if column in history}


def _confusion_rows(
    confusion: np.ndarray, classes: tuple[str, ...]
) -> list[tuple[str, list[ConfusionCell]]]:
    # One scale for both would leave every mistake as pale as none.
    diagonal = np.eye(len(classes), dtype=bool)
    most_right = max(1, confusion[diagonal].max())
    most_wrong = max(1, confusion[~diagonal].max())
    rows = []
    for row, name in enumerate(classes):
        cells = []
        for column in range(len(classes)):
            count = int(confusion[row, column])
            most = most_right if row == column else most_wrong
            cells.append(
                ConfusionCell(count, int(np.ceil(count / most * HEAT_STEPS)), row == column)
            )
        rows.append((name, cells))
    return rows


def _commonest_confusions(
    confusion: np.ndarray, classes: tuple[str, ...], most: int = 3
) -> list[Confused]:
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(classes)) for place in order]
    return [
        Confused(classes[row], classes[column], int(wrong[row, column]))
        for row, column in pairs
        if wrong[row, column]
    ]
