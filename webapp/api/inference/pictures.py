"""Pictures of a request, encoded or as pixels, cut into the views that a network is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from flask import current_app
from numpy.typing import NDArray
from PIL import Image

from model_training.datasets.pictures import opener
from model_training.datasets.pictures.views import View
from model_training.judging.judge import Judge
from webapp.answering.received import limits
from webapp.api.inference.bodies import give_way
from webapp.api.inference.tensors import BadTensor
from webapp.errors import Refusal
from webapp.opening.decoding import open_photo


class TooManyPictures(Refusal):
    """A request for the answers about more pictures than are taken at a time."""

    status = 413
    code = "too-many-pictures"


class BadPicture(Refusal):
    """A picture that cannot be used; the message says which."""

    def __init__(self, error: opener.PhotoError, number: int, count: int) -> None:
        which = f"Picture {number + 1} of {count}: " if count > 1 else ""
        super().__init__(which + error.message)
        self.status, self.code, self.retry_after = error.status, error.code, error.retry_after


@dataclass(frozen=True)
class Most:
    """The most that one request may have: pictures as pixels, encoded pictures, and bytes."""

    arrays: int
    encoded: int
    body: int


def most() -> Most:
    """Return the limits of the app that is answering."""
    allowed = limits()
    return Most(current_app.config["MAX_BATCH"], allowed.photos, allowed.total_bytes)


def check_pixels(shape: Sequence[int], name: str) -> None:
    """Hold the shape of pixels to the limits.

    Raises:
        BadTensor: it is not that of pictures in RGB.
        TooManyPictures: it is that of more pictures than are taken.
        PhotoTooLarge: its pictures are larger than are taken.
    """
    if len(shape) != 4 or shape[3] != 3 or not all(shape):
        raise BadTensor(
            f"{name} has the shape {list(shape)}. Pictures have the shape [number, height, width, "
            "3], in RGB, and there is at least one."
        )
    count, height, width = shape[:3]
    if count > most().arrays:
        raise TooManyPictures(
            f"{name} has {count:,} pictures; the most at a time is {most().arrays:,}."
        )
    if height * width > limits().photo_pixels:
        raise opener.PhotoTooLarge.for_pixels(height * width, limits().photo_pixels)
    if max(height, width) > opener.LONGEST_SIDE:
        raise opener.PhotoTooLarge.for_side(max(height, width))


def check_count(count: int, name: str) -> None:
    """Hold the number of encoded pictures to the limits.

    Raises:
        BadTensor: there is none.
        TooManyPictures: there are more than are taken.
    """
    if not count:
        raise BadTensor(f"{name} has no pictures.")
    if count > most().encoded:
        raise TooManyPictures(
            f"{name} has {count:,} encoded pictures; the most at a time is {most().encoded:,}. "
            f"As pixels, {most().arrays:,} are taken."
        )


def views_of_pixels(pixels: NDArray[np.uint8], judge: Judge) -> list[list[View]]:
    """Cut `pixels`, uint8 (count, height, width, 3), as a photo of these pixels would be cut."""
    return [judge.views(_working(Image.fromarray(one))) for one in pixels]


def views_as_sent(pixels: NDArray[np.uint8], judge: Judge) -> list[list[View]]:
    """Return `pixels`, uint8 (count, side, side, 3), as one view each.

    Raises:
        BadTensor: the network is not shown squares of that size.
    """
    height, width = pixels.shape[1:3]
    plan = judge.plan
    if height != width or not (width == plan.side or width <= min(plan.small, plan.side - 1)):
        smaller = f", or of {plan.small} pixels at most" if plan.small < plan.side else ""
        raise BadTensor(
            f"A view of this model is a square of {plan.side} pixels{smaller}, not {width} x "
            f"{height}. Pictures of any size are “pixels”."
        )
    return [[View("a view", one)] for one in pixels]


def _working(image: Image.Image) -> Image.Image:
    if max(image.size) > opener.WORKING_SIDE:
        side = (opener.WORKING_SIDE, opener.WORKING_SIDE)
        image.thumbnail(side, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return image


def views_of_encoded(pictures: Sequence[bytes | memoryview], judge: Judge) -> list[list[View]]:
    """Open `pictures`, files of a stranger, one after the other, and cut each.

    Raises:
        BadPicture: one of them cannot be used.
        TooLate: it is past the deadline, and others wait.
    """
    allowed = limits()
    cut: list[list[View]] = []
    for number, data in enumerate(pictures):
        give_way()
        try:
            if len(data) > allowed.photo_bytes:
                raise opener.PhotoTooLarge.for_bytes(allowed.photo_bytes)
            photo = open_photo(bytes(data))
        except opener.PhotoError as error:
            raise BadPicture(error, number, len(pictures)) from error
        cut.append(judge.views(photo.image))
    return cut
