"""`/models/`: the results of each network, beside those that were published."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response, abort, current_app, render_template, send_file, url_for
from flask.typing import ResponseReturnValue
from pydantic.dataclasses import dataclass

from model_training.recipes import Recipe
from model_training.tuning.record import record_path
from webapp.comparison.columns import FIRST_DOWN
from webapp.comparison.overview import read_overview
from webapp.comparison.report import make_report
from webapp.comparison.rows import STATES, recipes_here
from webapp.comparison.siblings import siblings
from webapp.comparison.twins import as_csv, as_json, recipe_as_json
from webapp.comparison.versus import make_versus
from webapp.data_sets import ServedDataSet
from webapp.library import Library, Result, get_library
from webapp.query import Choices, data_set, one_of, read

bp = Blueprint("comparison", __name__)

MOST_THAT_FIT = 12
"""Classes whose confusion matrix is as wide as a phone; one of more is moved sideways."""


@dataclass(frozen=True)
class Pair:
    """The two models that are compared."""

    left: Annotated[str, one_of("model")] | None = None
    right: Annotated[str, one_of("model")] | None = None


@bp.get("/models/")
def index() -> ResponseReturnValue:
    """Show every bundle, and every recipe that has none yet, as the address asks for them."""
    library = get_library()
    overview = read_overview(library)
    match, costs = overview.plots()
    alone = overview.shown[0] if len(overview.shown) == 1 else None
    default = library.classifiers.get(library.default_model or "")
    return render_template(
        "comparison/index.html",
        overview=overview,
        columns=overview.columns,
        first_down=FIRST_DOWN,
        states=STATES,
        data=alone,
        here=library.data_sets,
        comparable=any(len(library.comparable(one)) > 1 for one in overview.shown),
        match=match,
        costs=costs,
        default_model=library.default_model,
        default_rates=default.judge.threshold.rates if default else None,
        problems=library.problems,
        outdated=library.outdated,
        loading=library.loading,
    )


@bp.get("/models.csv")
def index_csv() -> Response:
    """Send the rows of the comparison page of the same address as CSV, with every column."""
    return Response(as_csv(read_overview(get_library()).rows), mimetype="text/csv")


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
    """Show one model's report, or of a recipe without results what it is and how to train it."""
    library = get_library()
    found = _find(name)
    if isinstance(found, Result):
        return _report_page(library, found)
    recipe, data = found
    return render_template(
        "comparison/recipe.html",
        recipe=recipe,
        data=data,
        epochs=sum(phase.epochs for phase in recipe.phases),
        query={"data": data.name} if data.name in library.data_sets else {},
        siblings=siblings(recipe.name, library.comparable(data)),
    )


def _report_page(library: Library, result: Result) -> str:
    name, data = result.bundle.name, library.data_set_of(result.bundle)
    others, tuned = library.comparable(data), result.bundle.card.training.tuned
    return render_template(
        "comparison/model.html",
        report=make_report(result, library.audit_of(result)),
        data=data,
        in_gallery=data.test is not None and name in others,
        not_comparable=library.not_comparable(data).get(name),
        comparable=name in others and len(others) > 1,
        answers=name in library.classifiers,
        loading=name in library.loading,
        outdated=library.outdated.get(name),
        fits=MOST_THAT_FIT,
        why_unaudited=library.why_unaudited(result),
        siblings=siblings(result.bundle.card.recipe, others, result.accuracy)
        if name in others
        else [],
        study=tuned.study
        if tuned and record_path(current_app.config["STUDIES_FOLDER"], tuned.study).is_file()
        else None,
    )


@bp.get("/models/<name>.json")
def model_json(name: str) -> ResponseReturnValue:
    """Send the figures of the same page as JSON."""
    found = _find(name)
    if isinstance(found, Result):
        return as_json(make_report(found, get_library().audit_of(found)))
    return recipe_as_json(*found)


@bp.get("/models/<name>/files/<file>")
def bundle_file(name: str, file: str) -> ResponseReturnValue:
    """Send one file of a model's bundle."""
    found = _find(name)
    if not isinstance(found, Result):
        abort(404, f"{name} has not been trained here, so it has no bundle.")
    if name in get_library().outdated:
        # The folder holds what was refused, and not what the page and its figures are about.
        abort(404, f"The bundle of {name} was replaced by one that cannot be used.")
    files = found.bundle.files
    if file not in files:
        abort(404, f"The bundle of {name} has no file “{file}”. Available: {', '.join(files)}.")
    return send_file(files[file], as_attachment=True, download_name=f"{name}-{file}")


def _find(name: str) -> Result | tuple[Recipe, ServedDataSet]:
    """Return the result of the bundle called `name`, or else the recipe, with its data set."""
    library = get_library()
    if name in library.problems:
        abort(
            404,
            f"The model “{name}” is left out because it cannot be used: {library.problems[name]}.",
        )
    if name in library.results:
        return library.results[name]
    for recipe, data in recipes_here(library):
        if recipe.name == name:
            return recipe, data
    known = ", ".join(sorted(library.results)) or "none yet"
    abort(404, f"There is no model called “{name}” here. Available: {known}.")
