"""`/`: the form for photos, and the page of their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, g, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from model_training.datasets.pictures import opener as photos
from webapp import errors
from webapp.answering import answers, received
from webapp.answering.answers import Answer
from webapp.library import Library, get_library
from webapp.operating import metrics
from webapp.query import whole_number
from webapp.serving.classifier import Classifier

bp = Blueprint("upload", __name__)


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
    """Show the form, or with `?example=<index>` the answer for one test image.

    `?model=<name>` chooses another model, whose classes and examples are shown.
    """
    library = get_library()
    name = request.args.get("model")
    if "example" in request.args:
        g.asked = classifier = answers.choose_classifier(library, name)
        test = library.data_set_of(classifier.bundle).test
        if test is None:
            raise NoExamples("The test images are missing, so there are no examples now.")
        number = whole_number("example", 0, len(test) - 1)
        answer, others = answers.answer_test_image(
            test, number, classifier, library, with_heat="heat" in request.args
        )
        return _page(library, "upload/answer.html", answer=answer, others=others)
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
    if len(files) > 1:
        return _several(library, files, classifier)
    answer, others = answers.answer_photo(
        received.open_file(files[0]), classifier, library, with_heat="heat" in request.form
    )
    return _page(library, "upload/answer.html", answer=answer, others=others)


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
    return refused(received.too_large(error))


@bp.errorhandler(CSRFError)
def stale_form(error: CSRFError) -> ResponseReturnValue:
    """Show a fresh form: the one that was sent had expired."""
    metrics.count_refusal("stale-form")
    return _page(get_library(), problem=errors.form_problem(error), status=400)


def _several(
    library: Library, files: Sequence[FileStorage], classifier: Classifier
) -> ResponseReturnValue:
    """Answer several files; beside the name of one that cannot be used stands the reason."""
    ready: list[answers.Prepared] = []
    uploaded: list[UploadedFile | None] = []  # None for each of `ready`, in order
    busy: photos.Busy | None = None
    for file in files:
        try:
            if busy:
                raise busy  # who has waited once in vain does not wait again for each of the rest
            photo = received.open_file(file)
        except photos.PhotoError as error:
            busy = error if isinstance(error, photos.Busy) else None
            metrics.count_refusal(error.code)
            uploaded.append(
                UploadedFile(file.filename or "", problem=error.message, status=error.status)
            )
        else:
            side = answers.SHOWN_SIDE_AMONG_MANY
            ready.append(answers.prepare(photo, classifier, shown_side=side))
            uploaded.append(None)
    given = iter(answers.answer_photos(ready, classifier))
    rows = [
        one or UploadedFile(file.filename or "", answer=next(given))
        for file, one in zip(files, uploaded, strict=True)
    ]
    if not ready:
        statuses = {row.status for row in rows}
        status = busy.status if busy else statuses.pop() if len(statuses) == 1 else 400
        return _page(
            library,
            problem="None of these files can be used.",
            bad=rows,
            status=status,
            headers=errors.retry_headers(busy) if busy else {},
        )
    return _page(
        library, "upload/answers.html", rows=rows, classifier=classifier, answered=len(ready)
    )


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
        **values,
    )
    return page, status, dict(headers or {})
