"""The reliability diagram: is it right as often as it says?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_training.judging.metrics import CALIBRATION_BINS, calibration_bins, calibration_error

SIDE = 240
EDGE = 40


@dataclass(frozen=True)
class Bar:
    """One range of confidence: how many images are in it, and how often the model was right.

    `x`, `y`, `width`, `height` draw it; `expected_y` is where it would end if it were honest.
    """

    low: float
    high: float
    count: int
    accuracy: float
    confidence: float
    x: float
    y: float
    width: float
    height: float
    expected_y: float


@dataclass(frozen=True)
class Diagram:
    """The bars of one set of probabilities."""

    title: str
    bars: list[Bar]
    error: float
    side: int = SIDE
    edge: int = EDGE


@dataclass(frozen=True)
class Reliability:
    """The diagram before and after temperature scaling."""

    before: Diagram
    after: Diagram


def make_reliability(
    before: NDArray[np.floating[Any]],
    after: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
) -> Reliability:
    """Draw both diagrams from probabilities (count, classes) and true labels (count,)."""
    return Reliability(
        _diagram("Before", before, labels), _diagram("After temperature scaling", after, labels)
    )


def _diagram(
    title: str, probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]]
) -> Diagram:
    found = calibration_bins(probabilities, labels)
    width = SIDE / CALIBRATION_BINS
    bars = [
        Bar(
            low=number / CALIBRATION_BINS,
            high=(number + 1) / CALIBRATION_BINS,
            count=one.count,
            accuracy=one.accuracy,
            confidence=one.confidence,
            x=round(number * width + 1, 1),
            y=round(SIDE * (1 - one.accuracy), 1),
            width=round(width - 2, 1),
            height=round(SIDE * one.accuracy, 1),
            expected_y=round(SIDE * (1 - one.confidence), 1),
        )
        for number, one in enumerate(found)
        if one.count
    ]
    return Diagram(title, bars, calibration_error(probabilities, labels))
