"""Counts as horizontal bars, one below another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webapp.charts.axes import WIDTH

ROW = 24
"""The height of a bar and the space around it."""
NAMES, COUNTS = 124, 56
"""The margins: left for names, right for counts."""
LONGEST_LABEL = 16  # letters


@dataclass(frozen=True)
class CountBar:
    """One bar; `y` is its middle, and `label` as much of `name` as there is room for."""

    name: str
    label: str
    count: int
    y: float
    width: float


@dataclass(frozen=True)
class BarChart:
    """Counts by name."""

    title: str
    bars: list[CountBar]
    width: int = WIDTH
    left: int = NAMES
    thickness: int = ROW - 8

    @property
    def height(self) -> int:
        """Return the height of the whole chart."""
        return ROW * len(self.bars)

    @property
    def text(self) -> str:
        """Return the whole chart in words."""
        return f"{self.title}: " + ", ".join(f"{bar.name} {bar.count:,}" for bar in self.bars) + "."


def bar_chart(title: str, names: Sequence[str], counts: Sequence[int]) -> BarChart:
    """Draw `counts`, the longest bar as wide as there is room."""
    most = max(1, *counts)
    room = WIDTH - NAMES - COUNTS
    return BarChart(
        title,
        [
            CountBar(
                name,
                name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}…",
                count,
                ROW * (number + 0.5),
                round(room * count / most, 1),
            )
            for number, (name, count) in enumerate(zip(names, counts, strict=True))
        ],
    )
