"""Resizing of images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]


def resized(images: Images, side: int) -> Images:
    """Return the middle squares of `images`, reduced or enlarged to `side` pixels.

    Bicubic, with antialiasing where it is a reduction.  Images that have this size already are
    returned as they are, not copied.

    Args:
        images: uint8 (count, height, width, 3).

    Returns:
        uint8 (count, side, side, 3).
    """
    count, height, width = images.shape[:3]
    if height == width == side:
        return images
    square = min(height, width)
    left, top = (width - square) // 2, (height - square) // 2
    box = (left, top, left + square, top + square)
    found = np.empty((count, side, side, 3), np.uint8)
    for number, image in enumerate(images):
        picture = Image.fromarray(image)
        found[number] = np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, box=box))
    return found
