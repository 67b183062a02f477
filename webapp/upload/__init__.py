"""`/`: the form for photos, and the page of their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from model_training.datasets.pictures import opener as photos
from webapp import errors
from webapp.answering import (
    answers,
    explaining,
    one_photo,
    received,
    several,
    wording,
)
from webapp.answering.answers import Answer
from webapp.answering.carried import sealing
from webapp.answering.carried.photo_seal import FORM_BYTES
from webapp.answering.one_photo import Wish
from webapp.library import Library, get_library
from webapp.limits import admission
from webapp.opening import example_photos
from webapp.operating import metrics
from webapp.query import whole_number
from webapp.security import csrf
from webapp.serving.classifier import Classifier
from webapp.upload import again

bp = Blueprint("upload", __name__)
_OURS: dict[str, Callable[..., object]] = {
    "seal": sealing.seal,
    "nearest_in_words": explaining.nearest_in_words,
}
for _name, _function in (_OURS | wording.FOR_TEMPLATES).items():
    bp.add_app_template_global(_function, _name)
for _name, _function in wording.FILTERS.items():
    bp.add_app_template_filter(_function, _name)

CARRIED = ("upload.look_again", "upload.card")
"""What is asked about a photo that a page carries."""


class NoExamples(errors.Refusal):
    """A request for an example when the test images are not here."""

    status = 503
    code = "no-examples"


@dataclass(frozen=True)
class UploadedFile:
    """One of several files: its name, and its answer or its problem with an HTTP status."""

    name: str
    answer: Answer | None = None
    problem: str | None = None
    status: int = 200


@bp.get("/")
def index() -> ResponseReturnValue:
    """Show the form, or the answer for a test image or for a photo that the site brings along.

    `?example=<index>` asks for one test image, `?photo=<name>` for one example photo, and
    `?model=<name>` chooses another model, whose classes and examples are shown.  `&all`, `&why`
    with `&class=`, and `&method=` are a `Wish` about a test image.
    """
    library = get_library()
    name = request.args.get("model")
    if "example" in request.args:
        g.asked = classifier = answers.choose_classifier(library, name)
        test = library.data_set_of(classifier.bundle).test
        if test is None:
            raise NoExamples("The test images are missing, so there are no examples now.")
        number = whole_number("example", 0, len(test) - 1)
        wish = Wish.read(request.args)
        with admission.turn():
            answer = one_photo.answer_test_image(number, classifier, library, wish)
            return _answer_page(library, answer, classifier)
    if "photo" in request.args:
        g.asked = classifier = answers.choose_classifier(library, name)
        with admission.turn():
            photo = example_photos.open_example(request.args["photo"])
            answer = replace(one_photo.answer_photo(photo, classifier, library), ours=True)
            return _answer_page(library, answer, classifier)
    if name:
        g.asked = answers.choose_classifier(library, name)
    problem = answers.why_no_answer(library) if library.default_model is None else None
    return _page(library, problem=problem)


@bp.post("/")
def classify() -> ResponseReturnValue:
    """Answer the photos that were sent; nothing of them is kept."""
    library = get_library()
    g.asked = classifier = answers.choose_classifier(library, request.form.get("model"))
    files = received.sent_files()
    part = received.sent_crop(files)
    if len(files) > 1:
        return _several(library, files, classifier)
    photo = received.open_file(files[0], part)
    with admission.turn():
        answer = one_photo.answer_photo(photo, classifier, library)
        return _answer_page(library, answer, classifier)


@bp.url_value_preprocessor
def limit_carried(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Refuse what is larger than a page with one small picture, before it is read."""
    if endpoint in CARRIED:
        request.max_content_length = request.max_form_memory_size = FORM_BYTES


@bp.post("/again")
def look_again() -> ResponseReturnValue:
    """Answer the photo that a page carries once more: with another model, or asking all."""
    library, carried = get_library(), sealing.read()
    with admission.turn():
        answer, g.asked = again.look_again(library, carried)
        return _answer_page(library, answer, g.asked)


