"""Responses that are pictures, at addresses that change with their content."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from flask import Response, send_file
from numpy.typing import NDArray
from PIL import Image

ONE_YEAR = 365 * 24 * 3600


def kept_file(file: Path | io.BytesIO, mimetype: str) -> Response:
    """Send a picture file that a browser may keep for ever."""
    response = send_file(file, mimetype=mimetype, max_age=ONE_YEAR)
    response.cache_control.immutable = True
    return response


def kept_picture(pixels: NDArray[np.uint8], kind: str, **options: Any) -> Response:
    """Send uint8 RGB `pixels` (height, width, 3) as a picture that a browser may keep for ever.

    Args:
        kind: "PNG" or "WEBP".
        options: of Pillow's writer.
    """
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, kind, **options)
    encoded.seek(0)
    return kept_file(encoded, f"image/{kind.lower()}")
