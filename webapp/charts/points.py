"""Scatter plots, each point with its name beside it and a link to what it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from webapp.charts.axes import Chart, LinearScale, LogScale, Tick, across, up
from webapp.charts.labels import Label, place_labels

WIDTHS = {"narrow": 200, "middle": 386, "wide": 674}
"""The least room between the axes, in CSS pixels, for which names are placed: on a phone, in one of
two columns, and alone.  Style sheets show the names of the one that fits."""
COST_HEIGHT, MATCH_HEIGHT = 240, 400


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
    """One point, in place, and the place of its name for each of `WIDTHS` in which it has one."""

    name: str
    x: float
    y: float
    mark: str
    text: str
    address: str
    labels: dict[str, Label]


@dataclass(frozen=True, kw_only=True)
class ScatterPlot(Chart):
    """A scatter plot; with `diagonal`, both axes have one scale, and a line where they agree."""

    points: list[Point]
    height: int
    diagonal: bool = False

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
    values: Sequence[Value], x: LinearScale | LogScale, y: LinearScale, height: int
) -> list[Point]:
    places = [(one.name, across(x.share(one.x)), up(y.share(one.y))) for one in values]
    labels = {size: place_labels(places, width, height) for size, width in WIDTHS.items()}
    return [
        Point(
            one.name,
            place[1],
            place[2],
            one.mark,
            one.text,
            one.address,
            {size: label for size, found in labels.items() if (label := found[number])},
        )
        for number, (one, place) in enumerate(zip(values, places, strict=True))
    ]
