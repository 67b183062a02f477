"""A site with thirty models: two networks, many reports, and the recipes that have no results."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from flask import Flask

from model_training.bundles.bundle import Bundle
from model_training.bundles.card import Metrics, ReportedFigures
from model_training.judging.metrics import accuracy
from tests.conftest import SHIPPED_DATA, make_site
from webapp.library import Result, load_library

NAMES = (
    *(f"plain-{number}" for number in range(10)),
    *(f"carried-over-{number}" for number in range(10)),
)


def report_of(bundle: Bundle, name: str, wrong: float, **card: object) -> Bundle:
    """Return `bundle` as a report of that name, which is wrong on the share `wrong`."""
    labels = bundle.predictions.test_labels
    answers = np.full((len(labels), len(bundle.card.classes)), 0.02, np.float32)
    answers[np.arange(len(labels)), labels] = 1 - answers[0, 1:].sum()
    missed = round(wrong * len(labels))
    answers[:missed] = np.roll(answers[:missed], 1, axis=1)
    share = accuracy(answers, labels)
    test = Metrics(images=len(labels), accuracy=share, loss=0.5, calibration_error=0.1)
    changed = bundle.card.model_copy(
        update={
            "name": name,
            "recipe": name,
            "title": name.replace("-", " ").capitalize(),
            "metrics": {"test": test},
            "averaged": {},
            "files": {key: value for key, value in bundle.card.files.items() if ".csv" in key},
        }
        | card
    )
    return dataclasses.replace(
        bundle,
        card=changed,
        predictions=dataclasses.replace(bundle.predictions, test=answers),
        model_path=None,
        judge=None,
    )


def make_shelf(tiny: Bundle, garden_home: Path, folder: Path) -> Flask:
    """Return the site; the garden's model and the tiny network are the two that can answer."""
    models, data = folder / "models", folder / "data"
    for into, paths in (
        (models, (tiny.path, garden_home / "models" / "sprout")),
        (data, (SHIPPED_DATA / "cifar10", garden_home / "data" / "garden")),
    ):
        into.mkdir()
        for path in paths:
            (into / path.name).symlink_to(path)
    app = make_site(folder, MODELS_FOLDER=models, DATA_FOLDER=data, TESTING=False)
    library = load_library(app)
    for number, name in enumerate(NAMES):
        wrong, training = 0.05 + 0.01 * number, tiny.card.training
        training = training.model_copy(update={"command": f"{training.command} --report-only"})
        if name.startswith("carried"):
            training = training.model_copy(update={"pretrained": "ImageNet weights"})
        one = report_of(
            tiny,
            name,
            wrong,
            training=training.model_copy(update={"seconds": 300.0 + 700 * number}),
            parameters=300_000 * (number + 1),
            reported=ReportedFigures(
                source="Nobody", test_accuracy=0.6 + 0.015 * number, test_loss=None, class_f1={}
            ),
        )
        library.results[name] = Result(one)
    return app
