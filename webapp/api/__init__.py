"""`/api/classify`: one photo in, JSON out; `/openapi.json` describes it.

Its forms carry no CSRF token and need none: nothing here reads a cookie or changes anything, so a
page of somebody else's that sends one gains nothing that its owner could not do alone.
"""

from __future__ import annotations

from functools import partial

from flask import Blueprint, Flask, Response, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import MethodNotAllowed, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from model_training.datasets.pictures.opener import NoPhoto
from webapp import errors
from webapp.answering import answers, received
from webapp.api.description import describe
from webapp.api.schemas import Answer
from webapp.errors import Refusal
from webapp.library import get_library
from webapp.security import csrf

bp = Blueprint("api", __name__)

_HOW = "Send the photo as the file field “image” of a form (multipart/form-data)"
_EXAMPLE = "curl -F image=@photo.jpg {address}"
_MOST_NAMES = 5


class NotAForm(Refusal):
    """The request is not a form, so it has no file in it."""

    status = 415
    code = "not-a-form"


class NoImageField(Refusal):
    """The form has no file in its field `image`."""

    code = NoPhoto.code


class IncompleteForm(Refusal):
    """The form cannot be read to its end."""

    code = "incomplete-form"


class OnePhoto(Refusal):
    """More than one photo came in one request."""

    code = "one-photo"


def init_app(_app: Flask) -> None:
    """Let programs send forms without a token: the module says why that is safe."""
    csrf.exempt(bp)


@bp.post("/api/classify")
def classify() -> ResponseReturnValue:
    """Answer the photo in the form's field `image`; nothing of it is kept."""
    if request.mimetype != "multipart/form-data":
        came = f"What came is {request.mimetype[:64]}. " if request.mimetype else ""
        raise NotAForm(f"{came}{_how()}")
    request.max_content_length = received.limits().photo_bytes + received.FORM_BYTES
    files = _sent_files()
    if len(files) > 1:
        raise OnePhoto(f"One photo a request, please; that one had {len(files)}.")
    classifier = answers.choose_classifier(get_library(), request.form.get("model"))
    ready = answers.prepare(received.open_file(files[0]), classifier, shown_side=None)
    (answer,) = answers.answer_photos([ready], classifier)
    # Not by `jsonify`, which would sort the classes by the alphabet.
    body = Answer.of(answer, answer.threshold).model_dump_json()
    return Response(body, mimetype="application/json")


@bp.get("/openapi.json")
def openapi() -> ResponseReturnValue:
    """The description of this interface, in the form of OpenAPI 3.1."""
    return jsonify(describe(get_library(), received.limits()))


@bp.errorhandler(RequestEntityTooLarge)
def too_large(error: RequestEntityTooLarge) -> ResponseReturnValue:
    """The upload is over the limit."""
    return errors.show_refusal(received.too_large(error))


@bp.app_errorhandler(MethodNotAllowed)
def other_method(error: MethodNotAllowed) -> ResponseReturnValue:
    """Say how this interface is used to whoever asks it with GET; all else as everywhere."""
    if request.path == url_for("api.classify"):
        error.description = f"This address takes POST only. {_how()}"
    return errors.show_error(error)


def _how() -> str:
    return (
        f"{_HOW}: {_EXAMPLE.format(address=url_for('api.classify', _external=True))}, for example."
    )


def _sent_files() -> list[FileStorage]:
    """Return the files of the field `image`.

    Raises:
        IncompleteForm: the body is not the whole form that its header announces.
        NoImageField: there is no such file.
    """
    if not _is_whole_form():
        raise IncompleteForm(
            "The form cannot be read to its end: it arrived incomplete, or its parts are divided "
            f"by another boundary than its Content-Type names. {_how()}"
        )
    try:
        return received.sent_files()
    except NoPhoto as error:
        raise NoImageField(f"{_what_came()} {_how()}") from error


def _is_whole_form() -> bool:
    # By default Werkzeug takes a form that it cannot read for an empty one.
    parser = partial(FormDataParser, silent=False)
    request.form_data_parser_class = parser  # type: ignore[assignment]
    try:
        request._load_form_data()
    except ValueError:
        return False
    return True


def _what_came() -> str:
    if "image" in request.form:
        return "The field “image” came as text and not as a file."
    if "image" in request.files:
        return "The file field “image” came empty, without a file's name."
    others = list(dict.fromkeys([*request.files, *request.form]))
    if not others:
        return "The form has no fields."
    named = ", ".join(f"“{name[:64]}”" for name in others[:_MOST_NAMES])
    more = " and others" if len(others) > _MOST_NAMES else ""
    return f"The form has no field “image”; it has {named}{more}."
