"""Places for the names of points, so that none lies on another name or seems to be another's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

LETTER = 6.8
"""About the width of a letter of a name, in CSS pixels, as all lengths here."""
LINE = 14
"""The height of a name."""
RADIUS = 5
"""Of a point."""
CLEAR = 4
"""Between a name and the points that are not its own, where there is room."""
OVER = 12
"""How far a name may reach over the right end of the axis."""


@dataclass(frozen=True)
class Label:
    """The place of a name beside its point: its baseline, and which end of it is there.

    `right` and `down` are counted from the point, `anchor` is SVG's.
    """

    right: float
    down: float
    anchor: str


Place = tuple[str, float, float]
"""A name and its point, x and y in percent."""
_Box = tuple[float, float, float, float]  # left, top, right, bottom


# A page draws the same points for everybody, and each against each is most of drawing them.
@lru_cache(maxsize=256)
def place_labels(
    points: tuple[Place, ...], width: float, height: float, only: int | None = None
) -> tuple[Label | None, ...]:
    """Find a free place for the name of each point, beside, above or below it.

    A free place a little away from the other points is taken first, so that no name seems to be
    another's.  A name for which there is none is left out: None.

    Args:
        width, height: of the room between the axes.
        only: the number of the one point whose name is wanted, where not all are.
    """
    dots = [(x / 100 * width, y / 100 * height) for _name, x, y in points]
    names: list[_Box] = []
    labels: list[Label | None] = []
    for number, (name, _x, _y) in enumerate(points):
        if only not in (None, number):
            labels.append(None)
            continue
        here, others = dots[number], dots[:number] + dots[number + 1 :]
        boxes = [(label, _box(name, here, label)) for label in _candidates(here[0] > width * 0.55)]
        clear, touching = (
            [*names, *(_around(dot, RADIUS + away) for dot in others)] for away in (CLEAR, 0)
        )
        free = (
            (label, box)
            for taken in (clear, touching)
            for label, box in boxes
            if _fits(box, taken, width, height)
        )
        label, box = next(free, (None, None))
        labels.append(label)
        if box is not None:
            names.append(box)
    return tuple(labels)


def _candidates(on_the_right: bool) -> list[Label]:
    """Return the places that a name may have, the best first."""
    sides = [(9, "start"), (-9, "end")]
    if on_the_right:
        sides.reverse()
    level = [Label(right, down, anchor) for down in (4, 10, -2) for right, anchor in sides]
    ends = [(0, "middle"), (-5, "start"), (5, "end")]
    return level + [Label(right, down, anchor) for right, anchor in ends for down in (-9, 18)]


def _around(dot: tuple[float, float], reach: float) -> _Box:
    x, y = dot
    return x - reach, y - reach, x + reach, y + reach


def _box(name: str, dot: tuple[float, float], label: Label) -> _Box:
    width = LETTER * len(name)
    left = dot[0] + label.right - width * {"start": 0, "middle": 0.5, "end": 1}[label.anchor]
    bottom = dot[1] + label.down + 3
    return left, bottom - LINE, left + width, bottom


def _fits(box: _Box, taken: list[_Box], width: float, height: float) -> bool:
    left, top, right, bottom = box
    return (
        left >= 0
        and right <= width + OVER
        and top >= -LINE
        and bottom <= height
        and not any(
            left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
            for other in taken
        )
    )
