"""Counts as horizontal bars, one below another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ROW = 24
"""The height of a bar and the space around it, in CSS pixels."""
LONGEST_LABEL = 16  # letters


@dataclass(frozen=True)
class CountBar:
    """One bar; `width` is a percentage of the room, `label` what there is room for of `name`."""

    name: str
    label: str
    count: int
    width: float


@dataclass(frozen=True)
class BarChart:
    """Counts by name."""

    title: str
    bars: list[CountBar]
    row: int = ROW

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
    return BarChart(
        title,
        [
            CountBar(
                name,
                name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}…",
                count,
                round(100 * count / most, 2),
            )
            for name, count in zip(names, counts, strict=True)
        ],
    )
