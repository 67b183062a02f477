"""Parallel coordinates: a line for each thing, from axis to axis (A. Inselberg, "The Plane with
Parallel Coordinates", 1985), the axes one below another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from webapp.charts.axes import LinearScale, Tick, across

TOP, ROW, BELOW = 26, 62, 24
"""The first axis, from one to the next, and below the last, in CSS pixels."""
FEW = 4
"""Ticks for which a phone is wide enough."""


@dataclass(frozen=True)
class Axis:
    """One axis, before it is drawn.

    Args:
        kind: "linear", "log" or "choice".
        ends: the least and the most, or all there is to choose from.
        texts: the texts of the ticks: of the least, the middle and the most, or of each choice.
    """

    title: str
    kind: str
    ends: Sequence[float]
    texts: Sequence[str]

    @property
    def middle(self) -> float:
        """Return the value half-way along the axis."""
        return middle_of(self.kind, self.ends)

    def share(self, value: float) -> float:
        """Return the place of `value` as a share of the axis."""
        if self.kind == "choice":
            nearest = min(range(len(self.ends)), key=lambda place: abs(self.ends[place] - value))
            return nearest / (len(self.ends) - 1)
        low, high = self.ends
        if self.kind == "log":
            low, high, value = math.log(low), math.log(high), math.log(max(value, low))
        return min(1.0, max(0.0, (value - low) / (high - low)))

    @property
    def ticks(self) -> list[Tick]:
        """Return its ticks; where there is little room, every second one."""
        last = len(self.texts) - 1
        crowded = len(self.texts) > FEW
        return [
            Tick(across(place / last), text, crowded and place % 2 == 1)
            for place, text in enumerate(self.texts)
        ]


def middle_of(kind: str, ends: Sequence[float]) -> float:
    """Return the value half-way between two ends."""
    return math.sqrt(ends[0] * ends[-1]) if kind == "log" else (ends[0] + ends[-1]) / 2


def share_axis(title: str, shares: Sequence[float]) -> Axis:
    """Return an axis of round percentages around `shares`."""
    ticks = LinearScale.enclosing(min(shares), max(shares)).ticks
    return Axis(title, "linear", (ticks[0], ticks[-1]), [f"{tick * 100:g}%" for tick in ticks])


@dataclass(frozen=True)
class Through:
    """One thing: a value on each axis, of a kind that its line shows, in words."""

    values: Sequence[float]
    kind: str
    text: str


@dataclass(frozen=True)
class DrawnAxis:
    """An axis in its place."""

    title: str
    y: int
    ticks: list[Tick]


@dataclass(frozen=True)
class DrawnLine:
    """A line: `points` is an SVG polyline, x in percent and y in pixels."""

    points: str
    kind: str
    text: str


@dataclass(frozen=True)
class ParallelPlot:
    """Parallel coordinates; `text` is all of them in words."""

    title: str
    text: str
    axes: list[DrawnAxis]
    lines: list[DrawnLine]

    @property
    def height(self) -> int:
        """Return the height of the whole chart in CSS pixels."""
        return TOP + ROW * (len(self.axes) - 1) + BELOW

    @property
    def kinds(self) -> list[str]:
        """Return each kind of line that there is, the foremost first."""
        return list(dict.fromkeys(line.kind for line in reversed(self.lines)))


def parallel_plot(
    title: str, text: str, axes: Sequence[Axis], things: Sequence[Through]
) -> ParallelPlot:
    """Draw `things`, the last one foremost."""
    heights = [TOP + ROW * place for place in range(len(axes))]
    lines = [
        DrawnLine(
            " ".join(
                f"{across(axis.share(value))},{y}"
                for axis, value, y in zip(axes, one.values, heights, strict=True)
            ),
            one.kind,
            one.text,
        )
        for one in things
    ]
    drawn = [DrawnAxis(axis.title, y, axis.ticks) for axis, y in zip(axes, heights, strict=True)]
    return ParallelPlot(title, text, drawn, lines)
