"""What the site serves from: bundles, their classifiers and the test images, read once a process.

Whatever is missing or damaged is left out, logged, and named on the page that would show it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from flask import Flask, current_app
from numpy.typing import NDArray

from model_training.auditing.audit import Audit, calibrated, read_audit
from model_training.bundles.bundle import Bundle, read_bundles
from model_training.datasets.dataset import ImageSet
from model_training.datasets.kept import AUDIT, REVIEW, read_kept
from model_training.datasets.statistics import Statistics
from model_training.files import DamagedFile
from webapp.serving.classifier import Classifier, ClassifierError

MAIN_DATA_SET = "cifar10"
NO_AUDIT = (
    "The data set has not been audited here, or the result is damaged. Whoever runs this site "
    "makes it with “flask data audit” and a restart."
)


def review_path(data_folder: Path, name: str) -> Path:
    """Return where the review of the folder data set called `name` is kept."""
    return data_folder / name / REVIEW


@dataclass(frozen=True)
class Result:
    """A bundle with what pages about it are computed from."""

    bundle: Bundle

    @cached_property
    def probabilities(self) -> NDArray[np.floating]:
        """Calibrated probabilities on the test images, (10000, classes)."""
        return calibrated(self.bundle)

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each test image, (10000,)."""
        return np.asarray(self.bundle.predictions.test.argmax(axis=1))

    @cached_property
    def accuracy(self) -> float:
        """The share of the test images that it names rightly."""
        return float((self.predicted == self.bundle.predictions.test_labels).mean())

    @cached_property
    def confidence(self) -> NDArray[np.floating]:
        """The calibrated probability of the most probable class, (10000,)."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def margin(self) -> NDArray[np.floating]:
        """By how much the most probable class leads the second, (10000,)."""
        second, first = np.partition(self.probabilities, -2, axis=1)[:, -2:].T
        return np.asarray(first - second)

    @cached_property
    def entropy(self) -> NDArray[np.floating]:
        """How undecided the model is, in nats, (10000,): 0 if sure, log 10 if it has no idea."""
        return np.asarray(-(self.probabilities * np.log(self.probabilities + 1e-12)).sum(axis=1))


@dataclass(frozen=True)
class Library:
    """All that was found, by name; `problems` says of each bad bundle what is wrong with it."""

    results: dict[str, Result]
    classifiers: dict[str, Classifier]
    problems: dict[str, str]
    default_model: str | None
    test_images: ImageSet | None
    test_images_problem: str | None
    overview: Statistics | None
    audit: Audit | None

    def audit_on(self, labels: NDArray[np.uint8]) -> Audit | None:
        """The audit, where it is of the test images that have these labels."""
        if self.audit is None or not np.array_equal(self.audit.labels, labels):
            return None
        return self.audit

    def audit_of(self, result: Result) -> Audit | None:
        """The audit, where it is of the images on which `result` was measured."""
        return self.audit_on(result.bundle.predictions.test_labels)

    def results_on(self, test: ImageSet) -> dict[str, Result]:
        """The results that were measured on exactly the images of `test`."""
        return {
            name: result
            for name, result in self.results.items()
            if np.array_equal(result.bundle.predictions.test_labels, test.labels)
        }

    def comparable(self) -> dict[str, Result]:
        """The results that can be compared image by image: those on the test images, if any."""
        return self.results_on(self.test_images) if self.test_images is not None else self.results

    def tested_elsewhere(self) -> dict[str, str]:
        """Of each model that was not tested on the test images, a sentence that says so."""
        here = self.comparable()
        return {
            name: f"The model “{name}” was tested on other images: "
            f"{result.bundle.card.training.data_set}."
            for name, result in self.results.items()
            if name not in here
        }


class _Shelf:
    """Holds the library of one app, and fills it when it is first wanted."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._library: Library | None = None

    @property
    def library(self) -> Library:
        with self._lock:
            if self._library is None:
                self._library = _read(self._app)
            return self._library


def init_app(app: Flask) -> None:
    """Give `app` an empty library, to be read by `load_library` or by the first request."""
    app.extensions["library"] = _Shelf(app)


def load_library(app: Flask) -> Library:
    """The library of `app`; the first call reads it, which takes seconds."""
    shelf: _Shelf = app.extensions["library"]
    return shelf.library


def get_library() -> Library:
    """The library of the app that is answering."""
    return load_library(current_app._get_current_object())  # type: ignore[attr-defined]


def _read(app: Flask) -> Library:
    bundles, problems = read_bundles(app.config["MODELS_FOLDER"])
    classifiers: dict[str, Classifier] = {}
    for bundle in bundles:
        if bundle.model_path is None:
            continue
        try:
            classifiers[bundle.name] = Classifier(bundle)
        except ClassifierError as error:
            problems[bundle.name] = str(error)
            app.logger.error("model %s cannot be loaded", bundle.name, exc_info=error)
    for name, problem in problems.items():
        app.logger.error("model %s is left out: %s", name, problem)

    folder = app.config["DATA_FOLDER"] / MAIN_DATA_SET
    test_images = overview = audit = None
    test_images_problem: str | None = "they are missing or damaged"
    try:
        kept = read_kept(folder)
    except (OSError, DamagedFile) as error:
        app.logger.error("the data set is left out: %s", error)
    else:
        for name, problem in kept.problems.items():
            app.logger.error("%s of the data set is left out: %s", name, problem)
        test_images, overview = kept.test, kept.statistics
        test_images_problem = None if test_images is not None else test_images_problem
        try:
            audit = read_audit(folder / AUDIT, kept.description)
        except (OSError, DamagedFile) as error:
            app.logger.error("the audit of the data set is left out: %s", error)

    wanted = app.config["DEFAULT_MODEL"]
    default = wanted if wanted in classifiers else next(iter(classifiers), None)
    if default is None:
        app.logger.error("no model can answer: run `flask train custom-cnn`")
    elif default != wanted:
        app.logger.warning("the default model %s is not there: %s answers", wanted, default)
    return Library(
        results={bundle.name: Result(bundle) for bundle in bundles if bundle.name not in problems},
        classifiers=classifiers,
        problems=problems,
        default_model=default,
        test_images=test_images,
        test_images_problem=test_images_problem,
        overview=overview,
        audit=audit,
    )
