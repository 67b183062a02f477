"""Dimensions, scales and ticks of every chart.  Lengths are in the chart's own units."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

WIDTH, WIDE, HEIGHT = 400, 480, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 14, 34
"""Margins, which hold the ticks and the titles of the axes."""
SIDE, EDGE = 240, 40
"""The side of a square diagram, and the room beside it for its ticks."""

Tick = tuple[float, str]
"""A position and the text that stands there."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart with two axes; `left`, `right`, `top` and `bottom` bound what is drawn in it."""

    title: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    top: int = TOP

    @property
    def right(self) -> int:
        """Return where the x axis ends."""
        return self.width - RIGHT

    @property
    def bottom(self) -> int:
        """Return where the x axis lies."""
        return self.height - BOTTOM


def across(share: float, width: int = WIDTH) -> float:
    """Return x at `share`, 0 to 1, of the x axis of a chart of this width."""
    return round(LEFT + (width - LEFT - RIGHT) * share, 1)


def up(share: float) -> float:
    """Return y at `share`, 0 to 1, of the y axis; y counts downwards."""
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)


def round_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return about `about` round numbers that enclose `low` to `high`."""
    spread = max(high - low, 1e-9)
    magnitude = 10 ** np.floor(np.log10(spread / about))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= spread / about)
    first, last = int(np.floor(low / step + 1e-9)), int(np.ceil(high / step - 1e-9))
    last = max(last, first + 1)  # Where all is one value, the axis still has a length.
    return [float(round(number * step, 10)) for number in range(first, last + 1)]


@dataclass(frozen=True)
class LogScale:
    """A logarithmic axis of a chart of this width, from `first` to `last` as powers of 10."""

    first: float
    last: float
    width: int = WIDTH

    @classmethod
    def enclosing(cls, low: float, high: float, width: int = WIDTH) -> LogScale:
        """Return the shortest scale of half decades from at most `low` to above `high`."""
        first = math.floor(math.log10(low) * 2) / 2
        last = math.ceil(math.log10(high) * 2 + 0.01) / 2
        return cls(first, last, width)

    def place(self, value: float) -> float:
        """Return x of `value`."""
        return across((math.log10(value) - self.first) / (self.last - self.first), self.width)

    def ticks(self) -> list[float]:
        """Return 1 and 3 times each power of 10 that is on the scale."""
        halves = range(math.ceil(self.first * 2), math.floor(self.last * 2) + 1)
        values = [(1 if n % 2 == 0 else 3) * 10.0 ** (n // 2) for n in halves]
        return [value for value in values if self.first <= math.log10(value)]
