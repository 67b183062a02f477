"""The site for programs: `/api/` says how it is used, `/api/classify` takes photos and answers in
JSON, `/openapi.json` describes it all.  `inference/` speaks the protocols of model servers.

Its forms carry no CSRF token and need none: nothing here reads a cookie or changes anything, so a
page of somebody else's that sends one gains nothing that its owner could not do alone.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, jsonify, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_cors import CORS
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import MethodNotAllowed, RequestEntityTooLarge

from model_training.datasets.pictures.opener import PhotoError
from webapp import errors
from webapp.answering import answers, received, several
from webapp.api import inference
from webapp.api.description import describe
from webapp.api.inference import pictures
from webapp.api.inference.outputs import outputs_of
from webapp.api.schemas import Answer, Answers
from webapp.api.sent import how_to_ask, model_wanted, sent_photos
from webapp.errors import Error, Problem
from webapp.library import get_library
from webapp.limits import admission
from webapp.security import csrf
from webapp.serving.classifier import Classifier

bp = Blueprint("api", __name__)


def init_app(app: Flask) -> None:
    """Let programs send forms without a token: the module says why that is safe."""
    csrf.exempt(bp)
    inference.init_app(app)
    if origins := app.config["CORS_ORIGINS"]:
        CORS(
            app,
            resources=r"/(api/|v1/|v2|openapi\.json).*",
            origins=origins.split(),
            methods=["GET", "HEAD", "OPTIONS", "POST"],
            expose_headers=["Inference-Header-Content-Length", "Retry-After"],
            max_age=3600,
        )


@bp.get("/api/")
def page() -> ResponseReturnValue:
    """Show how programs use the site, with examples that run as they stand."""
    library = get_library()
    default = library.classifiers.get(library.default_model or "")
    return render_template(
        "api/page.html",
        library=library,
        limits=received.limits(),
        most=pictures.most(),
        default=default,
        outputs=list(outputs_of(default).values()) if default else [],
    )


@bp.post("/api/classify")
def classify() -> ResponseReturnValue:
    """Answer the photos that were sent; nothing of them is kept."""
    files = sent_photos()
    classifier = answers.choose_classifier(get_library(), model_wanted())
    if len(files) == 1:
        ready = answers.prepare(received.open_file(files[0]), classifier, shown_side=None)
        with admission.turn():
            (found,) = answers.answer_photos([ready], classifier)
            return _json(_answer(found))
    return _json(_several(files, classifier))


@bp.get("/openapi.json")
def openapi() -> ResponseReturnValue:
    """Return the description of this interface, in the form of OpenAPI 3.1."""
    return jsonify(describe(get_library(), received.limits(), pictures.most()))


@bp.errorhandler(RequestEntityTooLarge)
def too_large(error: RequestEntityTooLarge) -> ResponseReturnValue:
    """Refuse an upload that is over the limit."""
    return errors.show_refusal(received.too_large(error))


@bp.app_errorhandler(MethodNotAllowed)
def other_method(error: MethodNotAllowed) -> ResponseReturnValue:
    """Say how this interface is used to whoever asks it with GET; all else as everywhere."""
    if request.path == url_for("api.classify"):
        error.description = f"This address takes POST only. {how_to_ask()}"
    return errors.show_error(error)


def _several(files: list[FileStorage], classifier: Classifier) -> Answers:
    """Answer several photos.

    Raises:
        Busy: so many photos are being opened that none of these could be.
    """
    prepared = several.prepare_files(files, classifier, shown_side=None)
    if busy := several.too_busy(prepared):
        raise busy
    with admission.turn():
        found = several.answer_prepared(prepared, classifier)
        return Answers(
            answers=[_error(one) if isinstance(one, PhotoError) else _answer(one) for one in found]
        )


def _answer(found: answers.Answer) -> Answer:
    return Answer.of(found, found.threshold)


def _error(problem: PhotoError) -> Error:
    title, _advice = errors.MESSAGES[problem.status]
    return Error(
        error=Problem(status=problem.status, code=problem.code, title=title, detail=problem.message)
    )


def _json(body: Answer | Answers) -> Response:
    # Not by `jsonify`, which would sort the classes by the alphabet.
    return Response(body.model_dump_json(), mimetype="application/json")
