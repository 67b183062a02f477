"""For whoever operates the site: is the process alive, and can it answer?"""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from webapp.library import get_library

bp = Blueprint("health", __name__)


@bp.get("/livez")
def livez() -> ResponseReturnValue:
    """The process answers requests."""
    return jsonify(status="alive")


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    """A model is loaded, so photos are answered: 200, else 503.  What else is missing is named."""
    library = get_library()
    ready = library.default_model is not None
    answer = {
        "status": "ready" if ready else "not ready",
        "models": sorted(library.classifiers),
        "default_model": library.default_model,
        "left_out": library.problems,
        "gallery": library.test_images_problem or "ready",
    }
    return jsonify(answer), 200 if ready else 503
