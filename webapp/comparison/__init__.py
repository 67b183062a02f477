"""`/models/`: what each network reached, and how that compares with what was reported."""

from __future__ import annotations

from flask import Blueprint, Response, abort, render_template, send_file
from flask.typing import ResponseReturnValue

from model_training.recipes import RECIPES
from webapp.comparison.plots import make_plots
from webapp.comparison.report import make_report
from webapp.comparison.table import BY_NAME, COLUMNS, FIRST_DOWN, Row, make_rows, ordered
from webapp.comparison.twins import as_csv, as_json
from webapp.comparison.versus import make_versus
from webapp.library import NO_AUDIT, Library, Result, get_library
from webapp.query import choice

bp = Blueprint("comparison", __name__)
MAIN_DATA_SET = "CIFAR-10"


@bp.get("/models/")
def index() -> ResponseReturnValue:
    """Every bundle, and every recipe that has none yet."""
    library = get_library()
    rows = _rows(library)
    data_sets = sorted({row.figures["data"] for row in rows})
    data_set = choice("data", data_sets, "data set")
    rows = [row for row in rows if data_set in (None, row.figures["data"])]
    # Points of different images do not belong in one plot.
    plotted = MAIN_DATA_SET if data_set is None and len(data_sets) > 1 else None
    by = BY_NAME[choice("sort", BY_NAME, "column") or "accuracy"]
    order = choice("order", ("up", "down"), "direction")
    down = order == "down" if order else by.name in FIRST_DOWN
    return render_template(
        "comparison/index.html",
        rows=ordered(rows, by, down),
        columns=COLUMNS,
        by=by,
        down=down,
        first_down=FIRST_DOWN,
        data_sets=data_sets,
        data_set=data_set,
        plotted=plotted,
        charts=make_plots([row for row in rows if plotted in (None, row.figures["data"])]),
        default_model=library.default_model,
        problems=library.problems,
        no_audit=None if library.audit else NO_AUDIT,
    )


@bp.get("/models.csv")
def index_csv() -> Response:
    """The comparison table, for a spreadsheet."""
    return Response(as_csv(_rows(get_library())), mimetype="text/csv")


@bp.get("/models/compare")
def compare() -> ResponseReturnValue:
    """Two models against each other; without a choice, the two best."""
    library = get_library()
    results = library.comparable()
    best = sorted(results, key=lambda name: -results[name].accuracy)
    elsewhere = library.tested_elsewhere()
    left = choice("left", results, "model", elsewhere) or next(iter(best), None)
    others = [name for name in best if name != left]
    right = choice("right", results, "model", elsewhere) or next(iter(others), None)
    versus = None
    if left is not None and right is not None:
        versus = make_versus(results[left], results[right])
    return render_template(
        "comparison/compare.html", results=results, left=left, right=right, versus=versus
    )


@bp.get("/models/<name>", strict_slashes=False)
def model(name: str) -> ResponseReturnValue:
    """One model's report."""
    library, result = get_library(), _result(name)
    in_gallery = library.test_images is not None and name in library.results_on(library.test_images)
    return render_template(
        "comparison/model.html",
        report=make_report(result, library.audit_of(result)),
        in_gallery=in_gallery,
        no_audit=NO_AUDIT,
    )


@bp.get("/models/<name>.json")
def model_json(name: str) -> ResponseReturnValue:
    """The figures of one model's report, for programs."""
    result = _result(name)
    return as_json(make_report(result, get_library().audit_of(result)))


@bp.get("/models/<name>/files/<file>")
def bundle_file(name: str, file: str) -> ResponseReturnValue:
    """One file of a model's bundle, to keep."""
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


def _rows(library: Library) -> list[Row]:
    audits = {name: library.audit_of(result) for name, result in library.results.items()}
    return make_rows(library.results.values(), library.classifiers, RECIPES, audits)
