"""The columns of the comparison table, and the few of them that each of its views shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from webapp import filters


@dataclass(frozen=True)
class Column:
    """One column of figures: the function that writes them, and a sentence that explains them.

    Without a `write`, the figures are words, sentences where they are `long`.
    """

    name: str
    title: str
    meaning: str
    write: Callable[[Any], str] | None = None
    long: bool = False

    @property
    def is_number(self) -> bool:
        """Return True if it is aligned and sorted as numbers."""
        return self.write is not None


def _percent(share: float) -> str:
    return filters.percent(share, 2)


def _points(share: float) -> str:
    return filters.points(share, 1)


def _three(value: float) -> str:
    return f"{value:.3f}"


COLUMNS = (
    Column("title", "Model", "The network, and its name in commands such as flask train."),
    Column(
        "accuracy",
        "Test accuracy",
        "Share of the test images that it classifies correctly, measured here.",
        _percent,
    ),
    Column("reported", "Reported", "Accuracy published by its source.", filters.published),
    Column(
        "difference",
        "Difference",
        "Test accuracy measured here minus that reported, in percentage points.",
        _points,
    ),
    Column(
        "averaged",
        "With six views",
        "The same, with test-time augmentation: the mean over six views of each image.",
        _percent,
    ),
    Column(
        "cleaned",
        "Without doubtful images",
        "Test accuracy on the images that have neither a near-copy in training nor a "
        "suspected label.",
        _percent,
    ),
    Column("loss", "Test loss", "Mean negative log probability of the true class.", _three),
    Column(
        "reported_loss",
        "Reported loss",
        "Test loss published by its source.",
        lambda loss: f"{loss:.3g}",
    ),
    Column(
        "f1",
        "Macro F1",
        "Mean over the classes of the F1 score, the harmonic mean of precision and recall.",
        _three,
    ),
    Column(
        "recall",
        "Recall",
        "Mean over the classes of the share of their images that it finds.",
        _three,
    ),
    Column(
        "calibration",
        "Calibration error",
        "Expected calibration error after calibration: how far its percentages are off.",
        _percent,
    ),
    Column(
        "parameters",
        "Parameters",
        "Numbers that make up the network, trained or not.",
        filters.count,
    ),
    Column("layers", "Layers", "Layers that have parameters.", filters.count),
    Column("dense", "Dense", "Fully connected layers.", filters.count),
    Column("input", "Input", "Side of the square that it is given.", lambda size: f"{size} px"),
    Column("file", "File", "Size of the saved network.", filters.file_size),
    Column(
        "milliseconds", "One image", "Time for one image, measured at start-up.", "{:.1f} ms".format
    ),
    Column("seconds", "Training", "Wall-clock time, all sessions together.", filters.duration),
    Column("epochs", "Epochs", "Passes over the training images.", filters.count),
    Column("batch_norm", "Batch norm", "Whether it uses batch normalisation."),
    Column("dropout", "Dropout", "Whether random units are switched off in training."),
    Column("augmentation", "Augmentation", "How images are varied in training.", long=True),
    Column("optimizer", "Optimizer", "The algorithm that fits its weights.", long=True),
    Column("data", "Data set", "The images that it was trained and tested on."),
    Column("source", "Source", "The source of the reported figure.", long=True),
    Column("comment", "In a sentence", "What the network is.", long=True),
)
BY_NAME = {column.name: column for column in COLUMNS}
FIRST_DOWN = ("accuracy", "averaged", "cleaned", "reported", "difference", "f1", "recall")
"""Columns that are sorted with the largest first, unless the address says otherwise."""

FIRST = "results"
"""The view of an address that asks for none."""
VIEWS = {
    FIRST: ("title", "accuracy", "reported", "difference", "parameters", "seconds"),
    "training": (
        "title",
        "accuracy",
        "epochs",
        "optimizer",
        "augmentation",
        "batch_norm",
        "dropout",
    ),
    "cost": (
        "title",
        "accuracy",
        "parameters",
        "layers",
        "dense",
        "input",
        "file",
        "milliseconds",
        "seconds",
    ),
    "figures": (
        "title",
        "accuracy",
        "averaged",
        "cleaned",
        "loss",
        "reported_loss",
        "f1",
        "recall",
        "calibration",
    ),
    "sources": ("title", "reported", "source", "data", "comment"),
}


def view_of(column: str) -> str:
    """Return the first view that shows `column`."""
    return next(name for name, columns in VIEWS.items() if column in columns)
