"""Scatter plots, each point with its name beside it and a link to what it stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from webapp.charts.axes import (
    Chart,
    LinearScale,
    LogScale,
    Tick,
    across,
    round_ticks,
    up,
)
from webapp.charts.labels import RADIUS, Label, place_labels


@dataclass(frozen=True)
class Span:
    """An axis from 0 to `last`."""

    last: float

    def share(self, value: float) -> float:
        """Return the place of `value` as a share of the axis."""
        return value / self.last


WIDTHS = {"narrow": 200, "middle": 386, "wide": 674}
"""The least room between the axes, in CSS pixels, for which names are placed: on a phone, in one of
two columns, and alone.  Style sheets show the names of the one that fits."""
COST_HEIGHT, MATCH_HEIGHT = 240, 400
ASIDE = 2 * RADIUS + 1


@dataclass(frozen=True)
class Value:
    """One thing to plot.

    Args:
        name: short, to stand beside its point.
        x, y: y is a share, 0 to 1.
        mark: "dot", "square" or "ring".
        text: all of it in words.
        address: where its point leads.
    """

    name: str
    x: float
    y: float
    mark: str
    text: str
    address: str


@dataclass(frozen=True)
class Point:
    """One point, in place, and the place of its name for each of `WIDTHS` in which it has one.

    `aside` is how far it stands to the right of its place, in CSS pixels, because another is there.
    """

    name: str
    x: float
    y: float
    mark: str
    text: str
    address: str
    aside: int
    labels: dict[str, Label]


@dataclass(frozen=True, kw_only=True)
class ScatterPlot(Chart):
    """A scatter plot; with `diagonal`, both axes have one scale, and a line where they agree.

    `steps` is an SVG polyline behind the points, in percent, and `level` a height to compare with.
    """

    points: list[Point]
    height: int
    diagonal: bool = False
    steps: str = ""
    level: float | None = None

    @property
    def marks(self) -> list[str]:
        """Return each mark that is used."""
        return list(dict.fromkeys(point.mark for point in self.points))


def cost_plot(
    title: str,
    x_title: str,
    values: Sequence[Value],
    write_x: Callable[[float], str],
    round_costs: Sequence[float] = (),
) -> ScatterPlot:
    """Draw shares over costs, at least one, on a logarithmic axis.

    Args:
        values: their x is more than 0.
        write_x: makes the text of a tick of the x axis.
        round_costs: where ticks may be, every second one a major one; without any, they are at 1
            and 3 times each power of 10.
    """
    across_scale = LogScale.enclosing(min(v.x for v in values), max(v.x for v in values))
    scale = LinearScale.enclosing(min(v.y for v in values), max(v.y for v in values))
    return ScatterPlot(
        title=title,
        x_title=x_title,
        points=_points(values, across_scale, scale, COST_HEIGHT),
        x_ticks=[
            Tick(across(across_scale.share(cost)), write_x(cost), minor)
            for cost, minor in _cost_ticks(across_scale, round_costs)
        ],
        y_ticks=_share_ticks(scale),
        height=COST_HEIGHT,
    )


def match_plot(title: str, x_title: str, values: Sequence[Value]) -> ScatterPlot:
    """Draw shares, y, against other shares of the same things, x, at least one, on one scale."""
    both = [share for value in values for share in (value.x, value.y)]
    scale = LinearScale.enclosing(min(both), max(both))
    return ScatterPlot(
        title=title,
        x_title=x_title,
        points=_points(values, scale, scale, MATCH_HEIGHT),
        x_ticks=[Tick(across(scale.share(tick)), f"{tick * 100:g}%") for tick in scale.ticks],
        y_ticks=_share_ticks(scale),
        height=MATCH_HEIGHT,
        diagonal=True,
    )


def sequence_plot(
    title: str, x_title: str, values: Sequence[Value], best: Sequence[bool], level: float | None
) -> ScatterPlot:
    """Draw shares in the order in which they came, at least one, with the best so far as a line.

    Args:
        values: their x is a whole number, from 0, and grows; the first of the best has its name.
        best: whether each may be the best.
        level: a share to compare with.
    """
    shares = [value.y for value in values] + ([] if level is None else [level])
    scale = LinearScale.enclosing(min(shares), max(shares))
    steps = [tick for tick in round_ticks(0, max(1.0, values[-1].x)) if tick == int(tick)]
    last = max(steps[-1], values[-1].x)
    places, top = [], -1.0
    for value, counts in zip(values, best, strict=True):
        if counts and value.y > top:
            if top >= 0:
                places.append((value.x, top))
            top = value.y
            places.append((value.x, top))
    if places:
        places.append((values[-1].x, top))
    tops = [counts and value.y == top for value, counts in zip(values, best, strict=True)]
    first = tops.index(True) if any(tops) else -1
    return ScatterPlot(
        title=title,
        x_title=x_title,
        # There may be thousands, and only one has a name.
        points=_points(values, Span(last), scale, COST_HEIGHT, first),
        x_ticks=[Tick(across(tick / last), f"{tick:.0f}") for tick in steps],
        y_ticks=_share_ticks(scale),
        height=COST_HEIGHT,
        steps=" ".join(f"{across(x / last)},{up(scale.share(y))}" for x, y in places),
        level=None if level is None else up(scale.share(level)),
    )


def _cost_ticks(scale: LogScale, round_costs: Sequence[float]) -> list[tuple[float, bool]]:
    """Return each tick, and whether it is left out where there is little room."""
    if not round_costs:
        return [(tick, f"{tick:e}"[0] == "3") for tick in scale.ticks]
    return [
        (cost, number % 2 == 1)
        for number, cost in enumerate(round_costs)
        if 0 <= scale.share(cost) <= 1
    ]


def _share_ticks(scale: LinearScale) -> list[Tick]:
    return [Tick(up(scale.share(tick)), f"{tick * 100:g}%") for tick in scale.ticks]


def _points(
    values: Sequence[Value],
    x: LinearScale | LogScale | Span,
    y: LinearScale,
    height: int,
    only: int | None = None,
) -> list[Point]:
    """Return the points of `values` in their places, with their names, or with `only` that of one
    of them, by its number."""
    places = tuple((one.name, across(x.share(one.x)), up(y.share(one.y))) for one in values)
    labels = {size: place_labels(places, width, height, only) for size, width in WIDTHS.items()}
    points = []
    seen: Counter[tuple[float, float]] = Counter()
    for number, (one, (_name, right, down)) in enumerate(zip(values, places, strict=True)):
        # Exactly behind another it could neither be seen nor followed.
        aside = seen[right, down] * ASIDE
        seen[right, down] += 1
        own = {
            size: replace(label, right=label.right + aside)
            for size, found in labels.items()
            if (label := found[number])
        }
        points.append(Point(one.name, right, down, one.mark, one.text, one.address, aside, own))
    return points
