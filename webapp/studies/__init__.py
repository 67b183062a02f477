"""`/studies/`: what searches for better settings found, as `flask tune` recorded it.

Nothing of the search itself is needed to show it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from flask import Blueprint, abort, current_app, render_template
from flask.typing import ResponseReturnValue

from model_training.files import DamagedFile
from model_training.recipes import RECIPES
from model_training.tuning.record import (
    StudyError,
    StudyRecord,
    find_record,
    read_record,
    record_path,
    study_names,
)
from webapp.studies.summary import summarize

bp = Blueprint("studies", __name__, url_prefix="/studies")


@bp.get("/")
def index() -> ResponseReturnValue:
    """Show every study that was recorded here."""
    whole: dict[str, StudyRecord] = {}
    damaged: list[str] = []
    for name in study_names(_folder()):
        try:
            whole[name] = read_record(record_path(_folder(), name))
        except (DamagedFile, OSError) as error:
            current_app.logger.error("the study %s cannot be read: %s", name, error)
            damaged.append(name)
    return render_template(
        "studies/index.html", studies=whole, damaged=damaged, recipes=RECIPES, searches=_searches()
    )


@bp.get("/<name>", strict_slashes=False)
def one(name: str) -> ResponseReturnValue:
    """Show one study."""
    record = _find(name)
    return render_template(
        "studies/one.html",
        record=record,
        recipe=RECIPES.get(record.about.recipe),
        summary=summarize(record),
        searches=_searches(),
    )


@bp.get("/<name>.json")
def one_json(name: str) -> ResponseReturnValue:
    """Send the same as JSON, as it is kept."""
    return _find(name).model_dump(mode="json")


def _find(name: str) -> StudyRecord:
    try:
        return find_record(_folder(), name)
    except StudyError as error:
        if error.__cause__ is not None:  # It is there, and damaged.
            current_app.logger.error("the study %s cannot be read: %s", name, error.__cause__)
        abort(404, str(error))


def _folder() -> Path:
    folder: Path = current_app.config["STUDIES_FOLDER"]
    return folder


def _searches() -> bool:
    """Return whether a search could be made here."""
    return importlib.util.find_spec("optuna") is not None
