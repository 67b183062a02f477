"""The bundle: the folder of a trained model, written by training and read by serving.

    model.keras       the network; takes raw RGB, 0 to 255, and does its own scaling
    card.json         everything known about the model (see `bundles.card`)
    history.csv       one row per epoch
    predictions.npz   probabilities on the validation and test images, with their labels
    judge.npz         what turns the network's features into answers (see `judging.judge`)
    model.sig         a signature of all of these, where somebody signed it (see `bundles.signing`)

A bundle without a network is a report: everything but the network and its judge.
`bundles.reading` checks what a folder holds; `bundles.writing` makes one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_training.bundles.card import Card
from model_training.judging.judge import Judge

MODEL, CARD, HISTORY, PREDICTIONS = "model.keras", "card.json", "history.csv", "predictions.npz"
JUDGE = "judge.npz"
SIGNATURE = "model.sig"
FILES = (MODEL, JUDGE, PREDICTIONS, CARD, HISTORY)


class BundleError(Exception):
    """A bundle is damaged or incomplete; the message says how."""


@dataclass(frozen=True)
class Predictions:
    """Probabilities, float32 (count, classes), and true labels, uint8 (count,), of two parts."""

    test: NDArray[np.float32]
    test_labels: NDArray[np.uint8]
    validation: NDArray[np.float32]
    validation_labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read whole and passed its checks.

    `history` maps each column of the table to its values, one per epoch; the columns of validation
    are left out where there was none.  `model_path` is None in a bundle that is only a report, of a
    network too large to ship.  `judge` is None there too, and where nobody has made one yet.
    """

    card: Card
    history: dict[str, list[float]]
    predictions: Predictions
    model_path: Path | None
    path: Path
    judge: Judge | None = None

    @property
    def files(self) -> dict[str, Path]:
        """Return every file of the bundle by its name, the largest first."""
        there = [self.path / name for name in FILES]
        return {path.name: path for path in there if path.is_file()}

    @property
    def is_signed(self) -> bool:
        """Return whether there is a signature now, of whomever."""
        return (self.path / SIGNATURE).is_file()

    @property
    def name(self) -> str:
        """Return the name by which pages and commands call it."""
        return self.card.name


def is_bundle(path: Path) -> bool:
    """Return whether `path` is a folder that holds a bundle, which may be damaged."""
    return (path / CARD).is_file()
