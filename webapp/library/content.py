"""What the site serves from at one moment: results, networks and data sets, which never change.

Whatever is missing or damaged is left out, logged, and named on the page that would show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from model_training.auditing.audit import Audit, calibrated
from model_training.bundles.bundle import Bundle
from model_training.judging.metrics import (
    ClassificationReport,
    calibration_error,
    classification_report,
    confusion_matrix,
    cross_entropy,
)
from webapp.data_sets import ServedDataSet
from webapp.serving.classifier import Classifier

NO_AUDIT = (
    "The data set has not been audited here, or the result is damaged. The site’s operator can "
    "create it with “flask data audit” and “flask models reload”."
)


@dataclass(frozen=True)
class Result:
    """A bundle and the figures computed from its stored predictions."""

    bundle: Bundle

    @cached_property
    def probabilities(self) -> NDArray[np.floating]:
        """Return calibrated probabilities on the test images, (count, classes)."""
        return calibrated(self.bundle)

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Return the most probable class of each test image, (count,)."""
        return np.asarray(self.bundle.predictions.test.argmax(axis=1))

    @cached_property
    def accuracy(self) -> float:
        """Return the share of the test images that it classifies correctly."""
        return float((self.predicted == self.bundle.predictions.test_labels).mean())

    @cached_property
    def loss(self) -> float:
        """Return the test loss of the probabilities before calibration."""
        return cross_entropy(self.bundle.predictions.test, self.bundle.predictions.test_labels)

    @cached_property
    def calibrated_error(self) -> float:
        """Return the expected calibration error after calibration, on the test images."""
        return calibration_error(self.probabilities, self.bundle.predictions.test_labels)

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Return the confusion matrix on the test images, (classes, classes)."""
        labels, classes = self.bundle.predictions.test_labels, self.bundle.card.classes
        return confusion_matrix(self.predicted, labels, len(classes))

    @cached_property
    def classification(self) -> ClassificationReport:
        """Return the classification report on the test images."""
        return classification_report(self.confusion, tuple(self.bundle.card.classes))

    @cached_property
    def confidence(self) -> NDArray[np.floating]:
        """Return the calibrated probability of the most probable class, (count,)."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def margin(self) -> NDArray[np.floating]:
        """Return the lead of the most probable class over the second, (count,)."""
        second, first = np.partition(self.probabilities, -2, axis=1)[:, -2:].T
        return np.asarray(first - second)

    @cached_property
    def entropy(self) -> NDArray[np.floating]:
        """Return the entropy of the calibrated probabilities in nats, (count,).

        0 if the model is sure, the logarithm of the number of classes if it has no idea.
        """
        return np.asarray(-(self.probabilities * np.log(self.probabilities + 1e-12)).sum(axis=1))