@bp.post("/card")
def card() -> ResponseReturnValue:
    """Send the answer on a page as a picture to keep."""
    carried = sealing.read()
    with admission.turn():
        return again.picture_to_keep(get_library(), carried)


# These two need no token: they read no cookie and change nothing, and the seal says whose page it
# is.  So a page that was open for hours can still be asked.
for _view in (look_again, card):
    csrf.exempt(_view)


@bp.get("/again")
@bp.get("/card")
def nothing_carried() -> ResponseReturnValue:
    """Redirect to the form: an answer has no URL, as nothing of it is stored."""
    return redirect(url_for("upload.index"))


@bp.errorhandler(photos.PhotoError)
@bp.errorhandler(errors.Refusal)
def refused(error: photos.PhotoError | errors.Refusal) -> ResponseReturnValue:
    """Show the form again, with what is wrong."""
    metrics.count_refusal(error.code)
    headers = errors.retry_headers(error)
    return _page(get_library(), problem=error.message, status=error.status, headers=headers)


@bp.errorhandler(RequestEntityTooLarge)
def too_large(error: RequestEntityTooLarge) -> ResponseReturnValue:
    """Show the form again: the upload is over the limit."""
    if request.endpoint in CARRIED:
        errors.drain(request)
        return refused(sealing.BrokenSeal())
    return refused(received.too_large(error))


@bp.errorhandler(CSRFError)
def stale_form(error: CSRFError) -> ResponseReturnValue:
    """Show a fresh form: the one that was sent had expired."""
    metrics.count_refusal("stale-form")
    return _page(get_library(), problem=errors.form_problem(error), status=400, again=True)


def _several(
    library: Library, files: Sequence[FileStorage], classifier: Classifier
) -> ResponseReturnValue:
    """Answer several files; beside the name of one that cannot be used stands the reason."""
    prepared = several.prepare_files(files, classifier, shown_side=answers.SHOWN_SIDE_AMONG_MANY)
    names = [file.filename or "" for file in files]
    problems = [one for one in prepared if isinstance(one, photos.PhotoError)]
    if len(problems) == len(files):
        rows = _uploaded(names, problems)
        statuses = {row.status for row in rows}
        busy = several.too_busy(prepared)
        status = busy.status if busy else statuses.pop() if len(statuses) == 1 else 400
        return _page(
            library,
            problem="None of these files can be used.",
            bad=rows,
            status=status,
            headers=errors.retry_headers(busy) if busy else {},
        )
    with admission.turn():
        rows = _uploaded(names, several.answer_prepared(prepared, classifier))
        answered = len(files) - len(problems)
        return _page(
            library, "upload/answers.html", rows=rows, classifier=classifier, answered=answered
        )


def _uploaded(
    names: Sequence[str], found: Sequence[Answer | photos.PhotoError]
) -> list[UploadedFile]:
    return [
        UploadedFile(name, problem=one.message, status=one.status)
        if isinstance(one, photos.PhotoError)
        else UploadedFile(name, answer=one)
        for name, one in zip(names, found, strict=True)
    ]


def _answer_page(library: Library, answer: Answer, classifier: Classifier) -> ResponseReturnValue:
    others = one_photo.others(classifier, library)
    said = {one.model: one for one in answer.opinions}
    asked = [(one.name, one.bundle.card.title, said.get(one.name)) for one in others]
    return _page(library, "upload/answer.html", answer=answer, others=asked)


def _page(
    library: Library,
    template: str = "upload/index.html",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: object,
) -> ResponseReturnValue:
    asked = g.get("asked") or library.classifiers.get(library.default_model or "")
    data = library.data_set_of(asked.bundle) if asked else None
    chosen = {} if asked is None or asked.name == library.default_model else {"model": asked.name}
    page = render_template(
        template,
        library=library,
        limits=received.limits(),
        asked=asked,
        data=data,
        chosen=chosen,
        examples=answers.examples(data),
        photos=example_photos.suited_to(data.classes) if data else [],
        **values,
    )
    return page, status, dict(headers or {})
