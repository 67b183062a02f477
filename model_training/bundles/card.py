"""The card of a bundle: everything known about one trained model, as checked JSON."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from model_training.explaining.methods import BLOB, METHODS
from model_training.judging.calibration import (
    Calibrator,
    Floats,
    Labels,
    Method,
    Steps,
    Temperature,
)
from model_training.judging.metrics import calibration_error
from model_training.naming import Sha256, Slug

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    # An unknown field means that the card was written by another version.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ReportedFigures(_Part):
    """Figures that the source of the network reports; they were not measured here.

    `task` is as in `recipes.Reported`.
    """

    source: str
    test_accuracy: Share
    test_loss: Annotated[float, Field(ge=0)] | None
    class_f1: dict[str, Share]
    task: str = ""


class Layer(_Part):
    """One row of the layer table.  `output_shape` has None for the batch."""

    name: str
    type: str
    output_shape: list[int | None]
    parameters: Count


class TunedSettings(_Part):
    """The trial of a study that found the settings of a model, as in `recipes.Tuned`."""

    study: Slug
    trial: Count
    values: dict[str, float]
    accuracy: Share
    trials: Count
    images: Count
    epochs: Count


class TrainingFacts(_Part):
    """The training run.  `seconds` is wall time, validation after each epoch included.

    `changes` are the options by which it was trained on other images than the recipe says, or
    into another network; cards written before they were kept have none.
    `pretrained` names the source of the initial weights.  `calibrated_by` is the command of the run
    from which the figures on validation are, where this one learned from all images.
    `planned_epochs` are those that it would have gone through, `best_epoch` the one whose weights
    it has; both only where early stopping could end it, the former also where `minutes` did, after
    which it was to begin no new epoch.  `tuned` says which trial of which study found its settings,
    where a search did.
    """

    command: str
    changes: dict[str, str] = {}
    augmentation: str
    optimizer: str
    precision: str
    epochs: Count
    planned_epochs: Count | None = None
    best_epoch: Count | None = None
    minutes: Annotated[float, Field(gt=0)] | None = None
    batch_size: Annotated[int, Field(gt=0)]
    seed: Count
    images: Count
    validation_images: Count
    all_data: bool
    calibrated_by: str | None = None
    pretrained: str | None = None
    seconds: Seconds
    started: str
    machine: str
    versions: dict[str, str]
    data_set: str
    data_digest: Sha256
    tuned: TunedSettings | None = None


class Metrics(_Part):
    """Measured on one part of the data, without augmentation.  `loss` is plain cross-entropy."""

    images: Count
    accuracy: Share
    loss: Annotated[float, Field(ge=0)]
    calibration_error: Share


class Calibration(_Part):
    """Fitted on validation images, in an `--all-data` run on those of the run before it.

    `steps` are those of isotonic regression, where that is better than a temperature alone.
    `test_error` is the test calibration error with it, over bins of equal width, and
    `test_error_by_mass` over bins of as many images each.
    """

    method: Method = "temperature"
    temperature: Temperature
    steps: Steps = ()
    test_error: Share
    test_error_by_mass: Share | None = None

    @classmethod
    def of(cls, calibrator: Calibrator, test: Floats, labels: Labels) -> Calibration:
        """Return what a card says of `calibrator`, measured on test images.

        Args:
            test: the network's probabilities for them, (count, classes).
            labels: theirs, (count,).
        """
        stated = calibrator.of_probabilities(test)
        return cls(
            method=calibrator.method,
            temperature=calibrator.temperature,
            steps=calibrator.steps,
            test_error=calibration_error(stated, labels),
            test_error_by_mass=calibration_error(stated, labels, by="mass"),
        )

    def calibrated(self, probabilities: Floats) -> NDArray[np.float64]:
        """Return `probabilities`, (count, classes), calibrated."""
        told = {"method": self.method, "temperature": self.temperature, "steps": self.steps}
        return Calibrator(**told, set_on="validation").of_probabilities(probabilities)


class Explanation(_Part):
    """How well maps mark the evidence for an answer, by insertion minus deletion, 0 for noise.

    `method` is the best of all and `quick` the best of those that cost one pass or so, both chosen
    on images other than those of `scores`.  `scores` and `margins` are of each method and control:
    the mean over `images`, and the 95 % interval of its lead over the centred blob.
    `milliseconds` is what one map takes.
    """

    method: str
    quick: str
    scores: dict[str, Annotated[float, Field(ge=-1, le=1)]]
    margins: dict[str, tuple[float, float]]
    milliseconds: dict[str, Annotated[float, Field(ge=0)]]
    images: Annotated[int, Field(gt=0)]
    set_on: str
    command: str

    @model_validator(mode="after")
    def _is_of_its_methods(self) -> Explanation:
        for name in (self.method, self.quick):
            if name not in METHODS:
                raise ValueError(f"there is no method of explanation called {name}")
        for name in (self.method, self.quick, BLOB):
            if name not in self.scores or name not in self.margins:
                raise ValueError(f"nothing was measured of {name}")
        return self

    def beats_blob(self, method: str) -> bool:
        """Return whether `method` marks more than the middle of a picture does, beyond chance."""
        return self.margins[method][0] > 0


class Card(_Part):
    """Schema of `card.json`, version 2.

    `files` maps every other file of the bundle to the SHA-256 of its bytes.  `test_reads` is the
    number of times that the test images had been read for bundles of this name when this one was
    measured, this time included; None if unknown.  `averaged` is measured with test-time
    augmentation: predictions for six transforms of each image are averaged.  `why` is a sentence
    on why `metrics` differ from what was `reported`, made of what was measured.
    """

    schema_version: Literal[2] = 2
    name: Slug
    recipe: str
    title: str
    summary: str
    input_size: Annotated[int, Field(gt=0, le=4096)]
    classes: Annotated[list[str], Field(min_length=2, max_length=256)]
    parameters: Count
    trainable_parameters: Count
    layers: list[Layer]
    reported: ReportedFigures | None
    why: str | None = None
    training: TrainingFacts
    metrics: dict[Literal["train", "validation", "test"], Metrics]
    averaged: dict[Literal["validation", "test"], Metrics] = {}
    calibration: Calibration
    explanation: Explanation | None = None
    test_reads: Annotated[int, Field(ge=1)] | None = None
    files: dict[str, Sha256] = {}

    @model_validator(mode="after")
    def _is_whole(self) -> Card:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes have one name")
        if "test" not in self.metrics:
            raise ValueError("nothing was measured on test images")
        return self

    @property
    def test(self) -> Metrics:
        """Return the plain figures on the test images."""
        return self.metrics["test"]

    @property
    def difference(self) -> float | None:
        """Return test accuracy minus that reported; None where the two cannot be compared."""
        if self.reported is None or self.reported.task:
            return None
        return self.test.accuracy - self.reported.test_accuracy
