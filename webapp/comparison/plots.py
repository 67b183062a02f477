"""Accuracy against what it costs: two plots that say more than the table."""

from __future__ import annotations

import math
from dataclasses import dataclass

from webapp.charts.lines import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, round_ticks
from webapp.comparison.table import BY_NAME, Column, Row

WIDTH = 480
_LETTER = 6.6  # pixels: about as wide as one of a name is drawn
_LINE = 14
_CLEAR = 4  # pixels between a name and the points that are not its own


@dataclass(frozen=True)
class Label:
    """Where a point's name stands: its baseline, and which end of it (`anchor` of SVG) is at x."""

    x: float
    y: float
    anchor: str


@dataclass(frozen=True)
class Point:
    """One model."""

    name: str
    title: str
    x: float
    y: float
    measured: bool
    label: Label
    text: str


@dataclass(frozen=True)
class Plot:
    """A scatter plot with a logarithmic x axis; ticks are (position, text)."""

    title: str
    x_title: str
    points: list[Point]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def make_plots(rows: list[Row]) -> list[Plot]:
    """Accuracy against parameters and against training time, where there are two models or more.

    A network that was not trained here stands with its reported accuracy, marked as such.
    """
    plots = [
        _plot("Accuracy against parameters", BY_NAME["parameters"], rows),
        _plot("Accuracy against training time", BY_NAME["seconds"], rows),
    ]
    return [plot for plot in plots if plot is not None]


def _plot(title: str, column: Column, rows: list[Row]) -> Plot | None:
    found = []
    for row in rows:
        cost = row.figures.get(column.name)
        share = row.figures.get("accuracy") or row.figures.get("reported")
        if cost and share is not None:
            found.append((row, float(cost), float(share)))
    if len(found) < 2:
        return None
    shares = [share for _, _, share in found]
    y_steps = round_ticks(min(shares), max(shares))
    first = math.floor(math.log10(min(cost for _, cost, _ in found)) * 2) / 2
    last = math.ceil(math.log10(max(cost for _, cost, _ in found)) * 2 + 0.01) / 2

    def x(cost: float) -> float:
        share = (math.log10(cost) - first) / (last - first)
        return round(LEFT + (WIDTH - LEFT - RIGHT) * share, 1)

    def y(share: float) -> float:
        part = (share - y_steps[0]) / (y_steps[-1] - y_steps[0])
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part, 1)

    places = [(row.name, x(cost), y(share)) for row, cost, share in found]
    labels = place_labels(places)
    assert column.write is not None
    half_decades = range(math.ceil(first * 2), math.floor(last * 2) + 1)
    marks = [1 if n % 2 == 0 else 3 for n in half_decades]
    costs = [mark * 10.0 ** (n // 2) for n, mark in zip(half_decades, marks, strict=True)]
    return Plot(
        title=title,
        x_title=column.title.lower(),
        points=[
            Point(
                name=row.name,
                title=row.figures["title"],
                x=x(cost),
                y=y(share),
                measured=row.measured,
                label=label,
                text=f"{row.figures['title']}: {share:.2%}"
                f"{'' if row.measured else ' reported'}, {column.write(cost)}",
            )
            for (row, cost, share), label in zip(found, labels, strict=True)
        ],
        x_ticks=[(x(cost), _short(column, cost)) for cost in costs if first <= math.log10(cost)],
        y_ticks=[(y(tick), f"{tick * 100:g}%") for tick in y_steps],
    )


_Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def place_labels(points: list[tuple[str, float, float]]) -> list[Label]:
    """A place for the name of each point (name, x, y): beside, above or below it, where it is free.

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
    """Where a name may stand, the best first."""
    sides = [(x + 9, "start"), (x - 9, "end")]
    if x > WIDTH * 0.55:
        sides.reverse()
    level = [Label(at, y + down, anchor) for down in (4, 10, -2) for at, anchor in sides]
    ends = [(x, "middle"), (x - 5, "start"), (x + 5, "end")]
    return level + [Label(at, y + down, anchor) for at, anchor in ends for down in (-9, 18)]


def _dot(x: float, y: float, away: float) -> _Box:
    reach = 5 + away
    return x - reach, y - reach, x + reach, y + reach


def _box(name: str, label: Label) -> _Box:
    width = _LETTER * len(name)
    left = label.x - width * {"start": 0, "middle": 0.5, "end": 1}[label.anchor]
    return left, label.y - _LINE + 3, left + width, label.y + 3


def _fits(box: _Box, taken: list[_Box]) -> bool:
    left, top, right, bottom = box
    return (
        left >= LEFT
        and right <= WIDTH
        and not any(
            left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
            for other in taken
        )
    )


def _short(column: Column, cost: float) -> str:
    if column.name == "parameters":
        return f"{cost / 1e6:g} M" if cost >= 1e6 else f"{cost / 1e3:g} k"
    assert column.write is not None
    return column.write(cost)
