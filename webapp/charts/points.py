"""Scatter plots of shares over a logarithmic axis, each point with its name beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from webapp.charts.axes import LEFT, WIDE, Chart, LogScale, round_ticks, up

_LETTER = 6.6  # about the width of a letter of a name
_LINE = 14  # the height of a name
_RADIUS = 5  # of a point
_CLEAR = 4  # between a name and the points that are not its own


@dataclass(frozen=True)
class Value:
    """One thing to plot.

    Args:
        name: short, to stand beside its point.
        x: more than 0.
        y: a share, 0 to 1.
        filled: False for a hollow point.
        text: all of it in words.
    """

    name: str
    x: float
    y: float
    filled: bool
    text: str


@dataclass(frozen=True)
class Label:
    """The place of a point's name: its baseline, and which end of it (SVG's `anchor`) is at x."""

    x: float
    y: float
    anchor: str


@dataclass(frozen=True)
class Point:
    """One point and its name, in place."""

    name: str
    x: float
    y: float
    filled: bool
    label: Label
    text: str


@dataclass(frozen=True, kw_only=True)
class ScatterPlot(Chart):
    """A scatter plot with a logarithmic x axis."""

    x_title: str
    points: list[Point]


def scatter_plot(
    title: str, x_title: str, values: Sequence[Value], write_x: Callable[[float], str]
) -> ScatterPlot:
    """Draw `values`, at least one; `write_x` makes the text of a tick of the x axis."""
    steps = round_ticks(min(one.y for one in values), max(one.y for one in values))
    scale = LogScale.enclosing(min(one.x for one in values), max(one.x for one in values), WIDE)

    def y(share: float) -> float:
        return up((share - steps[0]) / (steps[-1] - steps[0]))

    places = [(one.name, scale.place(one.x), y(one.y)) for one in values]
    return ScatterPlot(
        title=title,
        x_title=x_title,
        points=[
            Point(name, x, down, one.filled, label, one.text)
            for one, (name, x, down), label in zip(
                values, places, place_labels(places), strict=True
            )
        ],
        x_ticks=[(scale.place(tick), write_x(tick)) for tick in scale.ticks()],
        y_ticks=[(y(tick), f"{tick * 100:g}%") for tick in steps],
        width=WIDE,
    )


_Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def place_labels(points: list[tuple[str, float, float]]) -> list[Label]:
    """Find a free place for the name of each point (name, x, y): beside, above or below it.

    A free place a little away from the other points is taken first, so that no name seems to be
    another's.  Where none is free, a name stands beside its point all the same.
    """
    names: list[_Box] = []
    labels = []
    for number, (name, x, y) in enumerate(points):
        others = points[:number] + points[number + 1 :]
        places = [(label, _box(name, label)) for label in _places(x, y)]
        clear, touching = (
            [*names, *(_dot(across, down, away) for _, across, down in others)]
            for away in (_CLEAR, 0)
        )
        free = (one for taken in (clear, touching) for one in places if _fits(one[1], taken))
        label, box = next(free, places[0])
        names.append(box)
        labels.append(label)
    return labels


def _places(x: float, y: float) -> list[Label]:
    """Return the places that a name may have, the best first."""
    sides = [(x + 9, "start"), (x - 9, "end")]
    if x > WIDE * 0.55:
        sides.reverse()
    level = [Label(at, y + down, anchor) for down in (4, 10, -2) for at, anchor in sides]
    ends = [(x, "middle"), (x - 5, "start"), (x + 5, "end")]
    return level + [Label(at, y + down, anchor) for at, anchor in ends for down in (-9, 18)]


def _dot(x: float, y: float, away: float) -> _Box:
    reach = _RADIUS + away
    return x - reach, y - reach, x + reach, y + reach


def _box(name: str, label: Label) -> _Box:
    width = _LETTER * len(name)
    left = label.x - width * {"start": 0, "middle": 0.5, "end": 1}[label.anchor]
    return left, label.y - _LINE + 3, left + width, label.y + 3


def _fits(box: _Box, taken: list[_Box]) -> bool:
    left, top, right, bottom = box
    return (
        left >= LEFT
        and right <= WIDE
        and not any(
            left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
            for other in taken
        )
    )
