"""Heat maps drawn over pictures and put into words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Heat = NDArray[np.float32]

# Dark blue, violet, orange, pale yellow: the lightness only rises, so that the order is seen in
# grey and by eyes that tell few colours apart.
_STOPS = np.array([(20, 14, 54), (122, 28, 109), (237, 105, 37), (252, 255, 164)], np.float32)
_PLACES = np.linspace(0, len(_STOPS) - 1, 256)
_PALETTE = np.stack(
    [np.interp(_PLACES, range(len(_STOPS)), channel) for channel in _STOPS.T], axis=-1
)
_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "centre", "right")
_ALONG = ("along the top", "across the middle", "along the bottom")
_DOWN = ("down the left side", "down the middle", "down the right side")
_MOSTLY = 0.5
"""Of the bright part: so much in one place, row or column is `mostly` there."""
_BRIGHT = 0.5
"""Of the brightest place: what is darker is not said, as faint heat everywhere adds up to much
that nobody sees."""


def overlay(image: Image.Image, heat: Heat) -> Image.Image:
    """Draw `heat`, 0 to 1 in a few rows and columns, over the whole of an RGB `image` of any size.

    The picture is dark grey where there is no heat, and bright where there is most.
    """
    levels = (np.asarray(heat, np.float32).clip(0, 1) * 255).round().astype(np.uint8)
    colours = Image.fromarray(levels).resize(image.size, Image.Resampling.BICUBIC)
    colours.putpalette(_PALETTE.round().astype(np.uint8).tobytes())
    return Image.blend(image.convert("L").convert("RGB"), colours.convert("RGB"), 0.5)


def in_words(heat: Heat) -> str:
    """Say where `heat` is bright, as the end of a sentence that begins with "It looked"."""
    peak = float(heat.max())
    if peak <= 0:
        return "nowhere: nothing in the picture is evidence for it"
    bright = np.where(heat >= _BRIGHT * peak, heat, 0)
    ninths = _thirds(_thirds(bright / bright.sum()).T).T
    row, column = (int(number) for number in np.unravel_index(ninths.argmax(), ninths.shape))
    if ninths[row, column] >= _MOSTLY:
        return f"mostly at the {_ninth(row, column)}"
    rows, columns = ninths.sum(axis=1), ninths.sum(axis=0)
    most = f"most of all at the {_ninth(row, column)}"
    if max(rows.max(), columns.max()) < _MOSTLY:
        return f"all over it, {most}"
    if rows.max() >= columns.max():
        return f"mostly {_ALONG[rows.argmax()]}, {most}"
    return f"mostly {_DOWN[columns.argmax()]}, {most}"


def _ninth(row: int, column: int) -> str:
    if (row, column) == (1, 1):
        return "centre"
    if column == 1:
        return f"{_ROWS[row]} middle"
    return f"middle {_COLUMNS[column]}" if row == 1 else f"{_ROWS[row]} {_COLUMNS[column]}"


def _thirds(heat: Heat) -> Heat:
    """Add up the rows of `heat` to three; one that lies across a border is shared."""
    count = len(heat)
    edges = np.linspace(0, count, 4)
    starts = np.arange(count)
    shares = [
        np.clip(np.minimum(starts + 1, high) - np.maximum(starts, low), 0, 1)
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]
    return np.asarray(np.stack(shares) @ heat, np.float32)
