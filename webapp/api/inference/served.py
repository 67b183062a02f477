"""The models as these protocols name them: by a name, and a version that a new training changes."""

from __future__ import annotations

from datetime import UTC, datetime

from werkzeug.routing import BaseConverter

from webapp.answering.answers import ModelLoading, why_no_answer
from webapp.errors import Refusal
from webapp.library import Library
from webapp.serving.classifier import Classifier


class ModelName(BaseConverter):
    """A part of an address that is a name; what follows a colon is what is done with it."""

    regex = "[^/:]+"


class NoSuchModel(Refusal):
    """A request for a model, or a version of one, that is not here."""

    status = 404
    code = "no-such-model"


class ModelUnavailable(Refusal):
    """A request for a model that is here and cannot answer."""

    status = 503
    code = "model-unavailable"


def version_of(classifier: Classifier) -> str:
    """Return the version of a model: the time at which its training began, such as
    "20261120113311", a number that a later training exceeds.
    """
    started = datetime.fromisoformat(classifier.bundle.card.training.started)
    return f"{started.astimezone(UTC):%Y%m%d%H%M%S}"


def find(library: Library, name: str, version: str | None = None) -> Classifier:
    """Return the model called `name`; with `version`, only if it has that version.

    Raises:
        NoSuchModel: there is none.
        ModelUnavailable: it could not be loaded.
        ModelLoading: it does not answer yet.
    """
    if name in library.loading:
        raise ModelLoading(f"The model “{name}” is being loaded. Try again in a moment.")
    if name in library.problems:
        raise ModelUnavailable(f"The model “{name}” could not be loaded: {library.problems[name]}.")
    if name not in library.classifiers:
        if not library.classifiers:
            raise ModelUnavailable(why_no_answer(library))
        there = ", ".join(sorted(library.classifiers))
        if name in library.results:
            raise NoSuchModel(
                f"Of the model “{name}” only the results are here. Available: {there}."
            )
        raise NoSuchModel(f"There is no model called “{name[:64]}” here. Available: {there}.")
    found = library.classifiers[name]
    if version not in (None, version_of(found)):
        raise NoSuchModel(
            f"The model “{name}” has the version {version_of(found)} here, not “{version}”."
        )
    return found
