"""Line charts, such as learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from webapp.charts.axes import Chart, LinearScale, Tick, across, round_ticks, up


@dataclass(frozen=True)
class Line:
    """One curve: `points` is an SVG polyline, `dot` the point that is marked, `value` its value."""

    name: str
    points: str
    dot: tuple[float, float]
    value: str


@dataclass(frozen=True, kw_only=True)
class LineChart(Chart):
    """A chart of curves; `text` says in words what their dots say, `notes` what to know of them."""

    lines: list[Line]
    text: str
    notes: tuple[str, ...] = ()


def line_chart(
    title: str,
    epochs: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    as_percent: bool = False,
    note: str = "",
    kept: int | None = None,
) -> LineChart:
    """Draw `series` over `epochs`, with ticks at round numbers.

    Args:
        kept: the epoch that is marked, whose weights the network has; None for the last.
    """
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

    last = len(epochs) - 1
    marked = list(epochs).index(kept) if kept is not None and kept in epochs else last
    early = "" if marked == last else f"epoch {kept}, whose weights it has"
    lines = [
        Line(
            name=name,
            points=" ".join(f"{x(e)},{y(v)}" for e, v in zip(epochs, line, strict=True)),
            dot=(x(epochs[marked]), y(line[marked])),
            value=written(line[marked]),
        )
        for name, line in series.items()
    ]
    said = ", ".join(f"{line.name} {line.value}" for line in lines)
    return LineChart(
        title=title,
        x_title="epoch",
        lines=lines,
        x_ticks=[Tick(x(tick), f"{tick:.0f}") for tick in x_steps],
        y_ticks=[
            Tick(y(tick), f"{tick * 100:g}%" if as_percent else f"{tick:g}") for tick in scale.ticks
        ],
        text=f"{title} over {len(epochs)} epochs; at {early or 'the end'}: {said}.",
        notes=tuple(one for one in (early and f"at {early}", note) if one),
    )
