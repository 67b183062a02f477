"""What can be asked about a photo that was answered: other models, and a picture to keep.

The photo comes back sealed from the page that shows it (`answering.sealing`); nothing is stored.
"""

from __future__ import annotations

import io
import re
from dataclasses import replace

from flask import Response, request, send_file

from webapp.answering import answers, card, one_photo
from webapp.answering.answers import Answer
from webapp.answering.sealing import Carried
from webapp.library import Library
from webapp.serving.classifier import Classifier

SITE = "Ten Classes"


def look_again(library: Library, carried: Carried) -> tuple[Answer, Classifier]:
    """Answer the photo of a page again, with the model of the form's field `model`.

    With a field `all`, the other models for the same data set are asked for their opinions too;
    without, those that were asked before stay.

    Raises:
        answers.NoModel, answers.UnknownModel: it cannot be asked.
    """
    classifier = answers.choose_classifier(library, request.form.get("model") or carried.model)
    others = one_photo.others(classifier, library)
    asked = others if "all" in request.form else []
    answer = one_photo.answer_photo(carried.photo, classifier, ask=asked)
    if not asked:
        names = {one.name for one in others}
        before = (carried.opinion, *carried.opinions)
        answer = replace(answer, opinions=tuple(one for one in before if one.model in names))
    # What is carried is smaller than the visitor's own photo.
    return replace(answer, photo_size=carried.photo_size), classifier


def picture_to_keep(library: Library, carried: Carried) -> Response:
    """Send the answer of a page as a PNG file."""
    classifier = library.classifiers.get(carried.model)
    drawn = None
    shown = carried.photo.image
    if classifier is not None:
        whole = classifier.judge.views(shown)[0]
        drawn = one_photo.draw_heat(shown, whole, carried.label, classifier)
    encoded = io.BytesIO()
    card.draw(carried, shown, drawn, site=SITE).save(encoded, "PNG")
    encoded.seek(0)
    name = "-".join(re.findall(r"\w+", carried.label if carried.known else "none")) or "answer"
    response = send_file(
        encoded, mimetype="image/png", as_attachment=True, download_name=f"{name.lower()}.png"
    )
    response.headers["Cache-Control"] = "no-store"
    return response