@dataclass(frozen=True)
class ModelState:
    """What has become of a model.

    Args:
        state: loaded: it answers; loading: it will; report only: its results are shown, and its
            network is not here, or not wanted (`MODELS`); failed: it is left out.
        seconds: that loading it took.
        problem: why it failed.  Of one that is loaded: why the bundle that lies there now was not
            taken up, so that the one before it answers.
    """

    state: Literal["loaded", "loading", "report only", "failed"]
    seconds: float | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Library:
    """All that there is at one moment, by name.  A request takes one and keeps it to its end.

    `problems` says of each bad bundle what is wrong with it, and `data_problems` of each data set
    that cannot be served at all.  `data_sets` has those that are kept and those of which only
    results are here; that of the default model comes first.  `states` has every model, `problems`
    included.
    """

    results: dict[str, Result]
    classifiers: dict[str, Classifier]
    problems: dict[str, str]
    default_model: str | None
    data_sets: dict[str, ServedDataSet]
    data_problems: dict[str, str]
    states: Mapping[str, ModelState] = field(default_factory=dict)

    @property
    def loading(self) -> list[str]:
        """Return the names of the models that will answer and cannot yet."""
        return [name for name, one in self.states.items() if one.state == "loading"]

    @property
    def outdated(self) -> dict[str, str]:
        """Return why the bundle of a model that is there now was not taken up, by its name."""
        return {
            name: one.problem
            for name, one in self.states.items()
            if one.problem is not None and one.state != "failed"
        }

    @property
    def default_data_set(self) -> ServedDataSet | None:
        """Return the data set of the default model; without one, the first there is."""
        return next(iter(self.data_sets.values()), None)

    def find_data_set(self, called: str) -> ServedDataSet | None:
        """Return the data set that has this name, title or digest, if there is one."""
        if called in self.data_sets:
            return self.data_sets[called]
        named = (one for one in self.data_sets.values() if called in (one.title, one.digest))
        return next(named, None)

    def data_set_of(self, bundle: Bundle) -> ServedDataSet:
        """Return the data set that `bundle` learned from and was tested on."""
        digest = bundle.card.training.data_digest
        return next(one for one in self.data_sets.values() if one.digest == digest)

    def query(self, data_set: ServedDataSet) -> dict[str, Any]:
        """Return the parameters that an address needs to speak of `data_set`: none by default."""
        return {} if data_set is self.default_data_set else {"data": data_set.name}

    def results_on(self, data_set: ServedDataSet) -> dict[str, Result]:
        """Return the results on `data_set`, also those on a part of its test images."""
        return {
            name: result
            for name, result in self.results.items()
            if result.bundle.card.training.data_digest == data_set.digest
        }

    def comparable(self, data_set: ServedDataSet) -> dict[str, Result]:
        """Return the results on `data_set` that can be compared image by image.

        These are the ones that have all of its test images; where those are not here, all that the
        longest result has.
        """
        results = self.results_on(data_set)
        labels = _labels(data_set, results)
        return {
            name: result
            for name, result in results.items()
            if np.array_equal(result.bundle.predictions.test_labels, labels)
        }

    def not_comparable(self, data_set: ServedDataSet) -> dict[str, str]:
        """Return a sentence for each model that cannot be compared on `data_set`, and why."""
        here, on_it = self.comparable(data_set), self.results_on(data_set)
        return {
            name: f"The model “{name}” {_tested(data_set, result, len(_labels(data_set, on_it)))}"
            if name in on_it
            else f"The model “{name}” was tested on other images: "
            f"{self.data_set_of(result.bundle).title}."
            for name, result in self.results.items()
            if name not in here
        }

    @property
    def answering(self) -> list[tuple[ServedDataSet, list[Classifier]]]:
        """Return the networks that can be asked about a photo, by data set."""
        grouped = [
            (
                data_set,
                [
                    one
                    for one in self.classifiers.values()
                    if one.bundle.card.training.data_digest == data_set.digest
                ],
            )
            for data_set in self.data_sets.values()
        ]
        return [(data_set, networks) for data_set, networks in grouped if networks]

    def audit_of(self, result: Result) -> Audit | None:
        """Return the audit of exactly the images on which `result` was measured, if any."""
        audit = self.data_set_of(result.bundle).audit
        labels = result.bundle.predictions.test_labels
        return audit if audit is not None and np.array_equal(audit.labels, labels) else None

    def why_unaudited(self, result: Result) -> str:
        """Return why there is no audit of the images on which `result` was measured."""
        data_set, count = self.data_set_of(result.bundle), len(result.bundle.predictions.test)
        if data_set.audit is not None:
            return (
                f"The audit of {data_set.title} is of all {len(data_set.audit.labels):,} test "
                f"images, and this model was measured on {count:,} of them."
            )
        if data_set.test is None:
            return f"There are no test images of {data_set.title} here to audit."
        return NO_AUDIT


def _labels(data_set: ServedDataSet, results: Mapping[str, Result]) -> NDArray[np.uint8]:
    """Return the labels of all test images of `data_set`, as far as they are known here."""
    if data_set.test is not None:
        return data_set.test.labels
    tested = (result.bundle.predictions.test_labels for result in results.values())
    return max(tested, key=len, default=np.zeros(0, np.uint8))


def _tested(data_set: ServedDataSet, result: Result, whole: int) -> str:
    count = len(result.bundle.predictions.test_labels)
    if count < whole:
        return (
            f"was tested on {count:,} of the {whole:,} test images of {data_set.title}, in a quick "
            "try, so it cannot be compared with others image by image."
        )
    return f"was tested on other images than those that are kept of {data_set.title}."


def in_order(
    served: Sequence[ServedDataSet], results: Mapping[str, Result], default: str | None
) -> dict[str, ServedDataSet]:
    """Return `served` by name: that of the default model first, then those that have results."""
    digests = {result.bundle.card.training.data_digest for result in results.values()}
    first = results[default].bundle.card.training.data_digest if default is not None else None
    # Where all results of one are left out, there is nothing to show of it.
    shown = [one for one in served if one.kept is not None or one.digest in digests]
    shown.sort(key=lambda one: (one.digest != first, one.digest not in digests, one.title.lower()))
    return {one.name: one for one in shown}
