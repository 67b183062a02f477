"""Several photos of one request: one that cannot be used does not spoil the others."""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.datastructures import FileStorage

from model_training.datasets.pictures.opener import Busy, PhotoError
from webapp.answering import answers, received
from webapp.answering.answers import Answer, Prepared
from webapp.operating.metrics import count_refusal
from webapp.serving.classifier import Classifier


def prepare_files(
    files: Sequence[FileStorage], classifier: Classifier, *, shown_side: int | None
) -> list[Prepared | PhotoError]:
    """Return the photo in each of `files` made ready for `classifier`, or why it cannot be used.

    Args:
        shown_side: as for `answers.prepare`.
    """
    found: list[Prepared | PhotoError] = []
    busy: Busy | None = None
    for file in files:
        try:
            if busy:
                raise busy  # who has waited once in vain does not wait again for each of the rest
            photo = received.open_file(file)
        except PhotoError as error:
            busy = error if isinstance(error, Busy) else None
            count_refusal(error.code)
            found.append(error)
        else:
            found.append(answers.prepare(photo, classifier, shown_side=shown_side))
    return found


def answer_prepared(
    prepared: Sequence[Prepared | PhotoError], classifier: Classifier
) -> list[Answer | PhotoError]:
    """Return the answers of `classifier` to all that is `prepared`, asked at once, in its order."""
    ready = [one for one in prepared if isinstance(one, Prepared)]
    given = iter(answers.answer_photos(ready, classifier))
    return [next(given) if isinstance(one, Prepared) else one for one in prepared]


def too_busy(prepared: Sequence[Prepared | PhotoError]) -> Busy | None:
    """Return the refusal of a site that is too busy, if for that reason no photo was made ready."""
    if any(isinstance(one, Prepared) for one in prepared):
        return None
    return next((one for one in prepared if isinstance(one, Busy)), None)
