"""Health checks for operators: the process is alive, and it can answer."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from webapp.data_sets import ServedDataSet
from webapp.library import get_library

bp = Blueprint("health", __name__)


@bp.get("/livez")
def livez() -> ResponseReturnValue:
    """Report that the process answers requests."""
    return jsonify(status="alive")


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Report 200 if a model is loaded, so that photos are answered, or else 503.

    Whatever else is missing is named.
    """
    library = get_library()
    ready = library.default_model is not None
    shown = library.default_data_set
    answer = {
        "status": "ready" if ready else "not ready",
        "models": sorted(library.classifiers),
        "default_model": library.default_model,
        "left_out": library.problems,
        "gallery": "ready" if shown and shown.test is not None else "they are missing or damaged",
        "data_sets": {one.name: _state(one) for one in library.data_sets.values()}
        | dict.fromkeys(library.data_problems, "damaged, left out"),
    }
    return jsonify(answer), 200 if ready else 503


def _state(data_set: ServedDataSet) -> str:
    # What is wrong with each part is in the log, with the paths of this machine.
    if data_set.kept is None:
        return "only results of it are here"
    return f"left out: {', '.join(data_set.problems)}" if data_set.problems else "ready"
