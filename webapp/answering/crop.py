"""The part of a photo that a visitor chose before asking."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from model_training.datasets.pictures.opener import Photo
from webapp.errors import Refusal

FIELDS = ("x", "y", "w", "h")
WORKING_SIDE = 1024
"""Pixels: the long side of what is left of a photo, as of a photo that is opened whole."""
LARGEST_SIDE = 3072
"""Pixels: the long side to which a photo is opened for its part to be cut out, so that memory
stays bounded; of a smaller part fewer pixels than `WORKING_SIDE` are left."""
_ROUNDING = 1e-6
"""Shares that a browser adds up to 1 may come to a little more."""


class BadCrop(Refusal):
    """The fields of a form do not name a part of a photo."""

    code = "bad-crop"


@dataclass(frozen=True)
class Crop:
    """A part of an upright photo, in shares of its width and height.

    `x` and `y` are the distances of its upper left corner from that of the photo, and `w` and `h`
    its width and height.
    """

    x: float
    y: float
    w: float
    h: float

    @property
    def opened_side(self) -> int:
        """Return the long side in pixels to which the whole photo is opened for this part."""
        return math.ceil(min(LARGEST_SIDE, WORKING_SIDE / max(self.w, self.h)))

    def cut(self, photo: Photo) -> Photo:
        """Return this part of `photo`, its long side at most `WORKING_SIDE` pixels."""
        image = photo.image.crop(self._box(*photo.image.size))
        image.thumbnail((WORKING_SIDE, WORKING_SIDE))
        left, top, right, bottom = self._box(*photo.original_size)
        return replace(photo, image=image, original_size=(right - left, bottom - top))

    def _box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return left, upper, right and lower edge in whole pixels, at least one apart."""
        left = min(round(self.x * width), width - 1)
        top = min(round(self.y * height), height - 1)
        right = min(max(round((self.x + self.w) * width), left + 1), width)
        bottom = min(max(round((self.y + self.h) * height), top + 1), height)
        return left, top, right, bottom


def sent_crop(form: Mapping[str, str], count: int) -> Crop | None:
    """Return the part that the fields x, y, w and h of `form` name; None if none is filled in.

    Args:
        count: how many photos came with them.

    Raises:
        BadCrop: a field is missing or is no number, the part is empty or reaches out of the photo,
            or it came with several photos.
    """
    given = {name: form.get(name, "").strip() for name in FIELDS}
    if not any(given.values()):
        return None
    if count > 1:
        raise BadCrop(
            f"Only one photo at a time can be cropped, but {count} were sent. Please send a single "
            "photo, or send all of them uncropped."
        )
    try:
        crop = Crop(*(float(given[name]) for name in FIELDS))
    except ValueError as error:
        raise BadCrop(
            "The part of the photo needs four numbers: x, y, w and h, each a share of the photo "
            "from 0 to 1. Please choose it again, or send the whole photo."
        ) from error
    # Written so that “not a number” fails too.
    inside = 0 <= crop.x <= 1 and 0 <= crop.y <= 1 and crop.w > 0 and crop.h > 0
    if not (inside and crop.x + crop.w <= 1 + _ROUNDING and crop.y + crop.h <= 1 + _ROUNDING):
        raise BadCrop(
            "That part is empty or extends beyond the photo. Please choose it again, or send the "
            "whole photo."
        )
    return crop
