"""The comparison table's figures as plots: measured against reported, and accuracy against cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from webapp.charts.points import ScatterPlot, Value, cost_plot, match_plot
from webapp.comparison.columns import BY_NAME, Column
from webapp.comparison.rows import Row

MARKS = {"scratch": "dot", "transfer": "square"}
"""The mark of a measured network, by its kind; of one that is only reported it is a ring."""

_MINUTE, _HOUR = 60, 3600
TIMES = (1, 3, 10, 30, *(n * _MINUTE for n in (1, 3, 10, 30)), *(n * _HOUR for n in (1, 3, 10, 30)))
"""Round times in seconds, each about three times the one before."""

Address = Callable[[str], str]
"""Gives the address of the page of the model that has this name."""


def match_of(rows: Sequence[Row], address: Address) -> ScatterPlot | None:
    """Plot measured against reported accuracy of the rows that have both, if there are two."""
    values = [
        Value(
            row.name,
            float(row.figures["reported"]),
            float(row.figures["accuracy"]),
            MARKS[row.kind],
            f"{row.figures['title']}: {row.figures['accuracy']:.2%} here, "
            f"{row.figures['reported']:.2%} reported",
            address(row.name),
        )
        for row in rows
        if row.whole and row.figures.get("difference") is not None
    ]
    if len(values) < 2:
        return None
    return match_plot("Measured here against reported", "reported", values)


def costs_of(rows: Sequence[Row], address: Address) -> list[ScatterPlot]:
    """Plot accuracy against parameters and against training time, each if it has two points.

    A network that was not trained here stands with its reported accuracy, as a ring.

    Args:
        rows: of one data set: accuracies on different ones cannot be compared.
    """
    plots = [
        _cost("Accuracy against parameters", BY_NAME["parameters"], rows, address),
        _cost("Accuracy against training time", BY_NAME["seconds"], rows, address),
    ]
    return [plot for plot in plots if plot is not None]


def _cost(title: str, column: Column, rows: Sequence[Row], address: Address) -> ScatterPlot | None:
    assert column.write is not None
    values = []
    for row in rows:
        cost = row.figures.get(column.name)
        # What a source reported says nothing of its network under a training of ours, or of
        # another task.
        another = row.figures.get("network_of") or row.figures.get("task")
        reported = None if another else row.figures.get("reported")
        share = row.figures.get("accuracy") or reported
        if row.whole and cost and share is not None:
            text = (
                f"{row.figures['title']}: {share:.2%}{'' if row.measured else ' reported'}, "
                f"{column.write(cost)}"
            )
            mark = MARKS[row.kind] if row.measured else "ring"
            values.append(Value(row.name, float(cost), float(share), mark, text, address(row.name)))
    if len(values) < 2:
        return None
    if column.name == "parameters":
        return cost_plot(title, "parameters", values, _short_count)
    return cost_plot(title, "training time", values, _short_time, TIMES)


def _short_time(seconds: float) -> str:
    for unit, name in ((_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"


def _short_count(number: float) -> str:
    return f"{number / 1e6:g} M" if number >= 1e6 else f"{number / 1e3:g} k"
