"""Images turned, sheared and enlarged or reduced about their middle, each by its own amount."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]


def warp(
    images: Images,
    rotations: NDArray[np.floating[Any]],
    shears: NDArray[np.floating[Any]],
    zooms: NDArray[np.floating[Any]],
) -> Images:
    """Return `images`, each turned, sheared and enlarged about its middle, reflected at the edge.

    Values between pixels are bilinear.

    Args:
        images: uint8 (count, height, width, 3).
        rotations: in degrees, counter-clockwise, (count,).
        shears: the angle in degrees by which upright edges lean, (count,).
        zooms: factors, above 1 to enlarge, (count,).
    """
    count, height, width, _ = images.shape
    matrices = _inverses(rotations, shears, zooms)
    reach = _reach(matrices, height, width)
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    # Pillow asks where each pixel comes from, and takes a pixel's middle to be at a half.
    middle = np.array([width / 2, height / 2])
    found = np.empty_like(images)
    for number in range(count):
        matrix = matrices[number]
        offset = middle + reach - matrix @ middle
        coefficients = (*matrix[0], offset[0], *matrix[1], offset[1])
        picture = Image.fromarray(padded[number])
        found[number] = np.asarray(
            picture.transform(
                (width, height),
                Image.Transform.AFFINE,
                coefficients,
                resample=Image.Resampling.BILINEAR,
            )
        )
    return found


def _inverses(
    rotations: NDArray[np.floating[Any]],
    shears: NDArray[np.floating[Any]],
    zooms: NDArray[np.floating[Any]],
) -> NDArray[np.float64]:
    """Return the matrices, (count, 2, 2), that lead from a place in the result to its origin."""
    turn, lean = np.radians(rotations), np.tan(np.radians(shears))
    cosine, sine = np.cos(turn), np.sin(turn)
    # With y downwards a counter-clockwise turn of the picture looks up clockwise.
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    shear = np.array([[np.ones_like(lean), lean], [np.zeros_like(lean), np.ones_like(lean)]])
    together = np.einsum("ijn,jkn->nik", rotation, shear)
    return np.asarray(together / np.asarray(zooms)[:, None, None], np.float64)


def _reach(matrices: NDArray[np.float64], height: int, width: int) -> int:
    """Return how many pixels beyond the edge are looked up at most."""
    corners = np.array([[width, height], [width, -height]]).T / 2
    furthest = np.abs(matrices @ corners).max(axis=(0, 2)) - np.array([width, height]) / 2
    return max(0, math.ceil(float(furthest.max()))) + 1
