"""Pictures and maps as arrays: blurred, smoothed, resized."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Floats = NDArray[np.float32]

BLUR = 1 / 8
"""Of the side: the deviation of the Gaussian blur that stands for a picture without its detail."""


def blurred(view: NDArray[np.uint8], share: float = BLUR) -> NDArray[np.uint8]:
    """Return `view`, uint8 (side, side, 3), blurred until nothing in it can be told apart."""
    blur = ImageFilter.GaussianBlur(share * len(view))
    return np.asarray(Image.fromarray(view).filter(blur))


def smoothed(values: Floats, deviation: float) -> Floats:
    """Return `values`, (rows, columns), under a Gaussian of `deviation` pixels."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values.astype(np.float32), deviation, mode="nearest"))


def resized(values: Floats, rows: int, columns: int) -> Floats:
    """Return `values`, (any, any), float32 (rows, columns), bilinear and at the same places."""
    if values.shape == (rows, columns):
        return values
    image = Image.fromarray(np.asarray(values, np.float32))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR))
