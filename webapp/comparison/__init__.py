"""`/models/`: what each network reached, and how that compares with what was reported."""

from __future__ import annotations

import csv
import io

from flask import Blueprint, Response, abort, render_template
from flask.typing import ResponseReturnValue

from model_training.recipes import RECIPES
from webapp.comparison.report import make_report, make_row
from webapp.comparison.twins import FIGURES, as_json, figures
from webapp.comparison.versus import make_versus
from webapp.library import Library, Result, get_library
from webapp.query import choice

bp = Blueprint("comparison", __name__)


@bp.get("/models/")
def index() -> ResponseReturnValue:
    """Every bundle, and every recipe that has none yet."""
    library = get_library()
    trained = {result.bundle.card.recipe for result in library.results.values()}
    return render_template(
        "comparison/index.html",
        rows=[make_row(result) for result in library.results.values()],
        default_model=library.default_model,
        untrained=[one for name, one in RECIPES.items() if name not in trained and one.reproduced],
        reported_only=[
            one for name, one in RECIPES.items() if name not in trained and not one.reproduced
        ],
        problems=library.problems,
    )


@bp.get("/models/compare")
def compare() -> ResponseReturnValue:
    """Two models against each other; without a choice, the two best."""
    library = get_library()
    results = _comparable(library)
    best = sorted(results, key=lambda name: -results[name].accuracy)
    left = choice("left", results, "model") or next(iter(best), None)
    others = [name for name in best if name != left]
    right = choice("right", results, "model") or next(iter(others), None)
    versus = None
    if left is not None and right is not None:
        versus = make_versus(results[left], results[right])
    return render_template(
        "comparison/compare.html", results=results, left=left, right=right, versus=versus
    )


@bp.get("/models.csv")
def index_csv() -> Response:
    """The comparison table, for a spreadsheet."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIGURES, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(figures(make_row(result)) for result in get_library().results.values())
    return Response(text.getvalue(), mimetype="text/csv")


@bp.get("/models/<name>", strict_slashes=False)
def model(name: str) -> ResponseReturnValue:
    """One model's report."""
    library, result = get_library(), _result(name)
    in_gallery = library.test_images is not None and name in library.results_on(library.test_images)
    return render_template(
        "comparison/model.html", report=make_report(result), in_gallery=in_gallery
    )


@bp.get("/models/<name>.json")
def model_json(name: str) -> ResponseReturnValue:
    """The figures of one model's report, for programs."""
    return as_json(make_report(_result(name)))


def _result(name: str) -> Result:
    library = get_library()
    if name in library.problems:
        abort(404, f"The model “{name}” is damaged and left out: {library.problems[name]}.")
    if name not in library.results:
        known = ", ".join(sorted(library.results)) or "none yet"
        abort(404, f"There is no model called “{name}” here. There is: {known}.")
    return library.results[name]


def _comparable(library: Library) -> dict[str, Result]:
    # Models that were tested on other images cannot be compared image by image.
    if library.test_images is not None:
        return library.results_on(library.test_images)
    return library.results
