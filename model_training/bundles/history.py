"""The history of a training run, epoch by epoch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """One row of a training history.  Losses are the objective, with smoothing and penalties.

    The figures of validation are None where every image is learned from.
    """

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float


HISTORY_COLUMNS = tuple(field.name for field in dataclasses.fields(Epoch))
