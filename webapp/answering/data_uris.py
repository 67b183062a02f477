"""Pictures as `data:` addresses, shown without being stored."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TINY = 64
"""Pixels: up to this side a picture is sent without loss, so that its pixels stay true."""


def as_data_uri(image: Image.Image, *, long_side: int, pixelated: bool = False) -> str:
    """Return an RGB image as a data URI for an <img>, its long side at most `long_side` pixels.

    JPEG, or PNG (without loss) when pixelated or when no side exceeds TINY pixels. The image is
    never enlarged and keeps its shape.
    """
    shown = image.copy()
    shown.thumbnail((long_side, long_side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    kind = "png" if pixelated or max(shown.size) <= TINY else "jpeg"
    buffer = io.BytesIO()
    shown.save(buffer, kind, quality=85)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def cut_as_data_uri(pixels: NDArray[np.uint8]) -> str:
    """Return uint8 `pixels` (height, width, 3), such as a view's, as a lossless PNG data URI."""
    image = Image.fromarray(pixels)
    return as_data_uri(image, long_side=max(image.size), pixelated=True)
