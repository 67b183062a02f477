"""The views of a picture that a network is shown: squares of one size, cut according to a plan.

The network's features of the views are averaged.  A plan is plain data, so that a bundle carries
its own, and so does an exported network.  The fixed flips, shifts and enlargements of data set
images are `datasets.augmentation.Transform`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

Side = Annotated[int, Field(ge=1, le=4096)]
Pixels = NDArray[np.uint8]


class PlannedView(BaseModel):
    """One way to cut a picture.

    Args:
        crop: the whole picture, squeezed to a square, or its middle square.
        mirrored: whether left and right are swapped.
        through: the side in pixels to which it is reduced before it is enlarged again; None: it is
            resized straight to the plan's side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop: Literal["whole", "middle"] = "whole"
    mirrored: bool = False
    through: Side | None = None

    @property
    def words(self) -> str:
        """Return a description of the cut, for a visitor."""
        words = "whole photo, squeezed to a square" if self.crop == "whole" else "middle square"
        if self.through is not None:
            words += f", reduced to {self.through}×{self.through} pixels and enlarged again"
        return words + (", mirrored" if self.mirrored else "")


class ViewPlan(BaseModel):
    """The way in which pictures are cut for one network.

    Args:
        side: the side of every view, in pixels.
        small: a square picture of at most this side, in pixels, is shown once, as it is.
        views: in order; the first is the whole picture.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    side: Side
    small: Side
    views: Annotated[tuple[PlannedView, ...], Field(min_length=1, max_length=16)]

    def cut(self, image: Image.Image) -> list[View]:
        """Return the views of an RGB `image`, the whole first, all of one size."""
        if image.width == image.height <= self.small:
            side = min(self.side, image.width) if self.side > self.small else self.side
            return [View("the picture", reduced(image, side))]
        return [View(planned.words, self._pixels(planned, image)) for planned in self.views]

    def _pixels(self, planned: PlannedView, image: Image.Image) -> Pixels:
        if planned.crop == "middle":
            image = middle_square(image)
        if planned.through is not None:
            image = Image.fromarray(reduced(image, planned.through))
        pixels = reduced(image, self.side)
        return pixels[:, ::-1] if planned.mirrored else pixels


@dataclass(frozen=True)
class View:
    """A view as a network is shown it.

    `shows` describes how it was cut; `pixels` are uint8 (side, side, 3).
    """

    shows: str
    pixels: Pixels


def default_plan(side: int, learned_side: int, *, coarse: bool = True) -> ViewPlan:
    """Return the plan for a network of `side` pixels that learned from images of `learned_side`.

    The views were chosen by measurements on real photos (see `docs/judging-photos.md`): the middle
    square keeps shapes true, and the whole photo keeps what is not in the middle; one of them is
    mirrored, which costs nothing.  A network that enlarges its training images is shown one view
    as coarse as these; any other is shown the first two both plain and mirrored.

    Args:
        coarse: False for a network that knows photos from elsewhere: the coarse view is left out.
    """
    whole, middle = PlannedView(), PlannedView(crop="middle", mirrored=True)
    views: tuple[PlannedView, ...] = (
        whole,
        PlannedView(crop="middle"),
        PlannedView(mirrored=True),
        middle,
    )
    if side > learned_side:
        views = (whole, middle)
        if coarse:
            views += (PlannedView(through=learned_side),)
    return ViewPlan(side=side, small=min(side, learned_side), views=views)


def middle_square(image: Image.Image) -> Image.Image:
    """Return the largest square in the middle of `image`."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def reduced(image: Image.Image, side: int) -> Pixels:
    """Return `image` squeezed to a square, uint8 (side, side, 3), with antialiasing.

    An image that already has that size is returned unchanged.
    """
    if image.size == (side, side):
        return np.array(image)
    return np.array(image.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0))
