"""Line charts, such as learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webapp.charts.axes import Chart, LinearScale, Tick, across, round_ticks, up


@dataclass(frozen=True)
class Line:
    """One curve: `points` is an SVG polyline, `last` its last point, `end` its last value."""

    name: str
    points: str
    last: tuple[float, float]
    end: str


@dataclass(frozen=True, kw_only=True)
class LineChart(Chart):
    """A chart of curves; `text` says in words how they end, `note` what is missing and why."""

    lines: list[Line]
    text: str
    note: str = ""


def line_chart(
    title: str,
    epochs: Sequence[float],
    series: dict[str, Sequence[float]],
    *,
    as_percent: bool = False,
    note: str = "",
) -> LineChart:
    """Draw `series` over `epochs`, with ticks at round numbers."""
    values = [value for line in series.values() for value in line]
    scale = LinearScale.enclosing(min(values), max(values))
    x_steps = [tick for tick in round_ticks(0, max(epochs)) if tick == int(tick)]
    last_epoch = max(*epochs, x_steps[-1])

    def x(epoch: float) -> float:
        return across(epoch / last_epoch)

    def y(value: float) -> float:
        return up(scale.share(value))

    def written(value: float) -> str:
        return f"{value:.1%}" if as_percent else f"{value:.3f}"

    lines = [
        Line(
            name=name,
            points=" ".join(f"{x(e)},{y(v)}" for e, v in zip(epochs, line, strict=True)),
            last=(x(epochs[-1]), y(line[-1])),
            end=written(line[-1]),
        )
        for name, line in series.items()
    ]
    ends = ", ".join(f"{line.name} {line.end}" for line in lines)
    return LineChart(
        title=title,
        x_title="epoch",
        lines=lines,
        x_ticks=[Tick(x(tick), f"{tick:.0f}") for tick in x_steps],
        y_ticks=[
            Tick(y(tick), f"{tick * 100:g}%" if as_percent else f"{tick:g}") for tick in scale.ticks
        ],
        text=f"{title} over {len(epochs)} epochs; at the end: {ends}.",
        note=note,
    )
