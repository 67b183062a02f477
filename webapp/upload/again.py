"""What can be asked about a photo that was answered: other models, and a picture to keep.

The photo comes back sealed from the page that shows it (`carried.sealing`); nothing is stored.
"""

from __future__ import annotations

import io
import re
from contextlib import suppress
from dataclasses import replace

from flask import Response, request, send_file

from webapp.answering import answers, card, explaining, heat, one_photo
from webapp.answering.answers import Answer
from webapp.answering.carried.sealing import Carried
from webapp.answering.one_photo import Wish
from webapp.library import Library
from webapp.serving.classifier import Classifier

SITE = "Ten Classes"


def look_again(library: Library, carried: Carried) -> tuple[Answer, Classifier]:
    """Answer the photo of a page again, with the model of the form's field `model`.

    Its other fields are a `Wish`.  The opinions of models that were asked before stay.

    Raises:
        answers.NoModel, answers.UnknownModel: it cannot be asked.
        one_photo.CannotExplain: there is no such map.
    """
    classifier = answers.choose_classifier(library, request.form.get("model") or carried.model)
    wish = Wish.read(request.form)
    same = classifier.name == carried.model
    # What was said stays said, so the map is about that: this smaller picture may be judged anew as
    # another class.  A model that was replaced since may not know the class.
    told = carried.label if same and carried.label in classifier.classes else None
    answer = one_photo.answer_photo(carried.photo, classifier, library, wish, explains=told)
    if same:
        data_set = library.data_set_of(classifier.bundle)
        near = explaining.images_at(carried.near, data_set)
        answer = replace(carried.on(answer), near=tuple(near))
    if not wish.all:
        names = {one.name for one in one_photo.others(classifier, library)}
        before = (carried.opinion, *carried.opinions)
        answer = replace(answer, opinions=tuple(one for one in before if one.model in names))
    # Byte by byte the same photo, however often it comes back; its size is that of the file.
    answer = replace(
        answer,
        photo_uri=carried.photo_uri,
        photo_size=carried.photo_size,
        ours=carried.ours,
    )
    return answer, classifier


def picture_to_keep(library: Library, carried: Carried) -> Response:
    """Send the answer of a page as a PNG file."""
    shown, drawn = carried.photo.image, None
    classifier = library.classifiers.get(carried.model)
    if classifier is not None:
        with suppress(ValueError):  # a network that cannot be explained has no map
            found = classifier.heat(classifier.judge.views(shown)[0].pixels, carried.label)
            over = heat.overlay(one_photo.enlarged(shown), found)
            drawn = (over, heat.in_words(found))
    encoded = io.BytesIO()
    card.draw(carried, shown, drawn, site=SITE).save(encoded, "PNG")
    encoded.seek(0)
    name = "-".join(re.findall(r"\w+", carried.label if carried.known else "none")) or "answer"
    response = send_file(
        encoded, mimetype="image/png", as_attachment=True, download_name=f"{name.lower()}.png"
    )
    response.headers["Cache-Control"] = "no-store"
    return response
