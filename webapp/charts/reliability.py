"""Reliability diagrams: accuracy by confidence (C. Guo et al., "On Calibration of Modern Neural
Networks", 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model_training.judging.metrics import CalibrationBin
from webapp.charts.axes import EDGE, SIDE

FEW = 20
"""A bar of fewer images is drawn pale: its height is mostly chance."""


@dataclass(frozen=True)
class ReliabilityBin:
    """One range of confidence: the images in it, and the share that was answered correctly.

    `x`, `y`, `width`, `height` draw it; at `expected_y` it would end under perfect calibration.
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

    @property
    def few(self) -> bool:
        """Return True if there are too few images for the height to mean much."""
        return self.count < FEW


@dataclass(frozen=True)
class ReliabilityDiagram:
    """The bins that hold images; `error` is the expected calibration error."""

    title: str
    bins: list[ReliabilityBin]
    error: float
    few: int = FEW
    side: int = SIDE
    edge: int = EDGE


def reliability_diagram(
    title: str, bins: Sequence[CalibrationBin], error: float
) -> ReliabilityDiagram:
    """Draw `bins`, which divide confidence from 0 to 1 evenly; those without images are left out.

    Args:
        error: the expected calibration error of the same probabilities.
    """
    width = SIDE / len(bins)
    return ReliabilityDiagram(
        title,
        [
            ReliabilityBin(
                low=number / len(bins),
                high=(number + 1) / len(bins),
                count=one.count,
                accuracy=one.accuracy,
                confidence=one.confidence,
                x=round(number * width + 1, 1),
                y=round(SIDE * (1 - one.accuracy), 1),
                width=round(width - 2, 1),
                height=round(SIDE * one.accuracy, 1),
                expected_y=round(SIDE * (1 - one.confidence), 1),
            )
            for number, one in enumerate(bins)
            if one.count
        ],
        error,
    )
