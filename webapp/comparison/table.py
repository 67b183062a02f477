"""The comparison table: one row a model, trained here or only reported, and its columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_training.auditing.audit import Audit
from model_training.datasets.registry import find_known
from model_training.judging.metrics import calibration_error
from model_training.recipes import Recipe
from webapp import filters
from webapp.library import Result
from webapp.serving.classifier import Classifier


@dataclass(frozen=True)
class Column:
    """One column of figures: the function that writes them, and a sentence that explains them.

    Without a `write`, the figures are words.
    """

    name: str
    title: str
    meaning: str
    write: Callable[[Any], str] | None = None

    @property
    def is_number(self) -> bool:
        """Return True if it is aligned and sorted as numbers."""
        return self.write is not None


@dataclass(frozen=True)
class Row:
    """One model: its figures by column name; one that is missing is None.

    `measured` is False for a recipe that has no bundle here.  `images` is the number of test images
    that it was measured on, and `whole` is False where these are not all that there are, so that
    its figures cannot be compared with those of others.
    """

    name: str
    figures: Mapping[str, Any]
    measured: bool
    reproduced: bool = True
    images: int = 0
    whole: bool = True


def _percent(share: float) -> str:
    return filters.percent(share, 2)


def _three(value: float) -> str:
    return f"{value:.3f}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


COLUMNS = (
    Column("title", "Model", "The network, by the name of its recipe."),
    Column(
        "accuracy",
        "Test accuracy",
        "Share of the test images that it classifies correctly, measured here.",
        _percent,
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
    Column("reported", "Reported", "Test accuracy published by its source.", _percent),
    Column("loss", "Test loss", "Mean negative log probability of the true class.", _three),
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
        "Calibration",
        "Expected calibration error after temperature scaling: how far its percentages are off.",
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
    Column("file", "File", "Size of the saved network.", _megabytes),
    Column(
        "milliseconds", "One image", "Time for one image, measured at start-up.", "{:.1f} ms".format
    ),
    Column("seconds", "Training", "Wall-clock time, all sessions together.", filters.duration),
    Column("epochs", "Epochs", "Passes over the training images.", filters.count),
    Column("batch_norm", "Batch norm", "Whether it uses batch normalisation."),
    Column("dropout", "Dropout", "Whether random units are switched off in training."),
    Column("augmentation", "Augmentation", "How images are varied in training."),
    Column("optimizer", "Optimizer", "The algorithm that fits its weights."),
    Column("data", "Data set", "The images that it was trained and tested on."),
    Column("source", "Source", "The source of the reported figure."),
    Column("comment", "Comment", "The network in a sentence."),
)
BY_NAME = {column.name: column for column in COLUMNS}
FIRST_DOWN = ("accuracy", "averaged", "cleaned", "reported", "f1", "recall")
"""Columns that are sorted with the largest first, unless the address says otherwise."""


def make_rows(
    results: Collection[Result],
    classifiers: Mapping[str, Classifier],
    recipes: Mapping[str, Recipe],
    audits: Mapping[str, Audit | None],
    whole: Collection[str],
) -> list[Row]:
    """Make a row for each bundle, then one for each recipe that has none.

    Args:
        audits: by the names of bundles, of the images that each was tested on.
        whole: the bundles that were tested on all test images.
    """
    rows = [
        _measured(
            result,
            classifiers.get(result.bundle.name),
            audits.get(result.bundle.name),
            result.bundle.name in whole,
        )
        for result in results
    ]
    cards = [result.bundle.card for result in results]
    trained = {(card.recipe, card.training.data_digest) for card in cards}
    return rows + [
        _reported(one)
        for name, one in recipes.items()
        if (name, find_known(one.data_set).digest) not in trained
    ]


def ordered(rows: list[Row], column: Column, down: bool) -> list[Row]:
    """Sort `rows` by the figures of `column`; a row without one comes last either way."""
    there = [row for row in rows if row.figures.get(column.name) is not None]
    missing = [row for row in rows if row.figures.get(column.name) is None]
    return sorted(there, key=lambda row: row.figures[column.name], reverse=down) + missing


def _measured(
    result: Result, classifier: Classifier | None, audit: Audit | None, whole: bool
) -> Row:
    bundle = result.bundle
    card, stored = bundle.card, bundle.predictions
    scores = result.classification
    kinds = [layer.type for layer in card.layers]
    averaged = card.averaged.get("test")
    cleaned = audit.parts()["cleaned"] if audit else np.zeros(0, bool)
    figures = {
        "title": card.title,
        "accuracy": result.accuracy,
        "averaged": averaged.accuracy if averaged else None,
        "cleaned": float((result.predicted == stored.test_labels)[cleaned].mean())
        if cleaned.any()
        else None,
        "reported": card.reported.test_accuracy if card.reported else None,
        "loss": result.loss,
        "f1": scores.macro_f1,
        "recall": scores.macro_recall,
        "calibration": calibration_error(result.probabilities, stored.test_labels),
        "parameters": card.parameters,
        "layers": sum(layer.parameters > 0 for layer in card.layers),
        "dense": kinds.count("Dense"),
        "input": card.input_size,
        "file": bundle.model_path.stat().st_size if bundle.model_path else None,
        "milliseconds": classifier.milliseconds if classifier else None,
        "seconds": card.training.seconds,
        "epochs": card.training.epochs,
        "batch_norm": "yes" if "BatchNormalization" in kinds else "no",
        "dropout": "yes" if "Dropout" in kinds else "no",
        "augmentation": card.training.augmentation,
        "optimizer": card.training.optimizer,
        "data": card.training.data_set,
        "source": card.reported.source if card.reported else None,
        "comment": card.summary,
    }
    images = len(stored.test_labels)
    return Row(card.name, figures, measured=True, images=images, whole=whole)


def _reported(recipe: Recipe) -> Row:
    reported = recipe.reported
    figures = {
        "title": recipe.title,
        "reported": reported.test_accuracy if reported else None,
        "parameters": recipe.parameters,
        "input": recipe.input_size,
        "augmentation": recipe.augmentation,
        "data": find_known(recipe.data_set).title,
        "source": reported.source if reported else None,
        "comment": recipe.summary,
    }
    return Row(recipe.name, figures, measured=False, reproduced=recipe.reproduced)
