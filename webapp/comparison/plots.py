"""Accuracy against cost: two plots of the comparison table's figures."""

from __future__ import annotations

from webapp.charts.points import ScatterPlot, Value, scatter_plot
from webapp.comparison.table import BY_NAME, Column, Row


def make_plots(rows: list[Row]) -> list[ScatterPlot]:
    """Plot accuracy against parameters and against training time, each if it has two points.

    A network that was not trained here stands with its reported accuracy, as a hollow point.
    """
    plots = [
        _plot("Accuracy against parameters", BY_NAME["parameters"], rows),
        _plot("Accuracy against training time", BY_NAME["seconds"], rows),
    ]
    return [plot for plot in plots if plot is not None]


def _plot(title: str, column: Column, rows: list[Row]) -> ScatterPlot | None:
    assert column.write is not None
    values = []
    for row in rows:
        cost = row.figures.get(column.name)
        share = row.figures.get("accuracy") or row.figures.get("reported")
        if cost and share is not None:
            text = (
                f"{row.figures['title']}: {share:.2%}{'' if row.measured else ' reported'}, "
                f"{column.write(cost)}"
            )
            values.append(Value(row.name, float(cost), float(share), row.measured, text))
    if len(values) < 2:
        return None
    write = _short_count if column.name == "parameters" else column.write
    return scatter_plot(title, column.title.lower(), values, write)


def _short_count(number: float) -> str:
    return f"{number / 1e6:g} M" if number >= 1e6 else f"{number / 1e3:g} k"
