"""Scales and ticks of every chart.

Places are percentages of the room between the axes, x from the left and y from the top.  A chart
is as wide as its page allows and has no scale of its own, so letters have one size at every width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tick:
    """A place on an axis and its text; a `minor` one is left out where there is little room."""

    place: float
    text: str
    minor: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart with two axes."""

    title: str
    x_title: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def across(share: float) -> float:
    """Return x at `share`, 0 to 1, of the x axis."""
    return round(100 * share, 2)


def up(share: float) -> float:
    """Return y at `share`, 0 to 1, of the y axis; y counts downwards."""
    return round(100 * (1 - share), 2)


def round_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return about `about` round numbers that enclose `low` to `high`."""
    spread = max(high - low, 1e-9)
    magnitude = 10 ** np.floor(np.log10(spread / about))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= spread / about)
    first, last = int(np.floor(low / step + 1e-9)), int(np.ceil(high / step - 1e-9))
    last = max(last, first + 1)  # Where all is one value, the axis still has a length.
    return [float(round(number * step, 10)) for number in range(first, last + 1)]


@dataclass(frozen=True)
class LinearScale:
    """A linear axis from the first to the last of its `ticks`."""

    ticks: list[float]

    @classmethod
    def enclosing(cls, low: float, high: float) -> LinearScale:
        """Return a scale of round numbers around `low` to `high`."""
        return cls(round_ticks(low, high))

    def share(self, value: float) -> float:
        """Return the place of `value` as a share of the axis."""
        return (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])


@dataclass(frozen=True)
class LogScale:
    """A logarithmic axis from `first` to `last` as powers of 10."""

    first: float
    last: float

    @classmethod
    def enclosing(cls, low: float, high: float) -> LogScale:
        """Return the shortest scale of half decades from at most `low` to above `high`."""
        first = math.floor(math.log10(low) * 2) / 2
        last = math.ceil(math.log10(high) * 2 + 0.01) / 2
        return cls(first, last)

    def share(self, value: float) -> float:
        """Return the place of `value` as a share of the axis."""
        return (math.log10(value) - self.first) / (self.last - self.first)

    @property
    def ticks(self) -> list[float]:
        """Return 1 and 3 times each power of 10 that is on the scale."""
        halves = range(math.ceil(self.first * 2), math.floor(self.last * 2) + 1)
        values = [(1 if n % 2 == 0 else 3) * 10.0 ** (n // 2) for n in halves]
        return [value for value in values if self.first <= math.log10(value)]
