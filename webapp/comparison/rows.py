"""The rows of the comparison table: one for each model, measured here or only reported."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from model_training.datasets.registry import KnownDataSet, find_known, known_data_sets
from model_training.recipes import RECIPES, Recipe
from webapp.comparison.columns import Column
from webapp.data_sets import ServedDataSet
from webapp.library import Library, Result

KINDS = {"scratch": "from scratch", "transfer": "by transfer"}
"""What a network knew before it was trained here: nothing, or what pretrained weights hold."""
STATES = {
    "model": "",
    "report": "report only",
    "untrained": "not trained here yet",
    "reported": "reported, not reproduced here",
}
"""What there is of a model: a network with its results, the results alone, a recipe that can be
trained here, or one that is too large for that."""


@dataclass(frozen=True)
class Row:
    """One model: its figures by column name; one that is missing is None.

    Args:
        data: what it was trained and tested on, or would be.
        kind: one of `KINDS`.
        state: one of `STATES`.
        images: the number of test images that it was measured on.
        each: how many images of each class it was given, if not all: a number, or "smallest".
        whole: False where these are not all that there are, so that its figures cannot be
            compared with those of others.
    """

    name: str
    figures: Mapping[str, Any]
    data: ServedDataSet
    kind: str
    state: str
    images: int = 0
    each: str | None = None
    whole: bool = True

    @property
    def measured(self) -> bool:
        """Return True if there are results of it here."""
        return self.state in ("model", "report")


@dataclass(frozen=True)
class Group:
    """Rows of one kind on one data set."""

    data: ServedDataSet
    kind: str
    rows: list[Row]

    @property
    def title(self) -> str:
        """Return what these rows have in common."""
        return f"{self.data.title}, {KINDS[self.kind]}"


def all_rows(library: Library) -> list[Row]:
    """Return a row for each bundle and then one for each recipe that has none, by data set."""
    rows = []
    for data in library.data_sets.values():
        whole = library.comparable(data)
        rows += [
            _measured(library, result, data, name in whole)
            for name, result in library.results_on(data).items()
        ]
    trained = {
        (result.bundle.card.recipe, result.bundle.card.training.data_digest)
        for result in library.results.values()
    }
    for recipe, data in recipes_here(library):
        if (recipe.name, data.digest) not in trained:
            rows.append(_reported(recipe, data))
    order = list(library.data_sets)
    return sorted(rows, key=lambda row: _place(row.data.name, order))


def recipes_here(library: Library) -> list[tuple[Recipe, ServedDataSet]]:
    """Return each recipe whose own data set is in the catalogue, with that data set.

    Recipes can be listed before anything of the data set that they are made for is here.
    """
    known = known_data_sets()
    return [
        (recipe, _served(find_known(recipe.data_set), library))
        for recipe in RECIPES.values()
        if recipe.data_set in known
    ]


def grouped(rows: Iterable[Row], column: Column, down: bool) -> list[Group]:
    """Return `rows` as groups, each ordered by the figures of `column`.

    A row without one comes last either way.
    """
    order = list(KINDS)
    by_data = groupby(rows, key=lambda row: row.data.name)
    groups = []
    for _name, some in by_data:
        of_data = sorted(some, key=lambda row: order.index(row.kind))
        for kind, members in groupby(of_data, key=lambda row: row.kind):
            found = ordered(list(members), column, down)
            groups.append(Group(found[0].data, kind, found))
    return groups


def ordered(rows: list[Row], column: Column, down: bool) -> list[Row]:
    """Sort `rows` by the figures of `column`; those without one come last, as reported."""
    there = [row for row in rows if row.figures.get(column.name) is not None]
    missing = [row for row in rows if row.figures.get(column.name) is None]
    missing.sort(key=lambda row: (-(row.figures.get("reported") or 0.0), row.figures["title"]))
    return sorted(there, key=lambda row: row.figures[column.name], reverse=down) + missing


def _served(known: KnownDataSet, library: Library) -> ServedDataSet:
    for data in library.data_sets.values():
        if data.digest == known.digest or (known.digest is None and data.name == known.name):
            return data
    return ServedDataSet(known.name, known.title, known.classes, known.digest or "")


def _place(name: str, order: list[str]) -> int:
    return order.index(name) if name in order else len(order)


def _measured(library: Library, result: Result, data: ServedDataSet, whole: bool) -> Row:
    bundle = result.bundle
    card, stored = bundle.card, bundle.predictions
    classifier, audit = library.classifiers.get(bundle.name), library.audit_of(result)
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
        "difference": card.difference,
        "task": card.reported.task if card.reported else None,
        "loss": result.loss,
        "reported_loss": card.reported.test_loss if card.reported else None,
        "f1": scores.macro_f1,
        "recall": scores.macro_recall,
        "calibration": result.calibrated_error,
        "parameters": card.parameters,
        "layers": sum(layer.parameters > 0 for layer in card.layers),
        "dense": kinds.count("Dense"),
        "input": card.input_size,
        "file": _bytes(bundle.model_path) if bundle.model_path else None,
        "milliseconds": classifier.milliseconds if classifier else None,
        "seconds": card.training.seconds,
        "epochs": card.training.epochs,
        "batch_norm": "yes" if "BatchNormalization" in kinds else "no",
        "dropout": "yes" if "Dropout" in kinds else "no",
        "augmentation": card.training.augmentation,
        "optimizer": card.training.optimizer,
        "data": data.title,
        "source": card.reported.source if card.reported else None,
        "comment": card.summary,
    }
    return Row(
        card.name,
        figures,
        data,
        kind="transfer" if card.training.pretrained else "scratch",
        state="model" if bundle.model_path else "report",
        images=len(stored.test_labels),
        each=card.training.changes.get("balance"),
        whole=whole,
    )


def _bytes(path: Path) -> int | None:
    # A bundle may have been replaced or removed since it was read.
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return None


def _reported(recipe: Recipe, data: ServedDataSet) -> Row:
    reported = recipe.reported
    figures = {
        "title": recipe.title,
        "reported": reported.test_accuracy if reported else None,
        "task": reported.task if reported else None,
        "reported_loss": reported.test_loss if reported else None,
        "parameters": recipe.parameters,
        "input": recipe.input_size,
        "augmentation": recipe.augmentation,
        "data": data.title,
        "source": reported.source if reported else None,
        "comment": recipe.summary,
        "network_of": recipe.network_of or None,
    }
    return Row(
        recipe.name,
        figures,
        data,
        kind="transfer" if recipe.pretrained else "scratch",
        state="untrained" if recipe.reproduced else "reported",
    )
