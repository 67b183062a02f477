"""Reliability diagrams: accuracy by confidence (C. Guo et al., "On Calibration of Modern Neural
Networks", 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model_training.judging.metrics import CalibrationBin
from webapp.charts.axes import Tick, across, up

FEW = 100
"""A bar of fewer images is drawn pale: chance alone may put it 10 points too high or too low."""
_GAP = 0.4  # Beside each bar, as a percentage of the diagram's width.


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

    @property
    def off(self) -> float:
        """Return how far its accuracy is from its confidence."""
        return abs(self.accuracy - self.confidence)


@dataclass(frozen=True)
class ReliabilityDiagram:
    """The bins that hold images; `error` is the expected calibration error."""

    title: str
    bins: list[ReliabilityBin]
    error: float
    ticks: tuple[float, ...] = (0, 0.25, 0.5, 0.75, 1)
    few: int = FEW

    @property
    def furthest(self) -> ReliabilityBin | None:
        """Return the bar that is furthest off among those of enough images, if there is one."""
        return max((one for one in self.bins if not one.few), key=lambda b: b.off, default=None)

    @property
    def x_ticks(self) -> list[Tick]:
        """Return the ticks of confidence."""
        return [Tick(across(share), f"{share:.0%}") for share in self.ticks]

    @property
    def y_ticks(self) -> list[Tick]:
        """Return the ticks of accuracy."""
        return [Tick(up(share), f"{share:.0%}") for share in self.ticks]

    @property
    def x_title(self) -> str:
        """Return what the x axis shows."""
        return "how sure it is"


def reliability_diagram(
    title: str, bins: Sequence[CalibrationBin], error: float
) -> ReliabilityDiagram:
    """Draw `bins`, which divide confidence from 0 to 1 evenly; those without images are left out.

    Args:
        error: the expected calibration error of the same probabilities.
    """
    width = 100 / len(bins)
    return ReliabilityDiagram(
        title,
        [
            ReliabilityBin(
                low=number / len(bins),
                high=(number + 1) / len(bins),
                count=one.count,
                accuracy=one.accuracy,
                confidence=one.confidence,
                x=round(number * width + _GAP, 2),
                y=up(one.accuracy),
                width=round(width - 2 * _GAP, 2),
                height=round(100 * one.accuracy, 2),
                expected_y=up(one.confidence),
            )
            for number, one in enumerate(bins)
            if one.count
        ],
        error,
    )
