"""The figures of the pages in forms that programs read."""

from __future__ import annotations

import dataclasses
from typing import Any

from webapp.comparison.report import Report, Row

FIGURES = (
    "name",
    "title",
    "accuracy",
    "averaged_accuracy",
    "reported_accuracy",
    "reported_source",
    "macro_f1",
    "macro_recall",
    "test_loss",
    "calibration_error",
    "parameters",
    "layers",
    "dense_layers",
    "input_size",
    "epochs",
    "batch_size",
    "training_seconds",
    "file_bytes",
    "augmentation",
    "batch_normalization",
    "dropout",
    "optimizer",
    "data_set",
    "summary",
)
"""The columns of the comparison as a spreadsheet."""


def figures(row: Row) -> dict[str, Any]:
    """One model's line of the spreadsheet; None where there is no such figure."""
    card = row.card
    averaged = card.averaged.get("test")
    return {
        "name": card.name,
        "title": card.title,
        "accuracy": row.accuracy,
        "averaged_accuracy": averaged.accuracy if averaged else None,
        "reported_accuracy": card.reported.test_accuracy if card.reported else None,
        "reported_source": card.reported.source if card.reported else None,
        "macro_f1": row.macro_f1,
        "macro_recall": row.macro_recall,
        "test_loss": row.loss,
        "calibration_error": row.calibration_error,
        "parameters": card.parameters,
        "layers": row.layers,
        "dense_layers": row.dense_layers,
        "input_size": card.input_size,
        "epochs": card.training.epochs,
        "batch_size": card.training.batch_size,
        "training_seconds": card.training.seconds,
        "file_bytes": row.file_bytes,
        "augmentation": card.training.augmentation,
        "batch_normalization": row.batch_normalization,
        "dropout": row.dropout,
        "optimizer": card.training.optimizer,
        "data_set": card.training.data_set,
        "summary": card.summary,
    }


def as_json(report: Report) -> dict[str, Any]:
    """One model's report: everything measured, and its card."""
    return {
        "name": report.card.name,
        "accuracy": dataclasses.asdict(report.accuracy),
        "images": report.images,
        "wrong": report.wrong,
        "loss": report.loss,
        "calibration_error": report.calibration_error,
        "calibrated_error": report.calibrated_error,
        "classification": dataclasses.asdict(report.classification),
        "confusion": {name: [cell.count for cell in cells] for name, cells in report.confusion},
        "confused": [dataclasses.asdict(pair) for pair in report.confused],
        "mistakes": [dataclasses.asdict(one) for one in report.mistakes],
        "card": report.card.model_dump(mode="json"),
    }
