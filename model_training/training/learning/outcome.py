"""How a training ends: with a trained network, or with an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from model_training.bundles.history import Epoch

if TYPE_CHECKING:
    import keras

Ending = Literal["early", "time"]
"""What ended a run before its last epoch: early stopping, or the minutes that it was given."""


@dataclass(frozen=True)
class Trained:
    """A trained network, in float32, with how it came about.

    `started` is when the run began, in ISO 8601, and `command` what began it.  `seconds` is the
    wall time of all its sessions, validation after each epoch and the features of frozen layers
    included, also those that an earlier run had computed.  `pretrained` says in words where the
    first weights came from, if from elsewhere.  `trainable_parameters` are those that learned in
    the last phase.  `best_epoch` is the one whose weights these are, where early stopping chose it;
    `stopped` says what ended a phase before its last epoch, if anything did, and `minutes`, where
    time did, after how many.  `learned` is the network as it learned, in the precision of its
    recipe: features that were kept of its frozen layers are those of these very layers.
    """

    model: keras.Model
    learned: keras.Model
    history: list[Epoch]
    started: str
    seconds: float
    command: str
    pretrained: str | None
    trainable_parameters: int
    best_epoch: int | None = None
    stopped: Ending | None = None
    minutes: float | None = None


class Diverged(ValueError):
    """The loss became infinite or no number at all."""


class Interrupted(Exception):
    """The training was asked to stop, and its state is on disk."""
