"""The card of a bundle: everything known about one trained model, as checked JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

BUNDLE_NAME = r"^[a-z0-9][a-z0-9.-]{0,63}$"
"""A name that is a folder, an address and a word of a command."""

Share = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    # A field that we do not know means that the card was written by another version.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ReportedFigures(_Part):
    """What the source of the network says that it reached: not measured here."""

    source: str
    test_accuracy: Share
    test_loss: float | None
    class_f1: dict[str, Share]


class Layer(_Part):
    """One row of the layer table.  `output_shape` has None for the batch."""

    name: str
    type: str
    output_shape: list[int | None]
    parameters: int


class TrainingFacts(_Part):
    """How the weights came about.  `seconds` is wall time, validation after each epoch included.

    `pretrained` says where the first weights came from.  `calibrated_by` is the command of the run
    that the figures on validation are from, where this one learned from all images.
    """

    command: str
    augmentation: str
    optimizer: str
    precision: str
    epochs: int
    batch_size: int
    seed: int
    images: int
    validation_images: int
    all_data: bool
    calibrated_by: str | None = None
    pretrained: str | None = None
    seconds: float
    started: str
    machine: str
    versions: dict[str, str]
    data_set: str
    data_digest: Sha256


class Metrics(_Part):
    """Measured on one part of the data, without augmentation.  `loss` is plain cross-entropy."""

    images: int
    accuracy: Share
    loss: float
    calibration_error: Share


class Calibration(_Part):
    """Fitted on the validation images; `test_error` is the test calibration error with it."""

    temperature: float
    test_error: Share


class Card(_Part):
    """Schema of `card.json`, version 1."""

    schema_version: Literal[1] = 1
    name: Annotated[str, StringConstraints(pattern=BUNDLE_NAME)]
    recipe: str
    title: str
    summary: str
    input_size: Annotated[int, Field(gt=0)]
    classes: Annotated[list[str], Field(min_length=2)]
    parameters: int
    trainable_parameters: int
    layers: list[Layer]
    reported: ReportedFigures | None
    training: TrainingFacts
    metrics: dict[Literal["train", "validation", "test"], Metrics]
    averaged: dict[Literal["validation", "test"], Metrics] = {}
    """Measured with test-time augmentation: six views of each image averaged."""
    calibration: Calibration
    rejection_threshold: float | None
    """The novelty (see `judging.out_of_distribution`) above which an image is none of the classes;
    None where the bundle cannot tell."""
    novelty_sha256: Sha256 | None = None
    model_sha256: Sha256 | None
