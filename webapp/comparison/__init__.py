"""`/models/`: the results of each network, beside those that were published."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response, abort, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from pydantic.dataclasses import dataclass

from model_training.datasets.registry import find_known, known_data_sets
from model_training.recipes import RECIPES, Recipe
from webapp.comparison.plots import make_plots
from webapp.comparison.report import make_report
from webapp.comparison.table import BY_NAME, COLUMNS, FIRST_DOWN, Row, make_rows, ordered
from webapp.comparison.twins import as_csv, as_json
from webapp.comparison.versus import make_versus
from webapp.data_sets import ServedDataSet
from webapp.library import NO_AUDIT, Library, Result, get_library
from webapp.query import Choices, Direction, data_set, one_of, read

bp = Blueprint("comparison", __name__)


@dataclass(frozen=True)
class TableOrder:
    """By what column the table is ordered, and which way; by default the best come first."""

    sort: Annotated[str, one_of("column", BY_NAME)] = "accuracy"
    order: Direction | None = None


@dataclass(frozen=True)
class Pair:
    """The two models that are compared."""

    left: Annotated[str, one_of("model")] | None = None
    right: Annotated[str, one_of("model")] | None = None


@bp.get("/models/")
def index() -> ResponseReturnValue:
    """Show every bundle of one data set, and every recipe for it that has none yet."""
    library = get_library()
    data = _data_set(library)
    rows = _rows(library, data)
    asked = read(TableOrder)
    by = BY_NAME[asked.sort]
    down = asked.order == "down" if asked.order else by.name in FIRST_DOWN
    query = {"data": data.name} if data is not library.default_data_set else {}
    return render_template(
        "comparison/index.html",
        rows=ordered(rows, by, down),
        reported=any(row.figures.get("reported") is not None for row in rows),
        columns=COLUMNS,
        by=by,
        down=down,
        first_down=FIRST_DOWN,
        data=data,
        here=data.name in library.data_sets,
        query=query,
        others=[
            (one.title, url_for("comparison.index", **library.query(one)), one is data)
            for one in library.data_sets.values()
        ],
        comparable=len(library.comparable(data)),
        charts=make_plots([row for row in rows if row.whole]),
        default_model=library.default_model,
        problems=library.problems,
        no_audit=None if data.audit else NO_AUDIT,
    )


@bp.get("/models.csv")
def index_csv() -> Response:
    """Send the comparison table of the same address as CSV."""
    library = get_library()
    return Response(as_csv(_rows(library, _data_set(library))), mimetype="text/csv")


@bp.get("/models/compare")
def compare() -> ResponseReturnValue:
    """Compare two models; without a choice, the two best."""
    library = get_library()
    data = data_set(library, "left", "right")
    results = library.comparable(data) if data else {}
    best = sorted(results, key=lambda name: -results[name].accuracy)
    elsewhere = library.not_comparable(data) if data else {}
    pair = read(Pair, here={"model": Choices(results, elsewhere)})
    left = pair.left or next(iter(best), None)
    others = [name for name in best if name != left]
    right = pair.right or next(iter(others), None)
    versus = None
    if left is not None and right is not None:
        versus = make_versus(results[left], results[right])
    return render_template(
        "comparison/compare.html",
        results=results,
        left=left,
        right=right,
        versus=versus,
        data=data,
        query=library.query(data) if data else {},
        in_gallery=data is not None and data.test is not None,
        others=[
            (one.title, url_for("comparison.compare", **library.query(one)), one is data)
            for one in library.data_sets.values()
            if len(library.comparable(one)) > 1
        ],
    )


@bp.get("/models/<name>", strict_slashes=False)
def model(name: str) -> ResponseReturnValue:
    """Show one model's report."""
    library, result = get_library(), _result(name)
    data = library.data_set_of(result.bundle)
    others = library.comparable(data)
    return render_template(
        "comparison/model.html",
        report=make_report(result, library.audit_of(result)),
        data=data,
        query=library.query(data),
        in_gallery=data.test is not None and name in others,
        not_comparable=library.not_comparable(data).get(name),
        comparable=name in others and len(others) > 1,
        answers=name in library.classifiers,
        no_audit=NO_AUDIT,
    )


@bp.get("/models/<name>.json")
def model_json(name: str) -> ResponseReturnValue:
    """Send the figures of one model's report as JSON."""
    result = _result(name)
    return as_json(make_report(result, get_library().audit_of(result)))


@bp.get("/models/<name>/files/<file>")
def bundle_file(name: str, file: str) -> ResponseReturnValue:
    """Send one file of a model's bundle."""
    files = _result(name).bundle.files
    if file not in files:
        abort(404, f"The bundle of {name} has no file “{file}”. There is: {', '.join(files)}.")
    return send_file(files[file], as_attachment=True, download_name=f"{name}-{file}")


def _result(name: str) -> Result:
    library = get_library()
    if name in library.problems:
        abort(404, f"The model “{name}” is damaged and left out: {library.problems[name]}.")
    if name not in library.results:
        known = ", ".join(sorted(library.results)) or "none yet"
        abort(404, f"There is no model called “{name}” here. There is: {known}.")
    return library.results[name]


def _data_set(library: Library) -> ServedDataSet:
    """Return the data set of the table: as the address says, or else the default model's.

    Recipes can be listed before anything of the data set that they are made for is here.
    """
    unseen = {}
    for recipe in _recipes().values():
        known = find_known(recipe.data_set)
        unseen[known.title] = unseen[known.name] = ServedDataSet(
            known.name, known.title, known.classes, known.digest or ""
        )
    called = request.args.get("data", "")
    if called in unseen and library.find_data_set(called) is None:
        return unseen[called]
    return data_set(library) or next(iter(unseen.values()))


def _recipes() -> dict[str, Recipe]:
    """Return the recipes whose own data set is in the catalogue."""
    known = known_data_sets()
    return {name: recipe for name, recipe in RECIPES.items() if recipe.data_set in known}


def _rows(library: Library, data: ServedDataSet) -> list[Row]:
    recipes = {
        name: recipe
        for name, recipe in _recipes().items()
        if find_known(recipe.data_set).digest == data.digest
    }
    results = library.results_on(data)
    audits = {name: library.audit_of(result) for name, result in results.items()}
    whole = library.comparable(data)
    return make_rows(results.values(), library.classifiers, recipes, audits, whole)
