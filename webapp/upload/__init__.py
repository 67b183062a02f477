"""`/`: a photo in, an answer out."""

from __future__ import annotations

from flask import Blueprint, current_app, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import RequestEntityTooLarge

from webapp import errors, photos
from webapp.library import Library, get_library
from webapp.query import whole_number
from webapp.upload.answers import Answer, answer_photo, answer_test_image, examples

bp = Blueprint("upload", __name__)


@bp.get("/")
def index() -> ResponseReturnValue:
    """The form; with `?example=<index>` the answer for one test image."""
    library = get_library()
    if "example" in request.args:
        if library.test_images is None or library.default_model is None:
            return _page(library, problem=_why_no_answer(library), status=503)
        number = whole_number("example", 0, len(library.test_images) - 1)
        model = library.classifiers[library.default_model]
        return _page(library, answer=answer_test_image(library.test_images, number, model))
    return _page(library)


@bp.post("/")
def classify() -> ResponseReturnValue:
    """Classify the photo that was sent; nothing of it is kept."""
    library = get_library()
    if library.default_model is None:
        return _page(library, problem=_why_no_answer(library), status=503)
    name = request.form.get("model") or library.default_model
    if name not in library.classifiers:
        choices = ", ".join(sorted(library.classifiers))
        problem = f"There is no model called “{name[:64]}” here. There is: {choices}."
        return _page(library, problem=problem, status=400)
    upload = request.files.get("image")
    if upload is None or not upload.filename:
        raise photos.NoPhoto()
    photo = photos.open_photo(upload.read(), max_pixels=current_app.config["MAX_PHOTO_PIXELS"])
    return _page(library, answer=answer_photo(photo, library.classifiers[name]))


@bp.errorhandler(photos.PhotoError)
def bad_photo(error: photos.PhotoError) -> ResponseReturnValue:
    """The form again, with what is wrong with the photo."""
    return _page(get_library(), problem=error.message, status=error.status)


@bp.errorhandler(RequestEntityTooLarge)
def too_large(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    """The form again: the upload is over the limit."""
    errors.drain(request)
    limit: int = current_app.config["MAX_CONTENT_LENGTH"]
    if (request.content_length or limit + 1) > limit:
        problem = photos.PhotoTooLarge.for_bytes(limit).message
    else:
        problem = "That form has more in it than one photo. Please choose a photo and try again."
    return _page(get_library(), problem=problem, status=413)


@bp.errorhandler(CSRFError)
def stale_form(error: CSRFError) -> ResponseReturnValue:
    """The form again, fresh: the one that was sent had expired."""
    return _page(get_library(), problem=errors.form_problem(error), status=400)


def _page(
    library: Library, *, problem: str | None = None, answer: Answer | None = None, status: int = 200
) -> ResponseReturnValue:
    if answer is None and problem is None and library.default_model is None:
        problem = _why_no_answer(library)
    page = render_template(
        "upload/answer.html" if answer else "upload/index.html",
        answer=answer,
        classes=_classes(library),
        examples=examples(library.test_images),
        library=library,
        max_bytes=current_app.config["MAX_CONTENT_LENGTH"],
        max_pixels=current_app.config["MAX_PHOTO_PIXELS"],
        problem=problem,
    )
    return page, status


def _classes(library: Library) -> tuple[str, ...]:
    if library.default_model is None:
        return ()
    return library.classifiers[library.default_model].classes


def _why_no_answer(library: Library) -> str:
    if library.problems:
        named = "; ".join(f"{name}: {problem}" for name, problem in library.problems.items())
        return f"No model could be loaded, so no photo can be answered now ({named})."
    return (
        "No model is here yet, so no photo can be answered. Whoever runs this site trains one "
        "with `flask train custom-cnn` and restarts it."
    )
