"""What a request to `/api/classify` has to have, and what to say where it has not."""

from __future__ import annotations

import io
from functools import partial

from flask import request, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import ClientDisconnected
from werkzeug.formparser import FormDataParser

from model_training.datasets.pictures.opener import NoPhoto, PhotoTooLarge
from webapp.answering import received
from webapp.errors import Refusal

_FORM = "multipart/form-data"
_FILE = "application/octet-stream"
_MOST_NAMES = 5


class NotAPhoto(Refusal):
    """The body is neither a form nor a photo."""

    status = 415
    code = "not-a-form"


class NoImageField(Refusal):
    """The form has no file in its field `image`."""

    code = NoPhoto.code


class IncompleteForm(Refusal):
    """The form cannot be read to its end."""

    code = "incomplete-form"


class UnknownParameter(Refusal):
    """The request has a parameter that would be ignored."""

    code = "unknown-parameter"


def how_to_ask() -> str:
    """Return the sentence that says how a photo is sent here."""
    address = url_for("api.classify", _external=True)
    return (
        f"Send the photo in the file field “image” of a form ({_FORM}), for example: curl -F "
        f"image=@photo.jpg {address}. Or send it as the body, with a Content-Type of image/jpeg, "
        "for example."
    )


def sent_photos() -> list[FileStorage]:
    """Return the files that came: those of the form's field `image`, or the body itself.

    Raises:
        NotAPhoto: the body is neither a form nor a picture.
        PhotoTooLarge: the body is a picture, of more bytes than are accepted.
        IncompleteForm: the body is not the whole form that its header announces.
        NoImageField: there is no such file.
        TooManyPhotos: there are more than are accepted at a time.
        UnknownParameter: the form or the address has a parameter that is not known here.
    """
    if request.mimetype == _FILE or request.mimetype.startswith("image/"):
        photos = [_body(received.limits().photo_bytes)]
    elif request.mimetype == _FORM:
        photos = _form_files()
    else:
        came = f"The body is of type {request.mimetype[:64]}. " if request.mimetype else ""
        raise NotAPhoto(f"{came}{how_to_ask()}")
    known = {"form": {"model"}, "files": {"image"}, "args": {"model"}}
    for part, names in known.items():
        if others := [name for name in getattr(request, part) if name not in names]:
            raise UnknownParameter(
                f"There is no parameter called “{others[0][:64]}”. Use “image” for the photo and "
                "“model” for the name of a model."
            )
    return photos


def model_wanted() -> str | None:
    """Return the name of the model that is asked, from the form, the address, or both.

    Raises:
        UnknownParameter: it is empty or there more than once, or they name different ones.
    """
    places = [request.form.getlist("model"), request.args.getlist("model")]
    if any(len(names) > 1 for names in places) or len({*places[0], *places[1]}) > 1:
        raise UnknownParameter("The parameter “model” is there more than once. Name one model.")
    wanted = next((name for names in places for name in names), None)
    if wanted == "":
        raise UnknownParameter("The parameter “model” is empty. Name a model, or leave it out.")
    return wanted


def _body(most: int) -> FileStorage:
    # A body without a length before it is cut at the limit, and so shows only beyond it.
    request.max_content_length = most + 1
    try:
        data = request.get_data(cache=False)
    except (ClientDisconnected, OSError) as error:
        raise IncompleteForm("The photo arrived incomplete. Please send it again.") from error
    if len(data) > most:
        raise PhotoTooLarge.for_bytes(most)
    return FileStorage(io.BytesIO(data))


def _form_files() -> list[FileStorage]:
    if not _is_whole_form():
        raise IncompleteForm(
            "The form cannot be read to its end: it arrived incomplete, or its parts are separated "
            f"by a boundary other than the one in its Content-Type. {how_to_ask()}"
        )
    try:
        return received.sent_files()
    except NoPhoto as error:
        raise NoImageField(f"{_what_came()} {how_to_ask()}") from error


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
        return "The field “image” was sent as text and not as a file."
    if "image" in request.files:
        return "The file field “image” is empty: it has no file name."
    others = list(dict.fromkeys([*request.files, *request.form]))
    if not others:
        return "The form has no fields."
    named = ", ".join(f"“{name[:64]}”" for name in others[:_MOST_NAMES])
    more = " and others" if len(others) > _MOST_NAMES else ""
    return f"The form has no field “image”; it has {named}{more}."
