"""The photos of a request, within the limits that every page names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from flask import current_app, request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from model_training.datasets.pictures import opener as photos
from webapp import errors
from webapp.answering import crop
from webapp.answering.crop import Crop
from webapp.errors import Refusal
from webapp.opening import decoding

FORM_BYTES = 1024 * 1024  # what a form may weigh beside its photos


class TooManyPhotos(Refusal):
    """An upload of more photos than are accepted at a time."""

    status = 413
    code = "too-many-photos"


class TooMuch(Refusal):
    """An upload of more bytes than are accepted at a time."""

    status = 413
    code = "upload-too-large"


@dataclass(frozen=True)
class Limits:
    """The most a visitor may send: bytes and pixels of a photo, photos and bytes of an upload."""

    photo_bytes: int
    photo_pixels: int
    photos: int
    total_bytes: int


def limits() -> Limits:
    """Return the limits of the app that is answering."""
    config = current_app.config
    total: int = config["MAX_CONTENT_LENGTH"]
    return Limits(
        photo_bytes=min(config["MAX_PHOTO_BYTES"], total),
        photo_pixels=config["MAX_PHOTO_PIXELS"],
        photos=config["MAX_PHOTOS"],
        total_bytes=total,
    )


def sent_files() -> list[FileStorage]:
    """Return the files of every field called `image`; a field left empty has none.

    Raises:
        photos.NoPhoto: there is none.
        TooManyPhotos: there are more than are accepted at a time.
    """
    files = [file for file in request.files.getlist("image") if file.filename]
    most = limits().photos
    if not files:
        raise photos.NoPhoto
    if len(files) > most:
        raise TooManyPhotos(
            f"You chose {len(files)} photos; the most at a time is {most}. None of them was "
            "looked at: please choose fewer and try again."
        )
    return files


def sent_crop(files: Sequence[FileStorage]) -> Crop | None:
    """Return the part of the photo that the form asks about; None for the whole.

    Raises:
        BadCrop: the fields do not name a part of one photo.
    """
    return crop.sent_crop(request.form, len(files))


def open_file(file: FileStorage, part: Crop | None = None) -> photos.Photo:
    """Open the photo in `file`.  One is read at a time, so memory never holds two whole files.

    Args:
        part: what to keep of the photo; None for the whole.

    Raises:
        photos.PhotoError: it is not a photo that can be used.
    """
    allowed = limits()
    if file.stream.seek(0, os.SEEK_END) > allowed.photo_bytes:
        raise photos.PhotoTooLarge.for_bytes(allowed.photo_bytes)
    file.stream.seek(0)
    if part is None:
        return decoding.open_photo(file.read())
    return part.cut(decoding.open_photo(file.read(), working_side=part.opened_side))


def too_large(_error: RequestEntityTooLarge) -> Refusal | photos.PhotoError:
    """Explain why a request was refused before its photos were looked at."""
    errors.drain(request)
    allowed = limits()
    limit = request.max_content_length or allowed.total_bytes
    if (request.content_length or limit + 1) <= limit:
        return TooMuch("The form holds more than photos. Please choose your photos and try again.")
    if limit < allowed.total_bytes or allowed.photo_bytes == allowed.total_bytes:
        return photos.PhotoTooLarge.for_bytes(allowed.photo_bytes)
    return TooMuch(
        f"That upload is too large: the most is {allowed.photo_bytes / 2**20:g} MB a photo and "
        f"{limit / 2**20:g} MB together. Please choose smaller or fewer photos and "
        "try again."
    )
