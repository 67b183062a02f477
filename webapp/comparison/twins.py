"""The figures of the pages as CSV and JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable
from typing import Any

from model_training.recipes import Recipe
from webapp.comparison.columns import BY_NAME
from webapp.comparison.report import Report
from webapp.comparison.rows import Row
from webapp.data_sets import ServedDataSet


def as_csv(rows: Iterable[Row]) -> str:
    """Return the comparison table as CSV: shares and seconds unrounded."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["name", "kind", "state", *BY_NAME])
    for row in rows:
        figures = (row.figures.get(name) for name in BY_NAME)
        writer.writerow([row.name, row.kind, row.state, *figures])
    return text.getvalue()


def as_json(report: Report) -> dict[str, Any]:
    """Return one model's report for JSON: everything measured, and its card."""
    return {
        "name": report.card.name,
        "data_set": report.card.training.data_set,
        "accuracy": dataclasses.asdict(report.accuracy),
        "images": report.images,
        "wrong": report.wrong,
        "clean": report.clean
        and {name: dataclasses.asdict(part) for name, part in report.clean.items()},
        "judges": report.judges,
        "why_not_as_reported": report.why,
        "loss": report.loss,
        "calibration_error": report.calibration_error,
        "calibrated_error": report.calibrated_error,
        "classification": dataclasses.asdict(report.classification),
        "confusion": {name: [cell.count for cell in cells] for name, cells in report.confusion},
        "confused": [dataclasses.asdict(pair) for pair in report.confused],
        "mistakes": [dataclasses.asdict(one) for one in report.mistakes],
        "test_reads": report.card.test_reads,
        # Of a network that learned from all images, validation and temperature are another's.
        "validation_of": report.card.training.calibrated_by,
        "model_card": dataclasses.asdict(report.model_card),
        "card": report.card.model_dump(mode="json"),
    }


def recipe_as_json(recipe: Recipe, data: ServedDataSet) -> dict[str, Any]:
    """Return for JSON what is known of a recipe that has no results here."""
    return {
        "name": recipe.name,
        "title": recipe.title,
        "data_set": data.title,
        "summary": recipe.summary,
        "parameters": recipe.parameters,
        "input_size": recipe.input_size,
        "reproduced": recipe.reproduced,
        "reported": dataclasses.asdict(recipe.reported) if recipe.reported else None,
        "command": f"flask train {recipe.name}",
    }
