"""The models as these protocols name them: by a name, and a version that a new training changes."""

from __future__ import annotations

from datetime import UTC, datetime

from werkzeug.routing import BaseConverter

from webapp.answering.answers import ModelLoading, NoModel, UnknownModel, choose_classifier
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
    try:
        found = choose_classifier(library, name)
    except ModelLoading:
        raise
    except NoModel as error:
        raise ModelUnavailable(error.message) from error
    except UnknownModel as error:
        raise NoSuchModel(error.message) from error
    if version not in (None, version_of(found)):
        raise NoSuchModel(
            f"The model “{name}” has the version {version_of(found)} here, not “{version}”."
        )
    return found
