"""The comparison page: the rows, the view and the order that its address asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any

from flask import url_for
from pydantic.dataclasses import dataclass as parameters

from webapp.charts.points import ScatterPlot
from webapp.comparison.columns import BY_NAME, FIRST_DOWN, VIEWS, Column, view_of
from webapp.comparison.plots import costs_of, match_of
from webapp.comparison.rows import KINDS, Group, Row, all_rows, grouped
from webapp.data_sets import ServedDataSet
from webapp.filters import listed
from webapp.library import NO_AUDIT, Library
from webapp.query import Direction, given, one_of, read, refuse

RESULTS = {"here": "with results here", "none": "without"}
"""Whether there are results of a model here: a filter."""

Link = tuple[str, str, bool]
"""A text, an address, and whether it is where one is."""


@parameters(frozen=True)
class Asked:
    """What the address asks for; by default all rows, the best of each group first."""

    data: str | None = None
    kind: Annotated[str, one_of("kind", KINDS)] | None = None
    results: Annotated[str, one_of("choice", RESULTS)] | None = None
    show: Annotated[str, one_of("view", VIEWS)] | None = None
    sort: Annotated[str, one_of("column", BY_NAME)] = "accuracy"
    order: Direction | None = None


@dataclass(frozen=True)
class Overview:
    """The rows that an address asks for, in groups, and the addresses of others."""

    asked: Asked
    everything: list[Row]

    @cached_property
    def rows(self) -> list[Row]:
        """Return the rows that the filters leave."""
        asked = self.asked
        return [
            row
            for row in self.everything
            if asked.data in (None, row.data.name)
            and asked.kind in (None, row.kind)
            and asked.results in (None, "here" if row.measured else "none")
        ]

    @property
    def groups(self) -> list[Group]:
        """Return these rows by data set and kind, each group in the order that is asked for."""
        return grouped(self.rows, self.by, self.down)

    @property
    def by(self) -> Column:
        """Return the column that orders the rows."""
        return BY_NAME[self.asked.sort]

    @property
    def down(self) -> bool:
        """Return whether the largest come first."""
        asked = self.asked
        return asked.order == "down" if asked.order else asked.sort in FIRST_DOWN

    @property
    def view(self) -> str:
        """Return the view: as asked, or else the one that has the column of the order."""
        return self.asked.show or view_of(self.asked.sort)

    @property
    def columns(self) -> list[Column]:
        """Return the columns of the view."""
        return [BY_NAME[name] for name in VIEWS[self.view]]

    @cached_property
    def data_sets(self) -> list[ServedDataSet]:
        """Return every data set that has a row, whatever is asked for."""
        return list({row.data.name: row.data for row in self.everything}.values())

    @cached_property
    def shown(self) -> list[ServedDataSet]:
        """Return the data sets of the rows that are shown."""
        return list({row.data.name: row.data for row in self.rows}.values())

    @property
    def gaps(self) -> list[str]:
        """Return why the column of accuracies without doubtful images has gaps, if it has any."""
        if "cleaned" not in VIEWS[self.view]:
            return []
        # Whoever has no images of a data set is not told to audit it.
        here = [one.title for one in self.shown if one.audit is None and one.test is not None]
        gone = [one.title for one in self.shown if one.audit is None and one.test is None]
        empty = f"The column “{BY_NAME['cleaned'].title}” is empty for"
        why = [f"{empty} {listed(here)}. {NO_AUDIT}"] if here else []
        if gone:
            why.append(f"{empty} {listed(gone)}: there are no test images here to audit.")
        return why

    def address(self, **other: Any) -> str:
        """Return the address of the same page with `other` parameters."""
        changed = replace(self.asked, **other)
        return url_for("comparison.index", **_query(changed))

    @property
    def query(self) -> dict[str, Any]:
        """Return the parameters of the address that choose rows."""
        chosen = _query(self.asked)
        return {name: chosen[name] for name in ("data", "kind", "results") if name in chosen}

    def sorted_by(self, column: Column) -> str:
        """Return the address of the same table ordered by `column`; again, the other way."""
        here = column.name == self.by.name
        down = not self.down if here else column.name in FIRST_DOWN
        order = "down" if down else "up"
        return self.address(sort=column.name, order=order, show=self.view)

    @property
    def filters(self) -> list[tuple[str, list[Link]]]:
        """Return each filter that would change something: its title, and a link for each choice."""
        found = []
        if len(self.data_sets) > 1:
            titles = {data.name: data.title for data in self.data_sets}
            found.append(("Data set", self._links("data", titles, "all")))
        for title, name, choices, value in (
            ("Trained", "kind", KINDS, lambda row: row.kind),
            ("Models", "results", RESULTS, lambda row: "here" if row.measured else "none"),
        ):
            if len({value(row) for row in self.everything}) > 1:
                found.append((title, self._links(name, choices, "all")))
        return found

    @property
    def views(self) -> list[Link]:
        """Return a link to each view of the same rows."""
        return [
            (name.capitalize(), self.address(show=name, **self._order_in(name)), name == self.view)
            for name in VIEWS
        ]

    def plots(self) -> tuple[ScatterPlot | None, list[tuple[ServedDataSet, list[ScatterPlot]]]]:
        """Return measured against reported of all rows, and the costs for each data set."""
        of_data = [
            (data, costs_of([row for row in self.rows if row.data is data], _page))
            for data in self.shown
        ]
        return match_of(self.rows, _page), [(data, plots) for data, plots in of_data if plots]

    def _links(self, name: str, choices: dict[str, str], everything: str) -> list[Link]:
        chosen = getattr(self.asked, name)
        links = [(everything, self.address(**{name: None}), chosen is None)]
        return links + [
            (text, self.address(**{name: value}), chosen == value)
            for value, text in choices.items()
        ]

    def _order_in(self, view: str) -> dict[str, Any]:
        # An order by a column that is not shown could not be seen.
        return {} if self.by.name in VIEWS[view] else {"sort": "accuracy", "order": None}


def read_overview(library: Library) -> Overview:
    """Return the page that the address of the request asks for."""
    rows = all_rows(library)
    asked = read(Asked, given() | {"data": _named(rows, library)})
    # Of a data set of which nothing is here, recipes are listed for who asks for it.
    shown = [row for row in rows if row.data.name in (*library.data_sets, asked.data)]
    return Overview(asked, shown if library.data_sets else rows)


def _named(rows: Sequence[Row], library: Library) -> str | None:
    """Return the name of the data set that the address calls by its name, title or digest."""
    called = given().get("data")
    if called is None:
        return None
    there = library.data_sets | {row.data.name: row.data for row in rows}
    for one in there.values():
        if called in (one.name, one.title, one.digest):
            return one.name
    known = ", ".join(f"{one.name} ({one.title})" for one in there.values())
    refuse(404, f"There is no data set called “{called}” here. Available: {known}.", "data")


def _query(asked: Asked) -> dict[str, Any]:
    """Return the parameters of an address that asks for the same; what is usual is left out."""
    usual = Asked()
    return {
        name: value
        for name, value in vars(asked).items()
        if value and value != getattr(usual, name)
    }


def _page(name: str) -> str:
    return url_for("comparison.model", name=name)
