"""`/api/classify`: one photo in, JSON out; `/openapi.json` describes it.

Its forms carry no CSRF token and need none: nothing here reads a cookie or changes anything, so a
page of somebody else's that sends one gains nothing that its owner could not do alone.
"""

from __future__ import annotations

from flask import Blueprint, Flask, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from webapp import errors
from webapp.answering import answers, received
from webapp.api.description import describe
from webapp.errors import Refusal
from webapp.library import get_library
from webapp.security import csrf

bp = Blueprint("api", __name__)


class NotAForm(Refusal):
    """The request is not a form, so it has no file in it."""

    status = 415
    code = "not-a-form"


class OnePhoto(Refusal):
    """More than one photo came in one request."""

    code = "one-photo"


def init_app(_app: Flask) -> None:
    """Let programs send forms without a token: the module says why that is safe."""
    csrf.exempt(bp)


@bp.post("/api/classify")
def classify() -> ResponseReturnValue:
    """What a model makes of the photo in the form's field `image`; nothing of it is kept."""
    if request.mimetype != "multipart/form-data":
        raise NotAForm(
            "Send the photo as multipart/form-data, in a file field called “image”: "
            "curl -F image=@photo.jpg, for example."
        )
    request.max_content_length = received.limits().photo_bytes + received.FORM_BYTES
    files = received.sent_files()
    if len(files) > 1:
        raise OnePhoto(f"One photo a request, please; that one had {len(files)}.")
    classifier = answers.choose_classifier(get_library(), request.form.get("model"))
    ready = answers.prepare(received.open_file(files[0]), classifier, shown_side=None)
    (answer,) = answers.answer_photos([ready], classifier)
    return jsonify(answer.as_json())


@bp.get("/openapi.json")
def openapi() -> ResponseReturnValue:
    """The description of this interface, in the form of OpenAPI 3.1."""
    return jsonify(describe(get_library(), received.limits()))


@bp.errorhandler(RequestEntityTooLarge)
def too_large(error: RequestEntityTooLarge) -> ResponseReturnValue:
    """The upload is over the limit."""
    return errors.show_refusal(received.too_large(error))
