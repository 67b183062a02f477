"""Charts as numbers: what the SVG macros draw.  Lengths are in the chart's own units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 400, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 14, 34


@dataclass(frozen=True)
class Line:
    """One curve: `points` is an SVG polyline, `last` where it ends, `end` its last value."""

    name: str
    points: str
    last: tuple[float, float]
    end: str


@dataclass(frozen=True)
class Chart:
    """A line chart; ticks are (position, text)."""

    title: str
    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    text: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def line_chart(
    title: str,
    epochs: Sequence[float],
    series: dict[str, Sequence[float]],
    *,
    as_percent: bool = False,
) -> Chart:
    """Draw `series` over `epochs`, with ticks at round numbers."""
    values = [value for line in series.values() for value in line]
    y_steps = round_ticks(min(values), max(values))
    x_steps = [tick for tick in round_ticks(0, max(epochs)) if tick == int(tick)]
    low, high = min(y_steps[0], min(values)), max(y_steps[-1], max(values))

    def x(epoch: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * epoch / max(*epochs, x_steps[-1]), 1)

    def y(value: float) -> float:
        share = (value - low) / (high - low)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)

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
    return Chart(
        title=title,
        lines=lines,
        x_ticks=[(x(tick), f"{tick:.0f}") for tick in x_steps],
        y_ticks=[(y(tick), f"{tick * 100:g}%" if as_percent else f"{tick:g}") for tick in y_steps],
        text=f"{title} over {len(epochs)} epochs; at the end: {ends}.",
    )


def round_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers, about so many, that enclose `low` to `high`."""
    spread = max(high - low, 1e-9)
    magnitude = 10 ** np.floor(np.log10(spread / about))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= spread / about)
    first, last = int(np.floor(low / step + 1e-9)), int(np.ceil(high / step - 1e-9))
    last = max(last, first + 1)  # Where all is one value, the axis still has a length.
    return [float(round(number * step, 10)) for number in range(first, last + 1)]
