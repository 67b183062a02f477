"""Registration: lay one small picture over another and compare their details.

A copy may have been cut, enlarged or stretched a little, brightened, saved again or mirrored, so
pixels cannot be compared as they stand.  First one is moved and scaled, each axis on its own,
until it lies on the other as well as possible: the inverse compositional algorithm of S. Baker and
I. Matthews, "Lucas-Kanade 20 Years On: A Unifying Framework", 2004, from coarse to fine.  Then the
details that are left when broad light and dark are removed are correlated: two photographs of blue
sky share the broad part, two copies of one photograph share the details.  Details are measured
relative to their surroundings, so that a frame or an outline does not drown out the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

COARSE_TO_FINE = (2.0, 1.0)
"""Widths in pixels of the blurs under which images are laid over each other, in turn."""
STEPS = 8
BROAD, FINE = 3.0, 0.7
"""Details are what a blur of `FINE` pixels leaves and one of `BROAD` pixels removes."""
MOST_SCALE = 1.5
LEAST_OVERLAP = 0.4
"""Beyond these the registration has failed."""
AROUND = 3.0
"""In pixels: the reach of the surroundings by which a detail is measured."""
FAINT = 3.0
"""In grey levels: details weaker than this are noise, and count little even where there are no
others."""
_AT_A_TIME = 500


def likeness(images: Images, others: Images) -> NDArray[np.float32]:
    """Return how alike each of `images` and its counterpart in `others` are in their details.

    Args:
        images, others: uint8 (count, side, side, 3).

    Returns:
        float32 (count,): the correlation of details, -1 to 1, where they lie over each other;
        of the image as it is or of its mirror image, whichever is more like the other at the
        coarsest scale.
    """
    found = []
    for start in range(0, len(images), _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        moving, fixed = _channels_first(images[part]), _channels_first(others[part])
        found.append(_likeness(_turned_alike(moving, fixed), fixed))
    return np.concatenate(found) if found else np.zeros(0, np.float32)


def _turned_alike(moving: Floats, fixed: Floats) -> Floats:
    mirrored = moving[..., ::-1]
    width = COARSE_TO_FINE[0]
    target = _bands(fixed, width)
    as_it_is, turned = (
        (_bands(pixels, width) * target).sum(axis=(1, 2, 3)) for pixels in (moving, mirrored)
    )
    return np.where((turned > as_it_is)[:, None, None, None], mirrored, moving)


def _likeness(moving: Floats, fixed: Floats) -> NDArray[np.float32]:
    side = moving.shape[-1]
    place = _Placement.start(len(moving))
    for width in COARSE_TO_FINE:
        place = _lay_over(_bands(moving, width), _bands(fixed, width), place)
    details = [_blurred(pixels, FINE) - _blurred(pixels, BROAD) for pixels in (moving, fixed)]
    rows, columns = place.weights(side)
    seen = rows[0] @ details[0] @ columns[0].swapaxes(-1, -2)
    inside = (rows[1][:, np.newaxis, :, np.newaxis]) & (columns[1][:, np.newaxis, np.newaxis, :])
    overlap = inside.mean(axis=(1, 2, 3))
    one, other = (_evened(part * inside) for part in (seen, details[1]))
    together = (one * other).sum(axis=(1, 2, 3))
    sizes = (one**2).sum(axis=(1, 2, 3)) * (other**2).sum(axis=(1, 2, 3))
    lost = place.is_lost | (overlap < LEAST_OVERLAP)
    return np.where(lost, 0.0, together / np.sqrt(np.maximum(sizes, 1e-9))).astype(np.float32)


@dataclass(frozen=True)
class _Placement:
    """The scale and shift of an image along each axis (0: down, 1: right).

    Pixel `x` of the fixed image, counted from its middle, lies on `scale * x + shift` of the other;
    float64 (2, count) each.
    """

    scale: Floats
    shift: Floats

    @classmethod
    def start(cls, count: int) -> _Placement:
        return cls(np.ones((2, count)), np.zeros((2, count)))

    @property
    def is_lost(self) -> NDArray[np.bool_]:
        beyond = (self.scale > MOST_SCALE) | (self.scale < 1 / MOST_SCALE)
        return np.asarray(beyond.any(axis=0))

    def followed_by(self, steps: Floats) -> _Placement:
        """Return it after the inverse of small `steps`, (count, 4): scale and shift by axis."""
        scale_step, shift_step = steps[:, [0, 2]].T, steps[:, [1, 3]].T
        scale_step = np.clip(scale_step, -0.2, 0.2)
        scale = self.scale / (1 + scale_step)
        return _Placement(scale, self.shift - scale * np.clip(shift_step, -3, 3))

    def weights(self, side: int) -> list[tuple[Floats, NDArray[np.bool_]]]:
        """Return for each axis matrices that resample a line of pixels, and which lie inside."""
        return [
            _drawing(scale, shift, side)
            for scale, shift in zip(self.scale, self.shift, strict=True)
        ]


def _drawing(scale: Floats, shift: Floats, side: int) -> tuple[Floats, NDArray[np.bool_]]:
    middle = (side - 1) / 2
    source = scale[:, np.newaxis] * (np.arange(side) - middle) + shift[:, np.newaxis] + middle
    inside = (source > -0.5) & (source < side - 0.5)
    # Linear interpolation, with the edge pixels repeated without end.
    distance = np.abs(np.clip(source, 0, side - 1)[:, :, np.newaxis] - np.arange(side))
    weights = np.maximum(0, 1 - distance).astype(np.float32)
    return weights[:, np.newaxis], inside


def _lay_over(moving: Floats, fixed: Floats, place: _Placement) -> _Placement:
    side = fixed.shape[-1]
    along = (np.arange(side, dtype=np.float32) - (side - 1) / 2)[:, np.newaxis]
    down, right = np.gradient(fixed, axis=2), np.gradient(fixed, axis=3)
    slopes = np.stack([down * along, down, right * along.T, right], axis=1)
    slopes = slopes.reshape(len(fixed), 4, -1)
    curvature = slopes @ slopes.swapaxes(1, 2)
    # A picture of one colour has no slopes; a little on the diagonal keeps the system solvable.
    curvature += 1e-3 * np.trace(curvature, axis1=1, axis2=2)[:, None, None] * np.eye(4) / 4 + (
        1e-6 * np.eye(4)
    )
    for _ in range(STEPS):
        (rows, rows_inside), (columns, columns_inside) = place.weights(side)
        off = rows @ moving @ columns.swapaxes(-1, -2) - fixed
        off *= rows_inside[:, None, :, None] & columns_inside[:, None, None, :]
        pull = slopes @ off.reshape(len(off), -1, 1)
        place = place.followed_by(np.linalg.solve(curvature, pull)[..., 0])
    return place


def _channels_first(images: Images) -> Floats:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)


def _bands(pixels: Floats, width: float) -> Floats:
    """Return details of about `width` pixels' size, in pictures of equal contrast."""
    pixels = _blurred(pixels, width) - _blurred(pixels, 3 * width)
    deviation = pixels.std(axis=(1, 2, 3), keepdims=True)
    return np.asarray(pixels / np.maximum(deviation, 1e-3))


def _evened(details: Floats) -> Floats:
    around = _blurred((details**2).mean(axis=1, keepdims=True), AROUND)
    return np.asarray(details / np.sqrt(around + FAINT**2))


def _blurred(pixels: Floats, width: float) -> Floats:
    blur = _blur(pixels.shape[-1], width)
    return np.asarray(blur @ pixels @ blur.T)


@cache
def _blur(side: int, width: float) -> NDArray[np.float32]:
    """Return a matrix that blurs a line of pixels by a Gaussian, normalised anew at the ends."""
    distance = np.subtract.outer(np.arange(side), np.arange(side)) / width
    weights = np.exp(-0.5 * distance**2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
