"""Pictures as `data:` addresses, shown without being stored."""

from __future__ import annotations

import base64
import io
import re
import zlib

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
    # The search for repetitions that is left out takes most of the time, and photos have none.
    options = {"quality": 85} if kind == "jpeg" else {"compress_type": zlib.Z_RLE}
    shown.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def cut_as_data_uri(pixels: NDArray[np.uint8]) -> str:
    """Return uint8 `pixels` (height, width, 3), such as a view's, as a data URI of their size.

    Tiny ones, whose pixels a page shows as squares, are without loss; larger ones are a JPEG in
    which no loss is seen, a quarter as heavy.
    """
    image = Image.fromarray(pixels)
    if max(image.size) <= TINY:
        return as_data_uri(image, long_side=TINY)
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=95, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def picture_of(uri: str, *, most_bytes: int) -> tuple[str, bytes]:
    """Return the kind, jpeg or png, and the bytes of the picture that a `data:` address such as our
    pages show holds.

    Raises:
        ValueError: it is none of ours, or holds more than `most_bytes`.
    """
    found = re.fullmatch(r"data:image/(jpeg|png);base64,([A-Za-z0-9+/=]+)", uri)
    picture = base64.b64decode(found[2], validate=True) if found else b""
    if not found or not picture or len(picture) > most_bytes:
        raise ValueError("not a picture that a page shows")
    return found[1], picture
