"""One model's report: every figure is computed from the bundle's stored predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_training.auditing.audit import Audit, PartAccuracy, accuracies
from model_training.bundles.card import Card
from model_training.judging.intervals import Interval, accuracy_interval
from model_training.judging.metrics import (
    ClassificationReport,
    calibration_bins,
    calibration_error,
)
from model_training.recipes import RECIPES
from webapp.charts.lines import LineChart, line_chart
from webapp.charts.reliability import ReliabilityDiagram, reliability_diagram
from webapp.comparison.model_card import ModelCard, make_model_card
from webapp.library import Result

HEAT_STEPS = 9
MISTAKES = 12


@dataclass(frozen=True)
class ConfusionCell:
    """A cell of the confusion matrix.

    `heat` is 0 for none to 9 for the most of its kind, right and wrong scaled apart.
    """

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
class Mistake:
    """A misclassified image and the model's confidence in its answer."""

    number: int
    true_class: str
    predicted_class: str
    confidence: float


@dataclass(frozen=True)
class Report:
    """All that the report page shows.

    `files` are the sizes of the bundle's files in bytes, by name; `clean` the accuracies of
    `auditing.audit.accuracies`, None where its test images were not audited; `judges` the models
    that judged their labels.
    """

    card: Card
    accuracy: Interval
    loss: float
    images: int
    classification: ClassificationReport
    confusion: list[tuple[str, list[ConfusionCell]]]
    confused: list[Confused]
    mistakes: list[Mistake]
    accuracy_chart: LineChart
    loss_chart: LineChart
    uncalibrated: ReliabilityDiagram
    calibrated: ReliabilityDiagram
    model_card: ModelCard
    files: dict[str, int]
    clean: dict[str, PartAccuracy] | None
    judges: list[str]

    @property
    def calibration_error(self) -> float:
        """Return the expected calibration error of the network's softmax probabilities."""
        return self.uncalibrated.error

    @property
    def calibrated_error(self) -> float:
        """Return the expected calibration error of the probabilities that the site shows."""
        return self.calibrated.error

    @property
    def why(self) -> str | None:
        """Return why its accuracy is not the one that is reported; None: nothing to say."""
        return self.card.why

    @property
    def remake(self) -> str:
        """Return the command that makes its network again, where only its results are here."""
        command, card = self.model_card.command.replace(" --report-only", ""), self.card
        if card.name != card.recipe or card.training.changes:
            command += f" --output {card.name}"  # Its usual name may be another.
        return f"{command} --force"

    @property
    def wrong(self) -> int:
        """Return the number of test images that it misclassifies."""
        return self.images - round(self.accuracy.value * self.images)

    @property
    def confused_share(self) -> float:
        """Return the share of all mistakes that are among the commonest confusions."""
        return sum(pair.count for pair in self.confused) / max(1, self.wrong)


def make_report(result: Result, audit: Audit | None) -> Report:
    """Compute the report of one bundle.

    Args:
        audit: of the images that it was tested on, if there is one.
    """
    bundle = result.bundle
    classes = tuple(bundle.card.classes)
    probabilities, labels = bundle.predictions.test, bundle.predictions.test_labels
    history = bundle.history
    return Report(
        card=bundle.card,
        accuracy=accuracy_interval(result.predicted == labels),
        loss=result.loss,
        images=len(labels),
        classification=result.classification,
        confusion=_confusion_rows(result.confusion, classes),
        confused=_commonest_confusions(result.confusion, classes),
        mistakes=_most_confident_mistakes(result, classes),
        accuracy_chart=line_chart(
            "Accuracy",
            history["epoch"],
            _curves(history, "accuracy"),
            as_percent=True,
            note=_no_validation(bundle.card, history),
            kept=bundle.card.training.best_epoch,
        ),
        loss_chart=line_chart(
            "Loss",
            history["epoch"],
            _curves(history, "loss"),
            note=_no_validation(bundle.card, history),
            kept=bundle.card.training.best_epoch,
        ),
        uncalibrated=reliability_diagram(
            "Before calibration",
            calibration_bins(probabilities, labels),
            calibration_error(probabilities, labels),
        ),
        calibrated=reliability_diagram(
            "After calibration",
            calibration_bins(result.probabilities, labels),
            result.calibrated_error,
        ),
        model_card=make_model_card(bundle.card, result.classification, RECIPES),
        files={name: path.stat().st_size for name, path in bundle.files.items()},
        clean=accuracies(audit, result.predicted == labels) if audit else None,
        judges=list(audit.provenance.models) if audit else [],
    )


def _most_confident_mistakes(
    result: Result, classes: tuple[str, ...], most: int = MISTAKES
) -> list[Mistake]:
    labels = result.bundle.predictions.test_labels
    wrong = np.flatnonzero(result.predicted != labels)
    surest = wrong[np.argsort(-result.confidence[wrong], kind="stable")[:most]]
    return [
        Mistake(
            number,
            classes[labels[number]],
            classes[result.predicted[number]],
            float(result.confidence[number]),
        )
        for number in surest.tolist()
    ]


def _curves(history: dict[str, list[float]], column: str) -> dict[str, Sequence[float]]:
    columns = {"training": column, "validation": f"validation_{column}"}
    return {name: history[column] for name, column in columns.items() if column in history}


def _no_validation(card: Card, history: dict[str, list[float]]) -> str:
    """Return why there is no curve of validation; nothing where there is one."""
    if "validation_accuracy" in history:
        return ""
    if card.training.all_data:
        return "no validation curve: it was trained on those images too"
    return "no validation curve: no images were held out for it"


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
