"""Charts: names that do not lie on each other, round ticks, and letters of one size."""

from __future__ import annotations

import random

import pytest

from webapp.charts.labels import LETTER, LINE, Label, Place, place_labels
from webapp.charts.points import WIDTHS, Value, cost_plot, match_plot
from webapp.comparison.plots import TIMES

HEIGHT = 240
Box = tuple[float, float, float, float]


def box(point: Place, label: Label, width: float) -> Box:
    """Return the left, top, right and bottom of a name as it is drawn."""
    name, x, y = point
    reach = LETTER * len(name)
    left = x / 100 * width + label.right
    left -= reach * {"start": 0, "middle": 0.5, "end": 1}[label.anchor]
    bottom = y / 100 * HEIGHT + label.down + 3
    return left, bottom - LINE, left + reach, bottom


def apart(one: Box, other: Box) -> float:
    return max(one[0] - other[2], other[0] - one[2], one[1] - other[3], other[1] - one[3])


@pytest.mark.parametrize("width", WIDTHS.values())
@pytest.mark.parametrize("count", [1, 5, 30])
def test_names_lie_neither_on_each_other_nor_on_a_point(count: int, width: int) -> None:
    draw = random.Random(count)
    points = tuple(
        (f"model-{number}" * draw.randrange(1, 3), draw.uniform(0, 100), draw.uniform(0, 100))
        for number in range(count)
    )
    labels = place_labels(points, width, HEIGHT)
    boxes = [
        (point, box(point, label, width))
        for point, label in zip(points, labels, strict=True)
        if label is not None
    ]
    assert boxes, "at least one name has its place"
    for number, (point, one) in enumerate(boxes):
        assert all(apart(one, other) >= 0 for _, other in boxes[:number])
        for name, x, y in points:
            if name != point[0]:
                across, down = x / 100 * width, y / 100 * HEIGHT
                assert apart(one, (across - 5, down - 5, across + 5, down + 5)) >= 0
        assert one[0] >= 0 and one[2] <= width + 12, "no name leaves the chart"


def test_a_name_that_fits_stands_beside_its_point() -> None:
    assert place_labels((("alone", 40.0, 50.0),), 386, HEIGHT) == (Label(9, 4, "start"),)
    assert place_labels((("x" * 90, 40.0, 50.0),), 386, HEIGHT) == (None,)


def test_no_name_seems_to_be_that_of_another_point() -> None:
    points = (("custom-cnn", 2.5, 60.0), ("fast-cnn", 16.0, 16.5), ("tuned", 19.5, 11.0))
    label = place_labels(points, 386, HEIGHT)[1]
    assert label is not None
    tuned = (0.195 * 386, 0.11 * HEIGHT)
    assert apart(box(points[1], label, 386), (*tuned, *tuned)) >= 9


def test_costs_have_round_ticks_and_fewer_on_a_phone() -> None:
    values = [
        Value(f"n{x}", x, share, "dot", "", "") for x, share in ((300, 0.7), (1e4, 0.9), (9e3, 0.8))
    ]
    plot = cost_plot("Title", "time", values, str, TIMES)
    assert [(tick.text, tick.minor) for tick in plot.x_ticks] == [
        ("180", True),
        ("600", False),
        ("1800", True),
        ("3600", False),
        ("10800", True),
    ]
    assert [tick.text for tick in plot.y_ticks] == ["70%", "75%", "80%", "85%", "90%"]
    assert all(0 <= point.x <= 100 and 0 <= point.y <= 100 for point in plot.points)


def test_a_point_exactly_on_another_stands_beside_it() -> None:
    values = [
        Value(name, x, 0.78, "ring", "", "")
        for name, x in (("one", 4e7), ("far", 1e6), ("two", 4e7), ("three", 4e7))
    ]
    one, far, two, three = cost_plot("Title", "parameters", values, str).points
    assert [point.aside for point in (one, far, two, three)] == [0, 0, 11, 22]
    assert (one.x, one.y) == (two.x, two.y) == (three.x, three.y)


def test_where_both_figures_agree_a_point_is_on_the_diagonal() -> None:
    values = [Value(name, x, y, "dot", "", "") for name, x, y in (("a", 0.8, 0.8), ("b", 0.6, 0.9))]
    same, better = match_plot("Title", "reported", values).points
    assert same.x == pytest.approx(100 - same.y)
    assert better.x < 100 - better.y, "above the line: better here"
