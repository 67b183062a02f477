"""Opening a visitor's picture in a process that can be killed."""

from __future__ import annotations

import atexit
from typing import Any

from flask import current_app

from model_training.datasets.pictures import opener
from model_training.datasets.pictures.decoders import Decoders
from webapp.limits import admission
from webapp.operating.metrics import stage

_DECODERS = Decoders()
atexit.register(_DECODERS.close)


def open_photo(data: bytes, **options: int) -> opener.Photo:
    """Open the bytes of a picture file, within the limits of the app that is answering.

    Args:
        options: such as `working_side`, for the opener.

    Raises:
        PhotoError: it is not a photo that can be used, or no decoder was free until the request's
            deadline.
    """
    decode = _DECODERS.open if current_app.config["DECODE_APART"] else opener.open_here

    def timed(*asked: Any) -> opener.Photo:
        with stage("decode"):
            return decode(*asked)

    with admission.decoder():
        return opener.open_photo(
            data, max_pixels=current_app.config["MAX_PHOTO_PIXELS"], decode=timed, **options
        )
